#include "storage/mysql/write_session.h"

#include <algorithm>
#include <utility>

#include "storage/key.h"
#include "storage/mysql/cell_form.h"

namespace syncline::storage::mysql {

namespace {

constexpr std::size_t kLookedUpMax = 256;

}  // namespace

net::result<bool> stored_rows::row(const std::vector<column>& columns, const row_fields& fields) {
  const resource& of = plan_.of();
  const std::size_t width = of.columns.size();
  if (fields.size() <= width)
    return net::error(net::errc::internal, "a row has fewer fields than were asked for", of.name);
  stored_row& made = rows_.emplace_back();
  made.cells.resize(width);
  for (std::size_t i = 0; i < width; ++i) {
    auto value = client_cell(of.columns[i].type, columns[i], arena_.copy(fields[i]), arena_);
    if (!value) return value.error();
    made.cells[i] = *value;
  }
  const auto visible = client_cell(storage::column_type::boolean, columns[width], fields[width], arena_);
  made.visible = visible && visible->k == cell::kind::integer && visible->integer != 0;
  auto key = key_of_row(of, made.cells);
  // A row without a canonical key is nobody's: found by the database, not by us.
  if (!key) return true;
  made.key = std::move(*key);
  by_key_[made.key] = &made;
  return true;
}

const stored_row* stored_rows::find(std::string_view canonical) const noexcept {
  const auto found = by_key_.find(canonical);
  return found == by_key_.end() ? nullptr : found->second;
}

net::task<net::result<void>> write_session::settle_ahead() {
  if (!ahead_) co_return net::result<void>();
  answering first = std::move(*ahead_);
  ahead_.reset();
  const net::result<result_rows> done = co_await std::move(first);
  if (!done) co_return done.error();
  co_return net::result<void>();
}

net::task<net::result<void>> write_session::read(std::span<const cell> keys, bool locked, stored_rows& into) {
  const std::size_t width = plan.of().key.size();
  const std::size_t step = kLookedUpMax * width;
  for (std::size_t at = 0; at < keys.size(); at += step) {
    const auto part = keys.subspan(at, std::min(step, keys.size() - at));
    statement asked{plan.stored_head(), {}};
    if (part.size() == width) {
      plan.add_key_is(part, asked);
    } else {
      plan.add_key_in(part, asked);
    }
    if (locked) asked.text += " FOR UPDATE";
    auto reading = db.read(context, asked.text, asked.with, into);
    auto first = settle_ahead();
    if (auto settled = co_await std::move(first); !settled) co_return settled;
    const net::result<statement_notes> ended = co_await std::move(reading);
    if (!ended) co_return ended.error();
  }
  co_return net::result<void>();
}

net::task<net::result<void>> write_session::lock(std::span<const cell> keys, stored_rows& into) {
  return read(keys, true, into);
}

net::task<net::result<void>> write_session::look(std::span<const cell> keys, stored_rows& into) {
  return read(keys, false, into);
}

net::task<net::result<statement_notes>> write_session::run(const statement& what) {
  auto first = settle_ahead();
  if (auto settled = co_await std::move(first); !settled) co_return settled.error();
  auto running = db.execute(context, what.text, what.with);
  net::result<result_rows> done = co_await std::move(running);
  if (!done) co_return done.error();
  co_return std::move(done->notes);
}

net::task<net::result<statement_notes>> write_session::run_text(std::string_view text) {
  auto first = settle_ahead();
  if (auto settled = co_await std::move(first); !settled) co_return settled.error();
  auto running = db.sql(context, text);
  net::result<result_rows> done = co_await std::move(running);
  if (!done) co_return done.error();
  co_return std::move(done->notes);
}

}  // namespace syncline::storage::mysql
