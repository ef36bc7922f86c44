#include "storage/mysql/table_shape.h"

#include <algorithm>

#include <fmt/format.h>

#include "storage/mysql/literal.h"
#include "storage/mysql/text_rows.h"

namespace syncline::storage::mysql {

namespace {

std::string tables_sql(const std::string& table) {
  return fmt::format(
      "SELECT TABLE_TYPE, ENGINE, CREATE_TIME FROM information_schema.TABLES WHERE TABLE_SCHEMA=DATABASE() "
      "AND TABLE_NAME={}",
      text_literal(table));
}

std::string columns_sql(const std::string& table) {
  return fmt::format(
      "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, CHARACTER_SET_NAME, COLLATION_NAME, COLUMN_DEFAULT, "
      "CHARACTER_MAXIMUM_LENGTH, CHARACTER_OCTET_LENGTH, NUMERIC_PRECISION, DATETIME_PRECISION, IS_NULLABLE, "
      "EXTRA, GENERATION_EXPRESSION, NUMERIC_SCALE FROM information_schema.COLUMNS WHERE "
      "TABLE_SCHEMA=DATABASE() AND "
      "TABLE_NAME={} ORDER BY ORDINAL_POSITION",
      text_literal(table));
}

std::string indexes_sql(const std::string& table) {
  return fmt::format(
      "SELECT INDEX_NAME, NON_UNIQUE, INDEX_TYPE, IS_VISIBLE, COLUMN_NAME, SUB_PART, COLLATION FROM "
      "information_schema.STATISTICS WHERE TABLE_SCHEMA=DATABASE() AND TABLE_NAME={} ORDER BY INDEX_NAME, "
      "SEQ_IN_INDEX",
      text_literal(table));
}

bool has(const std::string& text, std::string_view word) {
  return text.find(word) != std::string::npos;
}

// COLUMN_DEFAULT is an expression where EXTRA says so, else the value's text; bit and binary defaults are
// printed as literals already.
std::string default_of(const text_row& row, const std::string& data_type, const std::string& extra) {
  if (row.null(5)) return {};
  const std::string& text = row.text(5);
  if (has(extra, "DEFAULT_GENERATED")) return "(" + text + ")";
  const bool literal_already = text.starts_with("b'") || text.starts_with("0x");
  if (literal_already && (data_type == "bit" || data_type == "binary" || data_type == "varbinary"))
    return text;
  return text_literal(text);
}

table_column column_of(const text_row& row) {
  table_column c;
  c.name = row.text(0);
  c.data_type = row.text(1);
  std::transform(c.data_type.begin(), c.data_type.end(), c.data_type.begin(),
                 [](char x) { return x >= 'A' && x <= 'Z' ? static_cast<char>(x + 32) : x; });
  c.declared_type = row.text(2);
  c.character_set = row.text(3);
  c.collation = row.text(4);
  c.characters = static_cast<std::uint64_t>(row.integer(6));
  c.octets = static_cast<std::uint64_t>(row.integer(7));
  c.digits = static_cast<std::uint32_t>(row.integer(8));
  c.fraction = static_cast<std::uint32_t>(row.integer(9));
  c.nullable = row.text(10) == "YES";
  const std::string& extra = row.text(11);
  c.generated = !row.text(12).empty();
  c.auto_increment = has(extra, "auto_increment");
  c.scale = static_cast<std::uint32_t>(row.integer(13));
  c.default_sql = default_of(row, c.data_type, extra);
  return c;
}

void append_index_part(table_shape& t, const text_row& row) {
  if (t.indexes.empty() || t.indexes.back().name != row.text(0)) {
    table_index made;
    made.name = row.text(0);
    made.unique = row.integer(1) == 0;
    made.primary = made.name == "PRIMARY";
    made.fulltext = row.text(2) == "FULLTEXT";
    made.plain = row.text(2) == "BTREE" && row.text(3) == "YES";
    t.indexes.push_back(std::move(made));
  }
  t.indexes.back().parts.push_back({row.text(4), !row.null(5), row.text(6) == "D"});
}

}  // namespace

const table_column* table_shape::find(std::string_view column) const noexcept {
  for (const table_column& c : columns)
    if (same_name(c.name, column)) return &c;
  return nullptr;
}

const table_index* table_shape::primary_index() const noexcept {
  for (const table_index& index : indexes)
    if (index.primary) return &index;
  return nullptr;
}

net::task<net::result<table_shape>> read_table_shape(net::request_context& context, sql_connection& db,
                                                     std::string table) {
  auto about_table = db.sql(context, tables_sql(table));
  auto about_columns = db.sql(context, columns_sql(table));
  auto about_indexes = db.sql(context, indexes_sql(table));
  net::result<result_rows> first = co_await std::move(about_table);
  net::result<result_rows> second = co_await std::move(about_columns);
  net::result<result_rows> third = co_await std::move(about_indexes);
  for (const auto* each : {&first, &second, &third})
    if (each->has_error()) co_return each->error();
  net::result<text_rows> tables = texts_of(*first);
  net::result<text_rows> columns = texts_of(*second);
  net::result<text_rows> indexes = texts_of(*third);
  for (const auto* each : {&tables, &columns, &indexes})
    if (each->has_error()) co_return each->error();

  table_shape t;
  if (tables->empty()) co_return t;
  t.name = std::move(table);
  t.kind = has(tables->front().text(0), "VIEW") ? table_shape::object::view : table_shape::object::table;
  t.engine = tables->front().text(1);
  t.created = tables->front().text(2);
  for (const text_row& row : *columns) t.columns.push_back(column_of(row));
  for (const text_row& row : *indexes) append_index_part(t, row);
  co_return t;
}

net::task<net::result<std::vector<foreign_key>>> read_foreign_keys(net::request_context& context,
                                                                   sql_connection& db) {
  auto asking = query(
      context, db,
      "SELECT k.CONSTRAINT_NAME, k.TABLE_NAME, IF(k.REFERENCED_TABLE_SCHEMA=DATABASE(),'',"
      "k.REFERENCED_TABLE_SCHEMA), k.REFERENCED_TABLE_NAME, r.UPDATE_RULE, r.DELETE_RULE, k.COLUMN_NAME, "
      "k.REFERENCED_COLUMN_NAME FROM information_schema.KEY_COLUMN_USAGE AS k JOIN "
      "information_schema.REFERENTIAL_CONSTRAINTS AS r ON r.CONSTRAINT_SCHEMA=k.CONSTRAINT_SCHEMA AND "
      "r.CONSTRAINT_NAME=k.CONSTRAINT_NAME AND r.TABLE_NAME=k.TABLE_NAME WHERE k.TABLE_SCHEMA=DATABASE() AND "
      "k.REFERENCED_TABLE_NAME IS NOT NULL ORDER BY k.TABLE_NAME, k.CONSTRAINT_NAME, k.ORDINAL_POSITION");
  net::result<text_rows> rows = co_await std::move(asking);
  if (!rows) co_return rows.error();
  std::vector<foreign_key> out;
  for (const text_row& row : *rows) {
    if (out.empty() || out.back().name != row.text(0) || out.back().table != row.text(1)) {
      foreign_key made;
      made.name = row.text(0);
      made.table = row.text(1);
      made.parent_schema = row.text(2);
      made.parent = row.text(3);
      made.on_update = row.text(4);
      made.on_delete = row.text(5);
      out.push_back(std::move(made));
    }
    out.back().columns.push_back(row.text(6));
    out.back().parent_columns.push_back(row.text(7));
  }
  co_return out;
}

}  // namespace syncline::storage::mysql
