// The `resources` of a config for the tables that a schema already has. What is printed fits the tables by
// construction: each resource is declared in memory first and checked as migrate would; one that does not fit
// becomes a comment that says why.

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "storage/mysql/schema.h"
#include "storage/mysql/table_shape.h"
#include "storage/mysql/text_rows.h"
#include "storage/row_json.h"

namespace syncline::storage::mysql {

namespace {

// A resource in the making, and what to say about it.
struct draft {
  resource of;
  std::vector<std::string> notes;
};

std::string json(std::string_view text) {
  std::string out;
  append_json_string(text, out);
  return out;
}

std::optional<storage::column_type> type_of(const table_column& c) {
  const std::string& t = c.data_type;
  if (t == "tinyint" && c.declared_type.starts_with("tinyint(1)")) return storage::column_type::boolean;
  if (t == "bit")
    return c.declared_type == "bit(1)" ? storage::column_type::boolean : storage::column_type::int64;
  if (t.ends_with("int") || t == "year") return storage::column_type::int64;
  if (t == "float" || t == "double") return storage::column_type::float64;
  if (t == "decimal") return storage::column_type::decimal;
  if (t == "json") return storage::column_type::json;
  if (t == "datetime" || t == "timestamp") return storage::column_type::timestamp;
  if (t == "date") return storage::column_type::date;
  if (t.ends_with("blob") || t.ends_with("binary")) return storage::column_type::bytes;
  if (t.ends_with("char") || t.ends_with("text") || t == "enum" || t == "set" || t == "time")
    return storage::column_type::string;
  return std::nullopt;
}

// The words for whom rows belong to, as tables are commonly named.
bool holds_users(std::string_view table) {
  constexpr std::array<std::string_view, 10> kNames = {"user",    "users",   "account",  "accounts",
                                                       "member",  "members", "customer", "customers",
                                                       "profile", "profiles"};
  return std::any_of(kNames.begin(), kNames.end(), [&](std::string_view n) { return same_name(n, table); });
}

void choose_columns(draft& d, const table_shape& t) {
  for (const table_column& c : t.columns) {
    const auto type = type_of(c);
    if (!type) {
      d.notes.push_back(
          fmt::format("{} is left out: the type {} has no JSON form", json(c.name), c.declared_type));
      continue;
    }
    storage::column made;
    made.name = c.name;
    made.type = *type;
    d.of.columns.push_back(std::move(made));
  }
}

// The PRIMARY KEY, else a UNIQUE one over whole NOT NULL columns.
void choose_key(draft& d, const table_shape& t) {
  const auto usable = [&](const table_index& index) {
    return index.unique && index.plain &&
           std::all_of(index.parts.begin(), index.parts.end(), [&](const index_part& p) {
             const table_column* c = t.find(p.column);
             return c != nullptr && !c->nullable && !p.prefix && d.of.find_column(c->name).has_value();
           });
  };
  const table_index* chosen = t.primary_index();
  if (chosen == nullptr || !usable(*chosen)) {
    chosen = nullptr;
    for (const table_index& index : t.indexes)
      if (chosen == nullptr && usable(index)) chosen = &index;
  }
  if (chosen != nullptr) {
    for (const index_part& p : chosen->parts) d.of.key.push_back(*d.of.find_column(t.find(p.column)->name));
  } else if (t.kind == table_shape::object::view && !d.of.columns.empty()) {
    d.of.key.push_back(d.of.find_column("id").value_or(0));
    d.notes.push_back("a view has no PRIMARY KEY: is this key unique?");
  }
}

void suggest_scopes(draft& d, const table_shape& t, const std::vector<foreign_key>& keys) {
  if (holds_users(t.name) && d.of.key.size() == 1)
    d.notes.push_back(
        fmt::format("whose row it is: \"scope\": {{\"user\":{}}}", json(d.of.columns[d.of.key[0]].name)));
  for (const foreign_key& key : keys) {
    if (key.table != t.name || key.columns.size() != 1 || !holds_users(key.parent)) continue;
    d.notes.push_back(fmt::format("{0} refers to {1}: \"scope\": {{\"user\":{0}}}", json(key.columns.front()),
                                  json(key.parent)));
  }
}

std::string printed(const draft& d) {
  const resource& of = d.of;
  std::string out;
  for (const std::string& note : d.notes) out += "  // " + note + "\n";
  std::vector<std::string> keys;
  for (const std::size_t k : of.key) keys.push_back(json(of.columns[k].name));
  std::vector<std::string> columns;
  for (const storage::column& c : of.columns)
    columns.push_back(fmt::format("      {}: {}", json(c.name), json(to_string(c.type))));
  out +=
      fmt::format("  {}: {{\n    \"table\": {},\n    \"key\": {},\n    \"columns\": {{\n{}\n    }}{}\n  }}",
                  json(of.name), json(of.table),
                  keys.size() == 1 ? keys.front() : fmt::format("[{}]", joined(keys, ", ")),
                  joined(columns, ",\n"), of.view ? ",\n    \"view\": true" : "");
  return out;
}

struct described {
  std::string text;
  bool is_resource = false;
};

net::task<net::result<described>> describe(net::request_context& context, sql_connection& db,
                                           std::string name, const std::vector<foreign_key>& keys) {
  auto shaping = read_table_shape(context, db, name);
  net::result<table_shape> shape = co_await std::move(shaping);
  if (!shape) co_return shape.error();
  described out;
  draft d;
  d.of.name = d.of.table = name;
  d.of.view = shape->kind == table_shape::object::view;
  d.of.synced = !d.of.view;
  const std::string left_out =
      fmt::format("  // {} {} is left out: ", d.of.view ? "view" : "table", json(name));
  choose_columns(d, *shape);
  choose_key(d, *shape);
  if (d.of.key.empty()) {
    out.text = left_out + "it has no PRIMARY KEY, and no UNIQUE NOT NULL that could be declared";
    co_return out;
  }
  suggest_scopes(d, *shape, keys);
  catalog alone;
  alone.add(d.of);
  auto fitting = fit_to_schema(context, db, alone);
  net::result<void> fitted = co_await std::move(fitting);
  if (!fitted) {
    if (fitted.error().code != net::errc::schema_mismatch) co_return fitted.error();
    std::string why = fitted.error().detail;
    std::replace(why.begin(), why.end(), '\n', ';');
    out.text = left_out + why;
    co_return out;
  }
  out.is_resource = true;
  out.text = printed(d);
  co_return out;
}

}  // namespace

net::task<net::result<std::string>> introspect(net::request_context& context, sql_connection& db) {
  auto listing = query(context, db,
                       "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA=DATABASE() AND "
                       "TABLE_NAME NOT LIKE 'syncline\\\\_%' ORDER BY TABLE_TYPE='VIEW', TABLE_NAME");
  net::result<text_rows> names = co_await std::move(listing);
  if (!names) co_return names.error();
  auto reading = read_foreign_keys(context, db);
  net::result<std::vector<foreign_key>> keys = co_await std::move(reading);
  if (!keys) co_return keys.error();
  std::string resources;
  std::string comments;
  for (const text_row& row : *names) {
    auto describing = describe(context, db, row.text(0), *keys);
    net::result<described> one = co_await std::move(describing);
    if (!one) co_return one.error();
    if (!one->is_resource) {
      comments += one->text + "\n";
      continue;
    }
    if (!resources.empty()) resources += ",\n";
    resources += one->text;
  }
  co_return "{\n" + comments + resources + (resources.empty() ? "}\n" : "\n}\n");
}

}  // namespace syncline::storage::mysql
