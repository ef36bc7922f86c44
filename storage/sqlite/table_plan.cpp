#include "storage/sqlite/table_plan.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "storage/sqlite/table_shape.h"

namespace syncline::storage::sqlite {

namespace {

std::string column_list(const resource& of, std::span<const std::size_t> columns) {
  std::string out;
  for (const std::size_t c : columns) {
    if (!out.empty()) out += ',';
    out += quoted(of.columns[c].name);
  }
  return out;
}

// The collation that `column = ?` uses when nothing else is said.
std::string declared_collation(connection& db, const resource& of, std::size_t column_index) {
  const char* collation = nullptr;
  const int code =
      sqlite3_table_column_metadata(db.get(), "main", of.table.c_str(), of.columns[column_index].name.c_str(),
                                    nullptr, &collation, nullptr, nullptr, nullptr);
  return code == SQLITE_OK && collation != nullptr ? std::string(collation) : std::string("BINARY");
}

// The text behind DEFAULT as an expression that means the same in a statement: a bare or quoted name is a
// string there.
std::string default_expression(const std::string& text) {
  if (text.empty()) return "NULL";
  const char first = text.front();
  const bool letter = (first >= 'a' && first <= 'z') || (first >= 'A' && first <= 'Z') || first == '_';
  if (first == '"' || first == '`' || first == '[') {
    std::string name = text.substr(1, text.size() - 2);
    if (first != '[')
      for (std::size_t at = 0; (at = name.find(std::string(2, first), at)) != std::string::npos; ++at)
        name.erase(at, 1);
    return literal(name);
  }
  if (!letter) return "(" + text + ")";
  for (const std::string_view word :
       {"null", "true", "false", "current_time", "current_date", "current_timestamp"})
    if (same_name(text, word)) return text;
  // x'00' is a blob.
  return text.size() > 1 && text[1] == '\'' ? text : literal(text);
}

// The unique index that is exactly the key, or nullptr: the key is the rowid, or the table is a view.
const table_index* key_index(const table_shape& shape, const resource& of) {
  for (const table_index& index : shape.indexes) {
    if (!index.unique || !index.where.empty() || index.parts.size() != of.key.size()) continue;
    const bool same = std::all_of(index.parts.begin(), index.parts.end(), [&](const index_part& part) {
      return std::any_of(of.key.begin(), of.key.end(),
                         [&](std::size_t k) { return same_name(part.column, of.columns[k].name); });
    });
    if (same) return &index;
  }
  return nullptr;
}

std::string index_collation(const table_index& index, const std::string& column_name) {
  for (const index_part& part : index.parts)
    if (same_name(part.column, column_name)) return part.collation;
  return "BINARY";
}

}  // namespace

bool stored_as_text(column_type type) noexcept {
  switch (type) {
    case column_type::string:
    case column_type::json:
    case column_type::timestamp:
    case column_type::date:
    case column_type::decimal:
      return true;
    default:
      return false;
  }
}

row_select::row_select(const resource& of, const projection& what) : of_(&of), encoder_(of, what) {
  std::vector<std::size_t> columns = what.columns;
  for (const std::size_t k : of.key) {
    const auto found = std::find(columns.begin(), columns.end(), k);
    key_columns_.push_back(static_cast<int>(found - columns.begin()));
    if (found == columns.end()) columns.push_back(k);
  }
  width_ = static_cast<int>(what.columns.size());
  head_ = fmt::format("SELECT {} FROM {}", column_list(of, columns), quoted(of.table));
}

net::result<void> row_select::append_key(const statement& row, std::string& bytes) const {
  const std::size_t before = bytes.size();
  for (std::size_t i = 0; i < key_columns_.size(); ++i) {
    if (i > 0) bytes += ',';
    if (append_key_part(of_->columns[of_->key[i]].type, row.column(key_columns_[i]), bytes)) continue;
    bytes.resize(before);
    return net::error(net::errc::schema_mismatch, "a stored key does not fit its declared type",
                      of_->name + "." + of_->columns[of_->key[i]].name);
  }
  return {};
}

net::result<row_select::place> row_select::append(const statement& row, std::string& bytes) const {
  const std::size_t before = bytes.size();
  place at;
  at.key_at = static_cast<std::uint32_t>(before);
  if (auto key = append_key(row, bytes); !key) return key.error();
  at.key_size = static_cast<std::uint32_t>(bytes.size() - before);
  at.json_at = static_cast<std::uint32_t>(bytes.size());

  constexpr std::size_t kInline = 64;
  std::array<cell, kInline> few;
  std::vector<cell> many;
  const auto width = static_cast<std::size_t>(width_);
  if (width > kInline) many.resize(width);
  const std::span<cell> cells = width > kInline ? std::span<cell>(many) : std::span<cell>(few.data(), width);
  for (std::size_t i = 0; i < width; ++i) cells[i] = row.column(static_cast<int>(i));
  if (auto encoded = encoder_.append(cells, bytes); !encoded) {
    // Not `corrupt`, which is said of the file: a row of another program's making is wrong, everything else
    // goes on.
    net::error why = encoded.error();
    why.code = net::errc::schema_mismatch;
    why.detail += fmt::format(" (row {} of {})", bytes.substr(at.key_at, at.key_size), of_->name);
    bytes.resize(before);
    return why;
  }
  at.json_size = static_cast<std::uint32_t>(bytes.size() - at.json_at);
  return at;
}

table_plan::table_plan(const resource& of)
    : of_(&of),
      whole_(of, projection::all(of)),
      name_(quoted(of.table)),
      keys_(column_list(of, of.key)),
      // The new line ends a comment at the end of the owner's text.
      visible_(of.where.empty() ? std::string() : " AND (" + of.where + "\n)") {}

net::result<table_plan> table_plan::read(connection& db, const resource& of) {
  auto shape = read_table_shape(db, of.table);
  // A view whose tables are gone: its own readers are told so, and nobody else.
  if (!shape && shape.error().code == net::errc::schema_mismatch) shape = table_shape();
  if (!shape) return shape.error();
  table_plan plan(of);
  plan.without_rowid_ = shape->without_rowid;
  plan.rowid_name_ = shape->rowid_name.empty() ? "rowid" : shape->rowid_name;
  for (const column& c : of.columns) {
    const table_column* there = shape->find(c.name);
    plan.generated_.push_back(there != nullptr && there->generated);
    plan.defaults_.push_back(default_expression(there != nullptr ? there->default_sql : std::string()));
  }
  const table_index* unique = key_index(*shape, of);
  for (const std::size_t k : of.key) {
    const std::string column = quoted(of.columns[k].name);
    const std::string declared = declared_collation(db, of, k);
    const std::string used = unique != nullptr ? index_collation(*unique, of.columns[k].name) : declared;
    plan.key_terms_.push_back(same_name(declared, used) ? column : column + " COLLATE " + quoted(used));
    if (stored_as_text(of.columns[k].type) && (!same_name(used, "BINARY") || !same_name(declared, "BINARY")))
      plan.bytewise_key_ = false;
  }
  return plan;
}

std::string table_plan::key_is(int first) const {
  std::string out;
  for (std::size_t i = 0; i < key_terms_.size(); ++i) {
    const int parameter = first + static_cast<int>(i);
    if (!out.empty()) out += " AND ";
    out += fmt::format("{}=?{}", key_terms_[i], parameter);
    const column& c = of_->columns[of_->key[i]];
    if (!bytewise_key_ && stored_as_text(c.type))
      out += fmt::format(" AND {}=?{} COLLATE BINARY", quoted(c.name), parameter);
  }
  return out;
}

std::string table_plan::key_beyond(int first, bool descending) const {
  const std::string_view sign = descending ? "<" : ">";
  if (key_terms_.size() == 1) return fmt::format("{}{}?{}", key_terms_[0], sign, first);
  std::string parameters;
  for (std::size_t i = 0; i < key_terms_.size(); ++i)
    parameters += fmt::format("{}?{}", i > 0 ? "," : "", first + static_cast<int>(i));
  return fmt::format("({}){}({})", fmt::join(key_terms_, ","), sign, parameters);
}

std::string table_plan::order(bool descending) const {
  std::string out = " ORDER BY ";
  for (std::size_t i = 0; i < key_terms_.size(); ++i)
    out += fmt::format("{}{}{}", i > 0 ? "," : "", key_terms_[i], descending ? " DESC" : "");
  return out;
}

net::result<scope_filter> table_plan::scope(std::string_view text, int parameter, text_arena& arena) const {
  scope_filter out;
  if (text.empty()) return out;
  auto parsed = parse_scope(text);
  if (!parsed) return parsed.error();
  const scope_rule* rule = of_->find_scope(parsed->name);
  if (rule == nullptr)
    return net::error(net::errc::invalid, "the resource has no such scope", of_->name + ": " + parsed->name);
  const std::string_view kept = arena.copy(parsed->value);
  auto value = scope_cell(*of_, *rule, kept, arena);
  if (!value) return value.error();
  out.value = *value;
  const column& c = of_->columns[rule->column];
  out.sql = fmt::format(" AND {}=?{}", quoted(c.name), parameter);
  if (stored_as_text(c.type)) out.sql += fmt::format(" AND {}=?{} COLLATE BINARY", quoted(c.name), parameter);
  return out;
}

net::result<table_plans> table_plans::read(connection& db, const catalog& all) {
  table_plans out;
  for (std::size_t i = 0; i < all.size(); ++i) {
    auto plan = table_plan::read(db, all.at(i));
    if (!plan) return plan.error();
    out.plans_.push_back(std::move(*plan));
  }
  return out;
}

net::result<std::shared_ptr<const table_plans>> schema_plans::current(connection& db) {
  auto s = db.cached("PRAGMA schema_version");
  if (!s) return s.error();
  std::int64_t version = 0;
  {
    const statement_use row(**s);
    if (const int code = row->step(); code != SQLITE_ROW)
      return db.error(code, "reading the schema's version");
    version = row->integer(0);
  }
  if (plans_ && version == schema_version_) return plans_;
  auto made = table_plans::read(db, *all_);
  if (!made) return made.error();
  plans_ = std::make_shared<const table_plans>(std::move(*made));
  schema_version_ = version;
  return plans_;
}

void bind_key(statement& to, int first, std::span<const cell> key) noexcept {
  for (std::size_t i = 0; i < key.size(); ++i) to.bind(first + static_cast<int>(i), key[i]);
}

net::result<clock_row> read_clock(connection& db) {
  auto s = db.cached("SELECT seq, horizon FROM syncline_clock WHERE id=1");
  if (!s) return s.error();
  const statement_use row(**s);
  const int code = row->step();
  if (code == SQLITE_DONE)
    return net::error(net::errc::schema_mismatch, "the feed's clock is missing; run `syncline migrate`");
  if (code != SQLITE_ROW) return db.error(code, "reading the clock");
  return clock_row{row->integer(0), row->integer(1)};
}

}  // namespace syncline::storage::sqlite
