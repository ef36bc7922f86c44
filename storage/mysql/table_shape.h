// What a table of the owner looks like: columns with their types, indexes, engine, and what identifies the
// table itself; and the foreign keys of a schema.
//
// Read from information_schema, in the connection's schema. Thread: values; reading takes a connection.
// Failure: result<>; a table that is not there has kind `absent` and is no error.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "storage/mysql/sql_connection.h"

namespace syncline::storage::mysql {

struct table_column {
  std::string name;
  std::string data_type;      // "int", "varchar": lower case, without length
  std::string declared_type;  // "int unsigned zerofill"
  std::string character_set;  // of texts
  std::string collation;
  std::string default_sql;  // an expression; empty: none, which for a nullable column means NULL
  std::uint64_t characters = 0;
  std::uint64_t octets = 0;
  std::uint32_t digits = 0;    // of an exact number
  std::uint32_t scale = 0;     // those of them behind the point
  std::uint32_t fraction = 0;  // digits of a time's fraction
  bool nullable = true;
  bool generated = false;
  bool auto_increment = false;
  [[nodiscard]] bool zerofill() const { return declared_type.find("zerofill") != std::string::npos; }
  [[nodiscard]] bool is_unsigned() const { return declared_type.find("unsigned") != std::string::npos; }
};

struct index_part {
  std::string column;   // empty: an expression
  bool prefix = false;  // only the first characters are in the index
  bool descending = false;
};

struct table_index {
  std::string name;
  bool unique = false;
  bool primary = false;
  bool fulltext = false;
  bool plain = false;  // a B-tree: neither full text, spatial nor hidden from the optimizer
  std::vector<index_part> parts;
};

struct table_shape {
  enum class object : std::uint8_t { absent, table, view };
  object kind = object::absent;
  std::string name;
  std::string engine;
  std::string created;  // changes with every rebuild, TRUNCATE and swap, and with harmless ALTERs too
  std::vector<table_column> columns;
  std::vector<table_index> indexes;

  [[nodiscard]] const table_column* find(std::string_view column) const noexcept;
  [[nodiscard]] const table_index* primary_index() const noexcept;
};

[[nodiscard]] net::task<net::result<table_shape>> read_table_shape(net::request_context& context,
                                                                   sql_connection& db, std::string table);

struct foreign_key {
  std::string name;
  std::string table;          // the child
  std::string parent_schema;  // empty: this one
  std::string parent;
  std::string on_update;  // "CASCADE", "SET NULL", "NO ACTION", "RESTRICT", "SET DEFAULT"
  std::string on_delete;
  std::vector<std::string> columns;
  std::vector<std::string> parent_columns;
};
// All of the schema, in a fixed order.
[[nodiscard]] net::task<net::result<std::vector<foreign_key>>> read_foreign_keys(
    net::request_context& context, sql_connection& db);

}  // namespace syncline::storage::mysql
