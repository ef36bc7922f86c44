#include "storage/sqlite/row_reads.h"

#include <algorithm>

#include <fmt/format.h>

#include "perf/log.h"
#include "perf/metrics.h"
#include "storage/sqlite/snapshot.h"

namespace syncline::storage::sqlite {

namespace {

void add_slice(rows& out, const row_select::place& at, std::uint32_t group) {
  row_slice& slice = out.slices.emplace_back();
  slice.key_at = at.key_at;
  slice.key_size = at.key_size;
  slice.json_at = at.json_at;
  slice.json_size = at.json_size;
  slice.group = group;
}

void add_missing(rows& out, std::string_view key) {
  row_slice& slice = out.slices.emplace_back();
  slice.found = false;
  slice.key_at = static_cast<std::uint32_t>(out.bytes.size());
  slice.key_size = static_cast<std::uint32_t>(key.size());
  slice.json_at = slice.key_at + slice.key_size;
  out.bytes += key;
}

// Whether an error is about one row, which then is left out.
bool leave_out(const net::error& why) {
  static const perf::counter left_out = perf::metrics::add_counter(
      "syncline_read_rows_left_out_total",
      "Stored rows that fit no declaration and are not answered, each time one is met");
  if (why.code != net::errc::schema_mismatch) return false;
  left_out.add();
  perf::log_warn("a stored row is left out of an answer", {{"why", why.text()}});
  return true;
}

// How many rows a query must give so that take_rows() can leave some out and still know whether more follow.
std::int64_t rows_asked(std::uint32_t limit) {
  return std::int64_t{limit} + 1 + kLeftOutMax;
}

// Steps a query of at most rows_asked(limit) rows; true when a row was left over.
net::result<bool> take_rows(connection& db, statement& query, const row_select& select, std::uint32_t limit,
                            std::uint32_t group, rows& out) {
  std::uint32_t taken = 0;
  std::uint32_t left_out = 0;
  for (;;) {
    const int code = query.step();
    if (code == SQLITE_DONE) return false;
    if (code != SQLITE_ROW) return db.error(code, "reading rows");
    if (taken == limit || out.bytes.size() >= kAnswerBytesMax) return true;
    auto at = select.append(query, out.bytes);
    if (!at) {
      if (!leave_out(at.error()) || ++left_out > kLeftOutMax) return at.error();
      continue;
    }
    add_slice(out, *at, group);
    ++taken;
  }
}

net::result<std::int64_t> position(connection& db) {
  auto now = read_clock(db);
  if (!now) return now.error();
  return now->seq;
}

}  // namespace

std::string match_expression(std::string_view words) {
  std::string out;
  std::size_t count = 0;
  std::size_t at = 0;
  const auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\0'; };
  while (at < words.size() && count < kSearchWordsMax) {
    while (at < words.size() && is_space(words[at])) ++at;
    std::size_t end = at;
    while (end < words.size() && !is_space(words[end])) ++end;
    if (end == at) break;
    if (count++ > 0) out += ' ';
    out += quoted(words.substr(at, end - at));
    at = end;
  }
  if (!out.empty()) out += '*';
  return out;
}

net::result<rows> read_by_key(connection& db, schema_plans& plans, const resource& of, const projection& what,
                              const std::vector<std::string>& keys) {
  const snapshot view(db);
  if (!view.opened()) return view.opened().error();
  auto current = plans.current(db);
  if (!current) return current.error();
  const table_plan& plan = (*current)->of(of);
  const row_select select(of, what);
  const std::string sql = select.head() + " WHERE " + plan.key_is(1) + plan.visible();
  auto seq = position(db);
  if (!seq) return seq.error();
  auto prepared = db.cached(sql);
  if (!prepared) return prepared.error();

  rows out;
  out.position = *seq;
  out.slices.reserve(keys.size());
  text_arena arena;
  for (const std::string& key : keys) {
    auto cells = split_key(of, key, arena);
    if (!cells) return cells.error();
    const statement_use query(**prepared);
    bind_key(*query, 1, *cells);
    const int code = query->step();
    if (code == SQLITE_DONE) {
      add_missing(out, key);
      continue;
    }
    if (code != SQLITE_ROW) return db.error(code, "reading a row");
    auto at = select.append(*query, out.bytes);
    if (at) {
      add_slice(out, *at, 0);
    } else if (leave_out(at.error())) {
      add_missing(out, key);
    } else {
      return at.error();
    }
  }
  return out;
}

net::result<rows> read_list(connection& db, schema_plans& plans, const list_query& query) {
  const resource& of = *query.of;
  const snapshot view(db);
  if (!view.opened()) return view.opened().error();
  auto current = plans.current(db);
  if (!current) return current.error();
  const table_plan& plan = (*current)->of(of);
  const row_select select(of, query.what);
  const bool descending = query.from == page_from::before || query.from == page_from::last;
  const bool keyset = query.from == page_from::after || query.from == page_from::before;
  text_arena arena;
  // Parameters: 1 the limit, 2 the scope, 3 the words, 4… the key.
  std::string sql = select.head() + " WHERE 1" + plan.visible();
  auto scope = plan.scope(query.scope, 2, arena);
  if (!scope) return scope.error();
  sql += scope->sql;
  const std::string words = match_expression(query.search);
  if (!words.empty()) {
    if (of.search.empty())
      return net::error(net::errc::invalid, "the resource declares no search columns", of.name);
    const std::string index = quoted("syncline_search_" + of.name);
    sql += fmt::format(" AND {} IN (SELECT rowid FROM {} WHERE {} MATCH ?3)", quoted(plan.rowid_name()),
                       index, index);
  }
  std::vector<cell> key;
  if (keyset) {
    auto cells = split_key(of, query.key, arena);
    if (!cells) return cells.error();
    key = std::move(*cells);
    sql += " AND " + plan.key_beyond(4, descending);
  }
  sql += plan.order(descending) + " LIMIT ?1";
  auto seq = position(db);
  if (!seq) return seq.error();
  auto prepared = db.cached(sql);
  if (!prepared) return prepared.error();
  const statement_use rows_of(**prepared);
  rows_of->bind(1, rows_asked(query.limit));
  if (!scope->sql.empty()) rows_of->bind(2, scope->value);
  if (!words.empty()) rows_of->bind(3, std::string_view(words));
  bind_key(*rows_of, 4, key);

  rows out;
  out.position = *seq;
  auto more = take_rows(db, *rows_of, select, query.limit, 0, out);
  if (!more) return more.error();
  out.more = *more;
  if (descending) std::reverse(out.slices.begin(), out.slices.end());
  return out;
}

net::result<rows> read_by_columns(connection& db, schema_plans& plans, const resource& of,
                                  const std::vector<std::size_t>& by, const std::vector<std::string>& keys,
                                  std::uint32_t rows_max) {
  const snapshot view(db);
  if (!view.opened()) return view.opened().error();
  auto current = plans.current(db);
  if (!current) return current.error();
  const table_plan& plan = (*current)->of(of);
  const row_select& select = plan.whole_row();
  // The asked values are key texts of these columns: split_key checks and splits them as it does the
  // resource's own key.
  resource keyed;
  keyed.name = of.name;
  keyed.columns = of.columns;
  keyed.key = by;
  std::string sql = select.head() + " WHERE 1" + plan.visible();
  for (std::size_t i = 0; i < by.size(); ++i) {
    const column& c = of.columns[by[i]];
    sql += fmt::format(" AND {}=?{}", quoted(c.name), i + 2);
    if (stored_as_text(c.type)) sql += fmt::format(" AND {}=?{} COLLATE BINARY", quoted(c.name), i + 2);
  }
  sql += plan.order(false) + " LIMIT ?1";
  auto seq = position(db);
  if (!seq) return seq.error();
  auto prepared = db.cached(sql);
  if (!prepared) return prepared.error();
  rows out;
  out.position = *seq;
  out.truncated.resize(keys.size());
  text_arena arena;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    auto cells = split_key(keyed, keys[i], arena);
    if (!cells) continue;  // a value that these columns cannot hold: no row has it
    const statement_use query(**prepared);
    query->bind(1, rows_asked(rows_max));
    bind_key(*query, 2, *cells);
    auto more = take_rows(db, *query, select, rows_max, static_cast<std::uint32_t>(i), out);
    if (!more) return more.error();
    out.truncated[i] = *more;
    out.more = out.more || *more;
  }
  return out;
}

}  // namespace syncline::storage::sqlite
