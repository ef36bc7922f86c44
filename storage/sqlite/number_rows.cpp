#include "storage/sqlite/number_rows.h"

#include <fmt/format.h>

#include "storage/sqlite/scoped_transaction.h"
#include "storage/sqlite/table_walk.h"
#include "storage/sqlite/triggers.h"

namespace syncline::storage::sqlite {

std::string places_without_entry_sql(const resource& of, const table_shape& t, std::int64_t resource_id,
                                     const place_sql& place, std::string_view columns,
                                     std::string_view condition) {
  const std::string where = where_sql(of);
  return fmt::format(
      "SELECT {} FROM {} WHERE ({}){}{} AND NOT EXISTS(SELECT 1 FROM syncline_feed AS syncline_entry WHERE "
      "syncline_entry.resource={} AND syncline_entry.scope={} AND syncline_entry.\"key\"={})",
      columns, quoted(t.name), condition, place.exists.empty() ? "" : " AND " + place.exists,
      where.empty() ? "" : " AND " + where, resource_id, place.scope, place.key);
}

net::result<std::uint64_t> number_range(connection& db, const resource& of, const table_shape& t,
                                        std::int64_t resource_id, const table_walk& range) {
  std::uint64_t made = 0;
  for (const place_sql& place : places_of(of, t, quoted(t.name) + ".")) {
    const std::string columns =
        fmt::format("(SELECT seq FROM syncline_clock)+row_number() OVER (),{},{},{},NULL", resource_id,
                    place.scope, place.key);
    auto s = db.prepare("INSERT INTO syncline_feed(seq,resource,scope,\"key\",gone_at) " +
                        places_without_entry_sql(of, t, resource_id, place, columns, range.condition()));
    if (!s) return s.error();
    range.bind(*s);
    if (const int code = s->step(); code != SQLITE_DONE)
      return db.error(code, "numbering rows of " + of.name);
    const int inserted = sqlite3_changes(db.get());
    if (inserted == 0) continue;
    made += static_cast<std::uint64_t>(inserted);
    if (auto moved = db.exec(fmt::format("UPDATE syncline_clock SET seq=seq+{}", inserted)); !moved)
      return moved.error();
  }
  return made;
}

net::result<std::uint64_t> number_rows(connection& db, const resource& of, const table_shape& t,
                                       std::int64_t resource_id, const rows_progress& progress) {
  table_walk walk(db, t, kNumberBatchRows);
  std::uint64_t made = 0;
  while (true) {
    auto transaction = scoped_transaction::begin(db);
    if (!transaction) return transaction.error();
    auto there = walk.next();
    if (!there) return there.error();
    if (!*there) return made;
    auto numbered = number_range(db, of, t, resource_id, walk);
    if (!numbered) return numbered.error();
    if (auto done = transaction->commit(); !done) return done.error();
    made += *numbered;
    if (progress) progress(made);
  }
}

net::result<void> fill_search(connection& db, const resource& of, const table_shape& t) {
  const std::string index = quoted(search_table_name(of));
  const std::string table = quoted(t.name);
  std::vector<std::string> values{fmt::format("{}.{}", table, quoted(t.rowid_name))};
  for (const std::size_t c : of.search)
    values.push_back(fmt::format("{}.{}", table, quoted(of.columns[c].name)));
  table_walk walk(db, t, kNumberBatchRows);
  while (true) {
    auto transaction = scoped_transaction::begin(db);
    if (!transaction) return transaction.error();
    auto there = walk.next();
    if (!there) return there.error();
    if (!*there) return {};
    auto s = db.prepare(fmt::format(
        "INSERT INTO {0}({5}) SELECT {1} FROM {2} WHERE {3} AND NOT EXISTS(SELECT 1 FROM {0} AS "
        "syncline_words WHERE syncline_words.rowid={4})",
        index, joined(values, ","), table, walk.condition(), values.front(), search_columns_sql(of)));
    if (!s) return s.error();
    walk.bind(*s);
    if (const int code = s->step(); code != SQLITE_DONE)
      return db.error(code, "filling the keyword index of " + of.name);
    if (auto done = transaction->commit(); !done) return done.error();
  }
}

}  // namespace syncline::storage::sqlite
