#include "storage/sqlite/row_probe.h"

#include <algorithm>

#include <fmt/format.h>

#include "storage/key.h"
#include "storage/sqlite/place_sql.h"

namespace syncline::storage::sqlite {

namespace {

// The collation by which the key's unique index finds a value; any other one would read the whole table.
std::string collation_of_key(const resource& of, const table_shape& t, const std::string& column) {
  for (const table_index& index : t.indexes) {
    if (!index.unique || !index.where.empty() || index.parts.size() != of.key.size()) continue;
    const bool covers = std::all_of(of.key.begin(), of.key.end(), [&](std::size_t k) {
      return std::any_of(index.parts.begin(), index.parts.end(),
                         [&](const index_part& p) { return same_name(p.column, of.columns[k].name); });
    });
    if (!covers) continue;
    for (const index_part& p : index.parts)
      if (same_name(p.column, column)) return p.collation;
  }
  return "BINARY";
}

}  // namespace

net::result<row_probe> row_probe::make(connection& db, const resource& of) {
  row_probe out(db, of);
  auto shape = read_table_shape(db, of.table);
  if (!shape) return shape.error();
  out.shape_ = std::move(*shape);
  const table_shape& t = out.shape_;
  const std::string row = quoted(t.name) + ".";

  std::vector<std::string> conditions;
  for (std::size_t i = 0; i < of.key.size(); ++i) {
    const std::string& name = of.columns[of.key[i]].name;
    conditions.push_back(
        fmt::format("{}{} COLLATE {}=?{}", row, quoted(name), quoted(collation_of_key(of, t, name)), i + 1));
  }
  const std::vector<place_sql> places = places_of(of, t, row);
  std::vector<std::string> standing;
  for (const place_sql& place : places)
    standing.push_back(fmt::format("({})=?{} COLLATE BINARY", place.scope, of.key.size() + 2));
  conditions.push_back(fmt::format("({})=?{} COLLATE BINARY", places.front().key, of.key.size() + 1));
  conditions.push_back(fmt::format("({})", joined(standing, " OR ")));
  if (!of.where.empty()) conditions.push_back(where_sql(of));
  auto find =
      db.prepare(fmt::format("SELECT 1 FROM {} WHERE {}", quoted(t.name), joined(conditions, " AND ")));
  if (!find) return find.error();
  out.find_ = std::move(*find);
  return out;
}

net::result<bool> row_probe::there(std::string_view scope, std::string_view key) {
  text_arena arena;
  const auto cells = split_key(*of_, key, arena);
  if (!cells) return false;
  const statement_use once(find_);
  int at = 1;
  for (const cell& c : *cells) once->bind(at++, c);
  once->bind(at++, key);
  once->bind(at, scope);
  const int code = once->step();
  if (code != SQLITE_ROW && code != SQLITE_DONE) return db_->error(code, "looking for a row of " + of_->name);
  return code == SQLITE_ROW;
}

net::result<row_probes> row_probes::make(connection& db, const catalog& all) {
  row_probes out;
  auto rows = resource_rows(db, all);
  if (!rows) return rows.error();
  for (std::size_t i = 0; i < all.size(); ++i) {
    if ((*rows)[i].id == 0) continue;
    auto probe = row_probe::make(db, all.at(i));
    if (!probe) return probe.error();
    out.items_.push_back({(*rows)[i].id, std::move(*probe)});
  }
  return out;
}

row_probe* row_probes::find(std::int64_t resource_id) noexcept {
  for (item& i : items_)
    if (i.id == resource_id) return &i.probe;
  return nullptr;
}

}  // namespace syncline::storage::sqlite
