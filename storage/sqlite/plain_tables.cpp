#include "storage/sqlite/plain_tables.h"

namespace syncline::storage::sqlite {

namespace {

net::result<std::int64_t> one_number(connection& db, const std::string& sql, std::string_view table = {}) {
  auto s = db.cached(sql);
  if (!s) return s.error();
  const statement_use row(**s);
  if (!table.empty()) row->bind(1, table);
  if (const int code = row->step(); code != SQLITE_ROW) return db.error(code, "reading the schema");
  return row->integer(0);
}

}  // namespace

net::result<bool> plain_tables::plain(connection& db, const std::string& table) {
  auto version = one_number(db, "PRAGMA schema_version");
  if (!version) return version.error();
  if (*version != schema_version_) plain_.clear();
  schema_version_ = *version;
  if (const auto known = plain_.find(table); known != plain_.end()) return known->second;
  // That a conflict clause is somewhere in its text is enough to leave a table alone.
  auto others = one_number(db,
                           "SELECT count(*) FROM sqlite_schema WHERE tbl_name=?1 COLLATE NOCASE AND "
                           "((type='trigger' AND name NOT LIKE 'syncline\\_%' ESCAPE '\\') OR "
                           "(type='table' AND sql LIKE '%conflict%'))",
                           table);
  if (!others) return others.error();
  return plain_[table] = *others == 0;
}

}  // namespace syncline::storage::sqlite
