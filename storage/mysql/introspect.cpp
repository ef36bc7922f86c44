// The `resources` of a config for the tables that a schema already has. What is printed fits the tables by
// construction: each resource is declared in memory first and checked as migrate would; one that does not fit
// becomes a comment that says why.

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "storage/mysql/schema.h"
#include "storage/mysql/table_shape.h"
#include "storage/mysql/text_rows.h"
#include "storage/resource_draft.h"

namespace syncline::storage::mysql {

namespace {

std::optional<storage::column_type> type_of(const table_column& c) {
  const std::string& t = c.data_type;
  if (t == "tinyint" && c.declared_type.starts_with("tinyint(1)")) return storage::column_type::boolean;
  if (t == "bit")
    return c.declared_type == "bit(1)" ? storage::column_type::boolean : storage::column_type::int64;
  if (t == "int" || t == "tinyint" || t == "smallint" || t == "mediumint" || t == "bigint" || t == "year")
    return storage::column_type::int64;
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

void choose_columns(resource_draft& d, const table_shape& t) {
  for (const table_column& c : t.columns) {
    const auto type = type_of(c);
    if (!type) {
      d.notes.push_back(
          fmt::format("{} is left out: the type {} has no JSON form", quoted_json(c.name), c.declared_type));
      continue;
    }
    storage::column made;
    made.name = c.name;
    made.type = *type;
    d.of.columns.push_back(std::move(made));
  }
}

// The PRIMARY KEY, else a UNIQUE one over whole NOT NULL columns.
void choose_key(resource_draft& d, const table_shape& t) {
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

void suggest_scopes(resource_draft& d, const table_shape& t, const std::vector<foreign_key>& keys) {
  d.suggest_own_scope();
  // InnoDB has an index on the columns of every foreign key.
  for (const foreign_key& key : keys)
    if (key.table == t.name && key.columns.size() == 1)
      d.suggest_scope(key.columns.front(), key.parent, true);
}

net::task<net::result<void>> describe(net::request_context& context, sql_connection& db, std::string name,
                                      const std::vector<foreign_key>& keys, resource_list& out) {
  auto shaping = read_table_shape(context, db, name);
  net::result<table_shape> shape = co_await std::move(shaping);
  if (!shape) co_return shape.error();
  resource_draft d;
  d.of.name = d.of.table = name;
  d.of.view = shape->kind == table_shape::object::view;
  d.of.synced = !d.of.view;
  const std::string_view kind = d.of.view ? "view" : "table";
  choose_columns(d, *shape);
  choose_key(d, *shape);
  if (d.of.key.empty()) {
    out.leave_out(kind, name, "it has no PRIMARY KEY, and no UNIQUE NOT NULL that could be declared");
    co_return net::result<void>();
  }
  suggest_scopes(d, *shape, keys);
  catalog alone;
  alone.add(d.of);
  auto fitting = fit_to_schema(context, db, alone);
  net::result<void> fitted = co_await std::move(fitting);
  if (fitted) {
    out.add(d);
  } else if (fitted.error().code == net::errc::schema_mismatch) {
    out.leave_out(kind, name, fitted.error().detail);
  } else {
    co_return fitted;
  }
  co_return net::result<void>();
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
  resource_list out;
  for (const text_row& row : *names) {
    auto describing = describe(context, db, row.text(0), *keys, out);
    if (const net::result<void> one = co_await std::move(describing); !one) co_return one.error();
  }
  co_return out.text();
}

}  // namespace syncline::storage::mysql
