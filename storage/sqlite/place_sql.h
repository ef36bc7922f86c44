// SQL expressions for the places of a row, and for its being inside `where`: what triggers, numbering and
// checks are made of.
//
// A place is (resource, scope, key); the expressions give exactly the texts of key.h. `row` is the prefix
// under which the row's columns are reached: `NEW.`, `OLD.`, or the quoted table name and a dot. Thread: pure
// functions, except read_where_columns, which asks SQLite to resolve the clause.
//
// `where` is only ever evaluated over the table itself. Over NEW and OLD its comparisons would lose the
// column's affinity (measured on 3.40: with an INTEGER column holding 1, `flag = '1'` is true over the table
// and false over `SELECT NEW.flag AS flag`), and rows would leave unseen.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "storage/resource.h"
#include "storage/sqlite/table_shape.h"

namespace syncline::storage::sqlite {

struct place_sql {
  std::string scope;
  std::string key;
  std::string exists;  // a condition; empty: the row always has this place
};
// The primary place first, then one for each further scope.
[[nodiscard]] std::vector<place_sql> places_of(const resource& of, const table_shape& t,
                                               std::string_view row);

// "rows a and b differ in this column", bytewise: 'a' and 'A' differ whatever the collation, and so do 1, 1.0
// and '1'.
[[nodiscard]] std::string differs_sql(std::string_view column, std::string_view a, std::string_view b);
[[nodiscard]] std::string any_differs_sql(const std::vector<std::string>& columns, std::string_view a,
                                          std::string_view b);

// The columns that decide a row's places: key and scopes, each once.
[[nodiscard]] std::vector<std::string> place_columns(const resource& of);

// "(where)" over the table, and "the row with this identity is in the table and inside where". Empty when the
// resource has no where.
[[nodiscard]] std::string where_sql(const resource& of);
[[nodiscard]] std::string inside_sql(const resource& of, const table_shape& t, std::string_view row);

// The table's columns that the clause reads. errc::schema_mismatch when it is no condition over this table
// alone.
[[nodiscard]] net::result<std::vector<std::string>> read_where_columns(connection& db, const resource& of,
                                                                       const table_shape& t);

// Unix seconds.
inline constexpr std::string_view kNowSql = "CAST(strftime('%s','now') AS INTEGER)";

[[nodiscard]] std::string joined(const std::vector<std::string>& parts, std::string_view between);

}  // namespace syncline::storage::sqlite
