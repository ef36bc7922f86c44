// What a table of the owner looks like: columns with their affinities, indexes with their expressions, and
// how a row is identified.
//
// Read from SQLite's own pragmas; only the texts of index expressions and of partial indexes come out of the
// CREATE INDEX text, since no pragma gives them. Thread: a value; reading it takes a connection. Failure:
// result<>; a table that is not there has kind `absent` and is no error.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/sqlite/connection.h"

namespace syncline::storage::sqlite {

enum class affinity : std::uint8_t { integer, text, blob, real, numeric };
[[nodiscard]] affinity affinity_of(std::string_view declared_type);
[[nodiscard]] std::string_view to_string(affinity a) noexcept;

struct table_column {
  std::string name;
  std::string declared_type;
  std::string default_sql;  // empty: none
  bool not_null = false;
  bool generated = false;
  int primary_position = 0;  // 1-based place in the PRIMARY KEY, 0 for none
  [[nodiscard]] affinity kind() const { return affinity_of(declared_type); }
};

struct index_part {
  std::string column;      // empty: an expression
  std::string expression;  // its text, without ASC or DESC
  std::string collation;
};

struct table_index {
  std::string name;
  bool unique = false;
  bool primary = false;
  std::string where;  // of a partial index
  std::vector<index_part> parts;
};

struct table_shape {
  enum class object : std::uint8_t { absent, table, view, virtual_table };
  object kind = object::absent;
  std::string name;  // as the schema spells it
  bool without_rowid = false;
  std::string rowid_name;  // rowid, _rowid_ or oid, whichever no column shadows; empty: cannot be named
  std::optional<std::size_t> rowid_alias;  // the INTEGER PRIMARY KEY column
  std::vector<table_column> columns;
  std::vector<table_index> indexes;

  [[nodiscard]] const table_column* find(std::string_view column) const noexcept;  // names compare as in SQL
  [[nodiscard]] const table_index* primary_index() const noexcept;
  // The columns that identify a row, with the collation of the index that keeps them unique: the rowid, or
  // the PRIMARY KEY of a WITHOUT ROWID table.
  [[nodiscard]] std::vector<index_part> identity() const;
};

[[nodiscard]] net::result<table_shape> read_table_shape(connection& db, std::string_view table);

// ASCII case folded, as SQLite compares names.
[[nodiscard]] bool same_name(std::string_view a, std::string_view b) noexcept;

// The parts and the WHERE text of a CREATE INDEX statement.
struct index_text {
  std::vector<std::string> parts;
  std::string where;
};
[[nodiscard]] index_text split_index_sql(std::string_view sql);

}  // namespace syncline::storage::sqlite
