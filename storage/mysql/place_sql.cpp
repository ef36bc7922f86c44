#include "storage/mysql/place_sql.h"

#include <algorithm>

#include <fmt/format.h>

#include "storage/key.h"
#include "storage/mysql/literal.h"
#include "storage/mysql/text_rows.h"

namespace syncline::storage::mysql {

namespace {

// `value` is how the column is written where the text is needed.
std::string value_text(storage::column_type type, const table_column* c, const std::string& value) {
  const auto plain = [&] {
    // ZEROFILL and the YEAR 0 would have leading zeros and BIT its bytes; as numbers they have not.
    const bool as_number = c != nullptr && (c->zerofill() || c->data_type == "bit" || c->data_type == "year");
    return fmt::format("CAST({}{} AS CHAR)", value, as_number ? "+0" : "");
  };
  switch (type) {
    case storage::column_type::int64:
    case storage::column_type::boolean:
    case storage::column_type::decimal:
    case storage::column_type::date:
      return plain();
    case storage::column_type::bytes:
      return fmt::format("HEX({})", value);
    case storage::column_type::timestamp:
      return fmt::format("CONCAT(REPLACE(CAST({} AS CHAR),' ','T'),'Z')", value);
    default:
      return fmt::format("REPLACE(REPLACE(CONVERT({} USING utf8mb4),'%','%25'),',','%2C')", value);
  }
}

bool is_text(const table_column& c) {
  return !c.character_set.empty();
}

void add_once(std::vector<std::string>& names, const std::string& name) {
  const bool there =
      std::any_of(names.begin(), names.end(), [&](const std::string& n) { return same_name(n, name); });
  if (!there) names.push_back(name);
}

// Whether the clause may read the column: its name occurs somewhere in the text. MySQL tells nobody which
// columns an expression reads; a name inside a literal makes an entry too many, which is harmless. Names
// beyond ASCII fold their case in ways of their own, so they always count.
bool may_read(std::string_view clause, std::string_view column) {
  std::string name;
  for (const char c : column) {
    if ((static_cast<unsigned char>(c) & 0x80U) != 0) return true;
    name.push_back(c);
    if (c == '`') name.push_back(c);
  }
  return std::search(clause.begin(), clause.end(), name.begin(), name.end(), [](char a, char b) {
           const std::string_view x(&a, 1);
           return same_name(x, std::string_view(&b, 1));
         }) != clause.end();
}

}  // namespace

column_sql columns_of(std::string prefix) {
  return [prefix = std::move(prefix)](std::string_view column) { return prefix + identifier(column); };
}

std::vector<place_sql> places_of(const resource& of, const table_shape& t, const column_sql& row) {
  const auto text = [&](std::size_t column) {
    const storage::column& c = of.columns[column];
    return value_text(c.type, t.find(c.name), row(c.name));
  };
  std::vector<std::string> texts;
  for (const std::size_t k : of.key) texts.push_back(text(k));
  const std::string key = fmt::format(
      "CAST({} AS BINARY)", texts.size() == 1 ? texts.front() : "CONCAT(" + joined(texts, ",',',") + ")");
  std::vector<place_sql> out;
  if (of.scopes.empty()) out.push_back({"''", key, {}});
  for (std::size_t i = 0; i < of.scopes.size(); ++i) {
    const std::string value = row(of.columns[of.scopes[i].column].name);
    const std::string scope = fmt::format("CAST(CONCAT({},{}) AS BINARY)",
                                          text_literal(of.scopes[i].name + ":"), text(of.scopes[i].column));
    if (i == 0) {
      out.push_back({fmt::format("IFNULL({},'')", scope), key, {}});
    } else {
      out.push_back({scope, key, value + " IS NOT NULL"});
    }
  }
  return out;
}

std::string differs_sql(const table_column& column, const column_sql& a, const column_sql& b) {
  const std::string x = a(column.name);
  const std::string y = b(column.name);
  if (is_text(column)) return fmt::format("NOT (CAST({} AS BINARY) <=> CAST({} AS BINARY))", x, y);
  if (column.data_type == "json")
    return fmt::format("NOT (CAST(CAST({} AS CHAR) AS BINARY) <=> CAST(CAST({} AS CHAR) AS BINARY))", x, y);
  // 0e0 and -0e0 are equal and print differently.
  if (column.data_type == "float" || column.data_type == "double")
    return fmt::format("NOT ({0} <=> {1}) OR NOT (CAST({0} AS CHAR) <=> CAST({1} AS CHAR))", x, y);
  return fmt::format("NOT ({} <=> {})", x, y);
}

std::string any_differs_sql(const table_shape& t, const std::vector<std::string>& columns,
                            const column_sql& a, const column_sql& b) {
  std::vector<std::string> parts;
  for (const std::string& name : columns)
    if (const table_column* c = t.find(name)) parts.push_back(differs_sql(*c, a, b));
  return joined(parts, " OR ");
}

std::vector<std::string> place_columns(const resource& of) {
  std::vector<std::string> out;
  for (const std::size_t k : of.key) add_once(out, of.columns[k].name);
  for (const scope_rule& s : of.scopes) add_once(out, of.columns[s.column].name);
  return out;
}

std::vector<std::string> watched_columns(const resource& of, const table_shape& t) {
  std::vector<std::string> out;
  for (const storage::column& c : of.columns) add_once(out, c.name);
  if (of.where.empty()) return out;
  for (const table_column& c : t.columns)
    if (may_read(of.where, c.name)) add_once(out, c.name);
  return out;
}

// The line break ends a comment inside the clause.
std::string where_sql(const resource& of) {
  return of.where.empty() ? "" : fmt::format("({}\n)", of.where);
}

std::uint64_t widest_text(storage::column_type type, const table_column& c) {
  switch (type) {
    case storage::column_type::int64:
    case storage::column_type::boolean:
      return 20;
    case storage::column_type::decimal:
      return c.digits + 2U;
    case storage::column_type::date:
      return 10;
    case storage::column_type::timestamp:
      return 27;
    case storage::column_type::bytes:
      return c.octets * 2;
    default:
      break;
  }
  // A character outside the BMP has four bytes, others at most three, and so have %25 and %2C.
  const bool four = c.character_set == "utf8mb4" || c.character_set.starts_with("utf16") ||
                    c.character_set == "utf32" || c.character_set == "gb18030";
  return c.characters * (four ? 4 : 3);
}

net::result<std::vector<std::string>> key_literals(const resource& of, std::string_view canonical) {
  text_arena arena;
  auto cells = split_key(of, canonical, arena);
  if (!cells) return cells.error();
  std::vector<std::string> out;
  for (std::size_t i = 0; i < cells->size(); ++i) {
    std::string text;
    if (of.columns[of.key[i]].type == storage::column_type::timestamp) {
      std::string stored((*cells)[i].text);
      std::replace(stored.begin(), stored.end(), 'T', ' ');
      if (stored.ends_with('Z')) stored.pop_back();
      append_text_literal(stored, text);
    } else {
      append_literal((*cells)[i], text);
    }
    out.push_back(std::move(text));
  }
  return out;
}

}  // namespace syncline::storage::mysql
