#include "storage/mysql/text_rows.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "storage/mysql/column_value.h"
#include "storage/scalar_text.h"

namespace syncline::storage::mysql {

namespace {

const std::string kNothing;

net::result<std::optional<std::string>> text_of(const column& of, std::string_view field, text_arena& arena) {
  const net::result<cell> value = decode_value(of, field, arena);
  if (!value) return value.error();
  std::string out;
  switch (value->k) {
    case cell::kind::absent:
    case cell::kind::null:
      return std::optional<std::string>();
    case cell::kind::integer:
      append_int64(value->integer, out);
      break;
    case cell::kind::real:
      append_double(value->real, out);
      break;
    case cell::kind::text:
    case cell::kind::blob:
      out.assign(value->text);
      break;
  }
  return std::optional<std::string>(std::move(out));
}

char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

}  // namespace

const std::string& text_row::text(std::size_t i) const {
  return fields_[i] ? *fields_[i] : kNothing;
}

std::int64_t text_row::integer(std::size_t i) const {
  std::int64_t out = 0;
  const std::string& digits = text(i);
  std::from_chars(digits.data(), digits.data() + digits.size(), out);
  return out;
}

net::result<text_rows> texts_of(const result_rows& from) {
  text_rows out;
  out.reserve(from.rows.size());
  text_arena arena;
  for (const auto& row : from.rows) {
    std::vector<std::optional<std::string>> fields;
    fields.reserve(row.size());
    for (std::size_t i = 0; i < row.size(); ++i) {
      auto text = text_of(from.columns[i], row[i], arena);
      if (!text) return text.error();
      fields.push_back(std::move(*text));
    }
    arena.clear();
    out.emplace_back(std::move(fields));
  }
  return out;
}

net::task<net::result<text_rows>> query(net::request_context& context, sql_connection& db, std::string sql) {
  auto asking = db.sql(context, sql);
  const net::result<result_rows> got = co_await std::move(asking);
  if (!got) co_return got.error();
  co_return texts_of(*got);
}

net::task<net::result<std::uint64_t>> run(net::request_context& context, sql_connection& db,
                                          std::string sql) {
  auto running = db.sql(context, sql);
  const net::result<result_rows> got = co_await std::move(running);
  if (!got) co_return got.error();
  co_return got->notes.rows_affected;
}

std::string joined(const std::vector<std::string>& parts, std::string_view between) {
  return fmt::format("{}", fmt::join(parts, between));
}

bool same_name(std::string_view a, std::string_view b) noexcept {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

}  // namespace syncline::storage::mysql
