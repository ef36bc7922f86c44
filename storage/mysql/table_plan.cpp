#include "storage/mysql/table_plan.h"

#include <bit>

#include <fmt/format.h>

#include "storage/mysql/cell_form.h"
#include "storage/mysql/literal.h"
#include "storage/mysql/small_result.h"
#include "storage/scalar_text.h"

namespace syncline::storage::mysql {

namespace {

constexpr std::string_view kColumns =
    "SELECT CONVERT(COLUMN_NAME USING utf8mb4), CONVERT(EXTRA USING utf8mb4), CONVERT(DATA_TYPE USING "
    "utf8mb4), CAST(COALESCE(NUMERIC_SCALE, DATETIME_PRECISION, 0) AS SIGNED), "
    "CONVERT(COALESCE(CHARACTER_SET_NAME, '') USING utf8mb4), CONVERT(COALESCE(COLLATION_NAME, '') USING "
    "utf8mb4) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA=DATABASE() AND TABLE_NAME=?";

// Compared by MySQL in the collation of the column, or after a conversion, unless we say otherwise.
bool compared_as_text(storage::column_type type) noexcept {
  return type == storage::column_type::string || type == storage::column_type::json ||
         type == storage::column_type::decimal;
}

// Whether MySQL can compare the column with it: a text that is no date would be an error of the statement,
// and 70 is the YEAR 1970. A value of a form that the column does not keep is compared all the same.
bool comparable(const storage::column& c, const cell& value) {
  std::string text;
  std::string ignored;
  if (c.spelling.of != value_spelling::form::verbatim && append_key_part(c.type, value, text) &&
      append_canonical(c.spelling, text, ignored))
    return true;
  switch (c.type) {
    case storage::column_type::int64:
      return c.spelling.of != value_spelling::form::year;
    case storage::column_type::timestamp:
      return append_timestamp(value.text, ignored) == text_fault::none;
    case storage::column_type::date:
      return check_date(value.text) == text_fault::none;
    case storage::column_type::decimal:
      return is_decimal(value.text);
    default:
      return true;
  }
}

}  // namespace

std::size_t padded(std::size_t count) noexcept {
  return std::bit_ceil(count);
}

table_plan::table_plan(const resource& of)
    : of_(&of),
      whole_(of, projection::all(of)),
      name_(identifier(of.table)),
      // The new line ends a comment at the end of the owner's text.
      visible_(of.where.empty() ? std::string() : " AND (" + of.where + "\n)"),
      kinds_(of.columns.size()) {
  for (const storage::column& c : of.columns) columns_.push_back(identifier(c.name));
  stored_head_ = fmt::format("SELECT {},{} FROM {} WHERE ", fmt::join(columns_, ","),
                             of.where.empty() ? std::string("1") : "(" + of.where + "\n) IS TRUE", name_);
}

net::task<net::result<table_plan>> table_plan::read(net::request_context& context, sql_connection& db,
                                                    const resource& of) {
  table_plan out(of);
  const argument table = argument::of_text(of.table);
  auto asking = db.execute(context, kColumns, std::span(&table, 1));
  net::result<result_rows> got = co_await std::move(asking);
  if (!got) co_return got.error();
  const small_result found(*got);
  for (std::size_t i = 0; i < found.size(); ++i) {
    const auto at = of.find_column(found.text(i, 0));
    if (!at) continue;
    column_kind& kind = out.kinds_[*at];
    const std::string_view extra = found.text(i, 1);
    // "VIRTUAL GENERATED", "STORED GENERATED"; DEFAULT_GENERATED is an ordinary column.
    kind.generated = extra.find("VIRTUAL") != std::string_view::npos ||
                     extra.find("STORED GENERATED") != std::string_view::npos;
    const std::string_view type = found.text(i, 2);
    kind.respelled = type == "char" || type == "enum" || type == "set" || type == "float";
    if (type == "decimal" || type == "datetime" || type == "timestamp")
      kind.fraction = static_cast<std::uint32_t>(found.integer(i, 3));
    kind.character_set = found.text(i, 4);
    kind.collation = found.text(i, 5);
    if (of.key.size() == 1 && of.key[0] == *at && extra.find("auto_increment") != std::string_view::npos)
      out.makes_key_ = true;
  }
  co_return out;
}

bool table_plan::bends(std::size_t column_index, const cell& given) const noexcept {
  const column_kind& kind = kinds_[column_index];
  if (kind.respelled) return true;
  if (kind.fraction == UINT32_MAX || given.k != cell::kind::text) return false;
  const std::size_t point = given.text.rfind('.');
  return point != std::string_view::npos && given.text.size() - point - 1 > kind.fraction;
}

bool table_plan::append_key_expression(std::size_t key_index, std::string_view expression,
                                       std::string& out) const {
  const std::size_t index = of_->key[key_index];
  switch (of_->columns[index].type) {
    case storage::column_type::int64:
    case storage::column_type::boolean:
    case storage::column_type::bytes:
      out += expression;
      return true;
    case storage::column_type::string:
      // Two columns with collations of their own cannot be compared as they are.
      if (kinds_[index].collation.empty()) return false;
      out += fmt::format("CONVERT({} USING {}) COLLATE {}", expression, kinds_[index].character_set,
                         kinds_[index].collation);
      return true;
    default:
      return false;
  }
}

net::result<std::vector<cell>> table_plan::split(std::string_view canonical, text_arena& arena) const {
  auto cells = split_key(*of_, canonical, arena);
  if (!cells) return cells;
  if (auto fit = prepare(of_->key, *cells, arena); !fit) return fit.error();
  return cells;
}

net::result<void> table_plan::prepare(std::span<const std::size_t> columns, std::span<cell> values,
                                      text_arena& arena) const {
  for (std::size_t i = 0; i < values.size(); ++i) {
    const storage::column& c = of_->columns[columns[i]];
    if (!comparable(c, values[i]))
      return net::error(net::errc::invalid, "the value does not fit the column", of_->name + "." + c.name);
    values[i] = server_cell(c.type, values[i], arena);
  }
  return {};
}

void table_plan::add_key_is(std::span<const cell> key, statement& out) const {
  for (std::size_t i = 0; i < key.size(); ++i) {
    if (i > 0) out.text += " AND ";
    out.text += columns_[of_->key[i]];
    out.text += "=?";
    out.with.push_back(argument::of_cell(key[i]));
  }
}

void table_plan::add_key_in(std::span<const cell> keys, statement& out) const {
  const std::size_t width = of_->key.size();
  const std::size_t count = keys.size() / width;
  if (width > 1) out.text += '(';
  for (std::size_t i = 0; i < width; ++i) {
    if (i > 0) out.text += ',';
    out.text += columns_[of_->key[i]];
  }
  out.text += width > 1 ? ") IN (" : " IN (";
  std::string one = "?";
  if (width > 1) {
    one = "(?";
    for (std::size_t i = 1; i < width; ++i) one += ",?";
    one += ')';
  }
  for (std::size_t i = 0; i < padded(count); ++i) {
    if (i > 0) out.text += ',';
    out.text += one;
    const std::size_t row = i < count ? i : count - 1;
    for (std::size_t c = 0; c < width; ++c) out.with.push_back(argument::of_cell(keys[row * width + c]));
  }
  out.text += ')';
}

// Spelled out: MySQL reads the whole table for (a,b) > (?,?), and a range of the index for this.
void table_plan::add_key_beyond(std::span<const cell> key, bool descending, statement& out) const {
  const char* const sign = descending ? "<?" : ">?";
  out.text += '(';
  for (std::size_t last = 0; last < key.size(); ++last) {
    if (last > 0) out.text += " OR (";
    for (std::size_t i = 0; i < last; ++i) {
      out.text += columns_[of_->key[i]];
      out.text += "=? AND ";
      out.with.push_back(argument::of_cell(key[i]));
    }
    out.text += columns_[of_->key[last]];
    out.text += sign;
    out.with.push_back(argument::of_cell(key[last]));
    if (last > 0) out.text += ')';
  }
  out.text += ')';
}

void table_plan::add_columns_are(std::span<const std::size_t> columns, std::span<const cell> values,
                                 statement& out) const {
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const std::string& name = columns_[columns[i]];
    if (i > 0) out.text += " AND ";
    out.text += name;
    out.text += "=?";
    out.with.push_back(argument::of_cell(values[i]));
    if (!compared_as_text(of_->columns[columns[i]].type)) continue;
    out.text += fmt::format(" AND CAST(CONVERT({} USING utf8mb4) AS BINARY)=?", name);
    out.with.push_back(argument::of_blob(values[i].text));
  }
}

void table_plan::add_order(bool descending, std::string& out) const {
  out += " ORDER BY ";
  for (std::size_t i = 0; i < of_->key.size(); ++i) {
    if (i > 0) out += ',';
    out += columns_[of_->key[i]];
    if (descending) out += " DESC";
  }
}

net::result<void> table_plan::add_scope(std::string_view text, statement& out, text_arena& arena) const {
  if (text.empty()) return {};
  auto parsed = parse_scope(text);
  if (!parsed) return parsed.error();
  const scope_rule* rule = of_->find_scope(parsed->name);
  if (rule == nullptr)
    return net::error(net::errc::invalid, "the resource has no such scope", of_->name + ": " + parsed->name);
  // The feed's text is compared bytewise, the column by value: another spelling would find rows and none of
  // their changes.
  auto canonical = canonical_scope_value(*of_, *rule, parsed->value);
  if (!canonical) return canonical.error();
  if (*canonical != parsed->value)
    return net::error(net::errc::invalid, "the scope's value has another spelling",
                      fmt::format("{} is {} in the feed", text, *canonical));
  const std::string_view kept = arena.copy(parsed->value);
  auto value = scope_cell(*of_, *rule, kept, arena);
  if (!value) return value.error();
  const storage::column& c = of_->columns[rule->column];
  if (!comparable(c, *value))
    return net::error(net::errc::invalid, "the value does not fit the scope's column",
                      of_->name + "." + c.name);
  const cell stored = server_cell(c.type, *value, arena);
  out.text += " AND ";
  add_columns_are(std::span(&rule->column, 1), std::span(&stored, 1), out);
  return {};
}

net::task<net::result<table_plans>> table_plans::read(net::request_context& context, sql_connection& db,
                                                      const catalog& all) {
  table_plans out;
  for (std::size_t i = 0; i < all.size(); ++i) {
    auto reading = table_plan::read(context, db, all.at(i));
    net::result<table_plan> plan = co_await std::move(reading);
    if (!plan) co_return plan.error();
    out.plans_.push_back(std::move(*plan));
  }
  co_return out;
}

}  // namespace syncline::storage::mysql
