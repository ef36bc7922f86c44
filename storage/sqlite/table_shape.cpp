#include "storage/sqlite/table_shape.h"

#include <algorithm>

namespace syncline::storage::sqlite {

namespace {

char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string lowered(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), lower);
  return out;
}

bool is_word(char c) noexcept {
  const char l = lower(c);
  return (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '$' || (c & 0x80) != 0;
}

bool is_space(char c) noexcept {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

std::string trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return std::string(text);
}

// The end of the token that starts at `at`: a quoted text, a comment, a word, or one character.
std::size_t token_end(std::string_view sql, std::size_t at) {
  const char c = sql[at];
  if (c == '\'' || c == '"' || c == '`' || c == '[') {
    const char close = c == '[' ? ']' : c;
    for (std::size_t i = at + 1; i < sql.size(); ++i) {
      if (sql[i] != close) continue;
      if (close != ']' && i + 1 < sql.size() && sql[i + 1] == close) {
        ++i;
        continue;
      }
      return i + 1;
    }
    return sql.size();
  }
  if (sql.substr(at, 2) == "--") {
    const auto end = sql.find('\n', at);
    return end == std::string_view::npos ? sql.size() : end;
  }
  if (sql.substr(at, 2) == "/*") {
    const auto end = sql.find("*/", at + 2);
    return end == std::string_view::npos ? sql.size() : end + 2;
  }
  if (!is_word(c)) return at + 1;
  while (at < sql.size() && is_word(sql[at])) ++at;
  return at;
}

bool is_comment(std::string_view token) {
  return token.starts_with("--") || token.starts_with("/*");
}

std::string without_order(std::string part) {
  for (const std::string_view word : {"asc", "desc"}) {
    if (part.size() <= word.size() || is_word(part[part.size() - word.size() - 1])) continue;
    if (same_name(std::string_view(part).substr(part.size() - word.size()), word))
      return trimmed(std::string_view(part).substr(0, part.size() - word.size()));
  }
  return part;
}

net::result<void> read_columns(connection& db, table_shape& t) {
  auto s = db.prepare(
      "SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo(?1, 'main') ORDER BY "
      "cid");
  if (!s) return s.error();
  s->bind(1, std::string_view(t.name));
  int code = SQLITE_ROW;
  while ((code = s->step()) == SQLITE_ROW) {
    const std::int64_t hidden = s->integer(5);
    if (hidden == 1) continue;  // a hidden column of a virtual table
    table_column c;
    c.name = s->text(0);
    c.declared_type = s->text(1);
    c.not_null = s->integer(2) != 0;
    c.default_sql = s->text(3);
    c.primary_position = static_cast<int>(s->integer(4));
    c.generated = hidden > 1;
    t.columns.push_back(std::move(c));
  }
  if (code != SQLITE_DONE) return db.error(code, "reading the columns of " + t.name);
  return {};
}

net::result<void> read_index_parts(connection& db, table_index& index) {
  auto sql = db.prepare("SELECT sql FROM sqlite_schema WHERE type='index' AND name=?1");
  if (!sql) return sql.error();
  sql->bind(1, std::string_view(index.name));
  index_text text;
  if (sql->step() == SQLITE_ROW) text = split_index_sql(sql->text(0));
  index.where = text.where;

  auto s =
      db.prepare("SELECT cid, name, coll FROM pragma_index_xinfo(?1, 'main') WHERE \"key\"=1 ORDER BY seqno");
  if (!s) return s.error();
  s->bind(1, std::string_view(index.name));
  int code = SQLITE_ROW;
  while ((code = s->step()) == SQLITE_ROW) {
    index_part part;
    const std::size_t at = index.parts.size();
    if (s->integer(0) >= 0) {
      part.column = s->text(1);
    } else if (at < text.parts.size()) {
      part.expression = without_order(text.parts[at]);
    }
    part.collation = s->text(2);
    index.parts.push_back(std::move(part));
  }
  if (code != SQLITE_DONE) return db.error(code, "reading the index " + index.name);
  return {};
}

net::result<void> read_indexes(connection& db, table_shape& t) {
  {
    // Ordered by name, not by age: the same table must give the same trigger text whatever order its indexes
    // were made in.
    auto s = db.prepare(
        "SELECT name, \"unique\", origin FROM pragma_index_list(?1, 'main') ORDER BY name COLLATE BINARY");
    if (!s) return s.error();
    s->bind(1, std::string_view(t.name));
    int code = SQLITE_ROW;
    while ((code = s->step()) == SQLITE_ROW) {
      table_index index;
      index.name = s->text(0);
      index.unique = s->integer(1) != 0;
      index.primary = s->text(2) == "pk";
      t.indexes.push_back(std::move(index));
    }
    if (code != SQLITE_DONE) return db.error(code, "reading the indexes of " + t.name);
  }
  for (table_index& index : t.indexes)
    if (auto read = read_index_parts(db, index); !read) return read.error();
  return {};
}

void find_rowid(table_shape& t) {
  if (t.kind != table_shape::object::table || t.without_rowid) return;
  for (const std::string_view name : {"rowid", "_rowid_", "oid"}) {
    if (t.find(name) != nullptr) continue;
    t.rowid_name = name;
    break;
  }
  std::size_t in_key = 0;
  std::optional<std::size_t> candidate;
  for (std::size_t i = 0; i < t.columns.size(); ++i) {
    if (t.columns[i].primary_position == 0) continue;
    ++in_key;
    if (same_name(t.columns[i].declared_type, "integer")) candidate = i;
  }
  // A PRIMARY KEY that has an index of its own (INTEGER PRIMARY KEY DESC, INT PRIMARY KEY) is not the rowid.
  if (in_key == 1 && candidate && t.primary_index() == nullptr) t.rowid_alias = candidate;
  if (t.rowid_alias) t.rowid_name = t.columns[*t.rowid_alias].name;
}

}  // namespace

affinity affinity_of(std::string_view declared_type) {
  const std::string type = lowered(declared_type);
  const auto has = [&](std::string_view word) { return type.find(word) != std::string::npos; };
  if (has("int")) return affinity::integer;
  if (has("char") || has("clob") || has("text")) return affinity::text;
  if (has("blob") || type.empty()) return affinity::blob;
  if (has("real") || has("floa") || has("doub")) return affinity::real;
  return affinity::numeric;
}

std::string_view to_string(affinity a) noexcept {
  switch (a) {
    case affinity::integer:
      return "INTEGER";
    case affinity::text:
      return "TEXT";
    case affinity::blob:
      return "BLOB";
    case affinity::real:
      return "REAL";
    case affinity::numeric:
      return "NUMERIC";
  }
  return "unknown";
}

bool same_name(std::string_view a, std::string_view b) noexcept {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

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

std::vector<index_part> table_shape::identity() const {
  if (!without_rowid) return {index_part{rowid_name, {}, "BINARY"}};
  const table_index* primary = primary_index();
  return primary == nullptr ? std::vector<index_part>{} : primary->parts;
}

net::result<table_shape> read_table_shape(connection& db, std::string_view table) {
  table_shape t;
  {
    auto s = db.prepare("SELECT name, type, wr FROM pragma_table_list(?1) WHERE schema='main'");
    if (!s) return s.error();
    s->bind(1, table);
    const int code = s->step();
    if (code == SQLITE_DONE) return t;
    if (code != SQLITE_ROW) return db.error(code, "looking for the table");
    const std::string_view type = s->text(1);
    t.name = s->text(0);
    t.without_rowid = s->integer(2) != 0;
    t.kind = type == "view"    ? table_shape::object::view
             : type == "table" ? table_shape::object::table
                               : table_shape::object::virtual_table;
  }
  if (auto read = read_columns(db, t); !read) return read.error();
  if (t.kind == table_shape::object::table)
    if (auto read = read_indexes(db, t); !read) return read.error();
  find_rowid(t);
  return t;
}

index_text split_index_sql(std::string_view sql) {
  index_text out;
  std::string part;
  int depth = 0;
  bool listed = false;
  for (std::size_t at = 0, end = 0; at < sql.size(); at = end) {
    end = token_end(sql, at);
    const std::string_view token = sql.substr(at, end - at);
    if (is_comment(token)) {
      part += ' ';
    } else if (listed) {
      if (same_name(token, "where")) {
        out.where = trimmed(sql.substr(end));
        break;
      }
    } else if (depth == 0) {
      if (token == "(") depth = 1;
    } else if ((token == "," || token == ")") && depth == 1) {
      out.parts.push_back(trimmed(part));
      part.clear();
      if (token == ")") listed = true;
    } else {
      if (token == "(") ++depth;
      if (token == ")") --depth;
      part += token;
    }
  }
  return out;
}

}  // namespace syncline::storage::sqlite
