#include "storage/mysql/row_select.h"

#include <algorithm>

#include <fmt/format.h>

#include "perf/log.h"
#include "perf/metrics.h"
#include "storage/key.h"
#include "storage/mysql/cell_form.h"
#include "storage/mysql/literal.h"

namespace syncline::storage::mysql {

namespace {

constexpr std::size_t kArenaBytes = 48UL * 1024;  // of one block; then it is begun anew

}  // namespace

row_select::row_select(const resource& of, const projection& what)
    : of_(&of), encoder_(of, what), columns_(what.columns), width_(what.columns.size()) {
  for (const std::size_t k : of.key) {
    const auto found = std::find(columns_.begin(), columns_.end(), k);
    key_at_.push_back(static_cast<std::size_t>(found - columns_.begin()));
    if (found == columns_.end()) columns_.push_back(k);
  }
  head_ = "SELECT ";
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (i > 0) head_ += ',';
    append_identifier(of.columns[columns_[i]].name, head_);
  }
  head_ += " FROM ";
  append_identifier(of.table, head_);
}

net::result<void> row_maker::decode(std::span<const column> columns, std::span<const std::string_view> fields,
                                    bool key_only) {
  if (columns.size() < cells_.size() || fields.size() < cells_.size())
    return net::error(net::errc::internal, "a row has fewer fields than were asked for", from_.of_->name);
  if (arena_.bytes() > kArenaBytes) arena_.clear();
  const auto decode_at = [&](std::size_t i) -> net::result<void> {
    const storage::column& declared = from_.of_->columns[from_.columns_[i]];
    net::result<cell> value = client_cell(declared.type, columns[i], fields[i], arena_);
    if (!value)
      return net::error(net::errc::schema_mismatch, "a stored value cannot be read",
                        from_.of_->name + "." + declared.name + ": " + value.error().text());
    cells_[i] = *value;
    return {};
  };
  if (key_only) {
    for (const std::size_t i : from_.key_at_)
      if (auto done = decode_at(i); !done) return done;
    return {};
  }
  for (std::size_t i = 0; i < cells_.size(); ++i)
    if (auto done = decode_at(i); !done) return done;
  return {};
}

net::result<void> row_maker::key_of_cells(std::string& bytes) const {
  const std::size_t before = bytes.size();
  const resource& of = *from_.of_;
  for (std::size_t i = 0; i < from_.key_at_.size(); ++i) {
    if (i > 0) bytes += ',';
    const storage::column& c = of.columns[of.key[i]];
    if (append_key_part(c.type, cells_[from_.key_at_[i]], bytes)) continue;
    bytes.resize(before);
    return net::error(net::errc::schema_mismatch, "a stored key does not fit its declared type",
                      of.name + "." + c.name);
  }
  return {};
}

net::result<void> row_maker::append_key(std::span<const column> columns,
                                        std::span<const std::string_view> fields, std::string& bytes) {
  if (auto done = decode(columns, fields, true); !done) return done;
  return key_of_cells(bytes);
}

net::result<row_maker::place> row_maker::append(std::span<const column> columns,
                                                std::span<const std::string_view> fields,
                                                std::string& bytes) {
  if (auto done = decode(columns, fields, false); !done) return done.error();
  const std::size_t before = bytes.size();
  place at;
  at.key_at = static_cast<std::uint32_t>(before);
  if (auto key = key_of_cells(bytes); !key) return key.error();
  at.key_size = static_cast<std::uint32_t>(bytes.size() - before);
  at.json_at = static_cast<std::uint32_t>(bytes.size());
  const std::span<const cell> shown(cells_.data(), from_.width_);
  if (auto encoded = from_.encoder_.append(shown, bytes); !encoded) {
    // Not `corrupt`: a row of another program's making is wrong, everything else goes on.
    net::error why = encoded.error();
    why.code = net::errc::schema_mismatch;
    why.detail += fmt::format(" (row {} of {})", bytes.substr(at.key_at, at.key_size), from_.of_->name);
    bytes.resize(before);
    return why;
  }
  at.json_size = static_cast<std::uint32_t>(bytes.size() - at.json_at);
  return at;
}

bool leave_out(const net::error& why) {
  static const perf::counter left_out = perf::metrics::add_counter(
      "syncline_mysql_rows_left_out_total",
      "Stored rows that fit no declaration and are not sent, each time one is met");
  if (why.code != net::errc::schema_mismatch) return false;
  left_out.add();
  perf::log_warn("a stored row is left out", {{"why", why.text()}});
  return true;
}

}  // namespace syncline::storage::mysql
