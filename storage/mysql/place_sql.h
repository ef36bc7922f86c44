// SQL expressions for the places of a row: what triggers, numbering and checks are made of.
//
// A place is (resource, scope, key); the expressions give exactly the texts of key.h, as binary strings. A
// DATETIME is written as RFC 3339, `2026-11-20T12:00:00Z` with the column's digits of fraction. Thread: pure.
// The texts contain ASCII only apart from the owner's names: information_schema gives such trigger texts back
// as they were written.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/mysql/table_shape.h"
#include "storage/resource.h"

namespace syncline::storage::mysql {

// How a row's column is written: NEW.`a`, `t`.`a`, or what a cascade puts there.
using column_sql = std::function<std::string(std::string_view column)>;
[[nodiscard]] column_sql columns_of(std::string prefix);  // `NEW.`, `OLD.`, "`t`."

struct place_sql {
  std::string scope;
  std::string key;
  std::string exists;  // a condition; empty: the row always has this place
};
// The primary place first, then one for each further scope.
[[nodiscard]] std::vector<place_sql> places_of(const resource& of, const table_shape& t,
                                               const column_sql& row);

// "rows a and b differ in this column", by what is stored: 'a' and 'A' differ whatever the collation, and so
// do the JSON numbers 1 and 1.0.
[[nodiscard]] std::string differs_sql(const table_column& column, const column_sql& a, const column_sql& b);
[[nodiscard]] std::string any_differs_sql(const table_shape& t, const std::vector<std::string>& columns,
                                          const column_sql& a, const column_sql& b);

// The columns that decide a row's places (key and scopes), and those whose change makes an entry: declared
// ones, and those that `where` may read. Each once.
[[nodiscard]] std::vector<std::string> place_columns(const resource& of);
[[nodiscard]] std::vector<std::string> watched_columns(const resource& of, const table_shape& t);

// "(where)" over the table; empty when the resource has none.
[[nodiscard]] std::string where_sql(const resource& of);

// How many bytes the canonical text of a column can have, for telling whether it fits the feed.
[[nodiscard]] std::uint64_t widest_text(storage::column_type type, const table_column& c);

// The literals of a canonical key's columns, in key order, as MySQL compares them with the columns.
// errc::invalid for a text that no row could have.
[[nodiscard]] net::result<std::vector<std::string>> key_literals(const resource& of,
                                                                 std::string_view canonical);

}  // namespace syncline::storage::mysql
