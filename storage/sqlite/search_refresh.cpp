#include "storage/sqlite/search_refresh.h"

#include <algorithm>

#include <fmt/format.h>

#include "storage/sqlite/triggers.h"

namespace syncline::storage::sqlite {

namespace {

// The rows that are taken: those of one resource up to a rowid.
constexpr std::string_view kTaken = "syncline_search_dirty.resource=?1 AND syncline_search_dirty.docid<=?2";

struct taken_rows {
  std::int64_t last = 0;
  std::uint64_t count = 0;
};

net::result<taken_rows> take(connection& db, std::int64_t id, std::uint64_t rows_max) {
  auto s = db.cached(
      "SELECT max(docid),count(*) FROM (SELECT docid FROM syncline_search_dirty WHERE resource=?1 ORDER BY "
      "docid LIMIT ?2)");
  if (!s) return s.error();
  const statement_use row(**s);
  row->bind(1, id);
  row->bind(2, static_cast<std::int64_t>(std::min(rows_max, std::uint64_t{INT64_MAX})));
  if (const int code = row->step(); code != SQLITE_ROW)
    return db.error(code, "looking for rows to be indexed");
  return taken_rows{row->integer(0), static_cast<std::uint64_t>(row->integer(1))};
}

net::result<void> run_over(connection& db, const std::string& sql, std::int64_t id, const taken_rows& rows) {
  auto s = db.cached(sql);
  if (!s) return s.error();
  const statement_use once(**s);
  once->bind(1, id);
  once->bind(2, rows.last);
  if (const int code = once->step(); code != SQLITE_DONE) return db.error(code, "keeping a keyword index");
  return {};
}

// In the order of the rowids, since FTS5 writes out its buffer when a smaller one comes.
std::string put_sql(const resource& of, const table_plan& plan) {
  const std::string rowid = fmt::format("{}.{}", plan.name(), quoted(plan.rowid_name()));
  std::string values = rowid;
  for (const std::size_t c : of.search)
    values += fmt::format(",{}.{}", plan.name(), quoted(of.columns[c].name));
  return fmt::format(
      "INSERT INTO {}({}) SELECT {} FROM syncline_search_dirty CROSS JOIN {} ON "
      "{}=syncline_search_dirty.docid "
      "WHERE {} ORDER BY syncline_search_dirty.docid",
      quoted(search_table_name(of)), search_columns_sql(of), values, plan.name(), rowid, kTaken);
}

net::result<void> refresh_one(connection& db, const resource& of, const table_plan& plan, std::int64_t id,
                              const taken_rows& rows) {
  const std::string drop =
      fmt::format("DELETE FROM {} WHERE rowid IN (SELECT docid FROM syncline_search_dirty WHERE {})",
                  quoted(search_table_name(of)), kTaken);
  if (auto dropped = run_over(db, drop, id, rows); !dropped) return dropped;
  if (auto put = run_over(db, put_sql(of, plan), id, rows); !put) return put;
  return run_over(db, fmt::format("DELETE FROM syncline_search_dirty WHERE {}", kTaken), id, rows);
}

}  // namespace

net::result<bool> search_waits(connection& db) {
  auto s = db.cached("SELECT 1 FROM syncline_search_dirty LIMIT 1");
  if (!s) return s.error();
  const statement_use row(**s);
  const int code = row->step();
  if (code != SQLITE_ROW && code != SQLITE_DONE) return db.error(code, "looking for rows to be indexed");
  return code == SQLITE_ROW;
}

net::result<std::uint64_t> refresh_search(connection& db, const catalog& all, const table_plans& plans,
                                          const std::vector<resource_row>& ids, std::uint64_t rows_max) {
  std::uint64_t made = 0;
  for (std::size_t i = 0; i < all.size() && i < ids.size() && made < rows_max; ++i) {
    const resource& of = all.at(i);
    if (of.search.empty() || ids[i].id == 0) continue;
    auto rows = take(db, ids[i].id, rows_max - made);
    if (!rows) return rows.error();
    if (rows->count == 0) continue;
    if (auto done = refresh_one(db, of, plans.of(of), ids[i].id, *rows); !done) return done.error();
    made += rows->count;
  }
  return made;
}

}  // namespace syncline::storage::sqlite
