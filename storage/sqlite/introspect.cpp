// The `resources` of a config for the tables that a file already has. What is printed fits the tables by
// construction: each resource is declared in memory first and checked as migrate would; one that does not fit
// becomes a comment that says why.

#include <algorithm>

#include <fmt/format.h>

#include "storage/resource_draft.h"
#include "storage/sqlite/place_sql.h"
#include "storage/sqlite/schema.h"

namespace syncline::storage::sqlite {

namespace {

struct listed_object {
  std::string name;
  std::string type;
};

struct reference {
  std::string column;
  std::string table;
};

net::result<std::vector<listed_object>> list_objects(connection& db) {
  auto s = db.prepare(
      "SELECT name, type FROM pragma_table_list WHERE schema='main' AND type IN ('table','view','virtual') "
      "AND "
      "substr(name,1,7)<>'sqlite_' AND substr(name,1,9)<>'syncline_' ORDER BY type='view', name COLLATE "
      "NOCASE");
  if (!s) return s.error();
  std::vector<listed_object> out;
  int code = SQLITE_ROW;
  while ((code = s->step()) == SQLITE_ROW) out.push_back({std::string(s->text(0)), std::string(s->text(1))});
  if (code != SQLITE_DONE) return db.error(code, "listing the tables");
  return out;
}

net::result<std::vector<reference>> list_references(connection& db, const std::string& table) {
  auto s = db.prepare("SELECT \"from\", \"table\" FROM pragma_foreign_key_list(?1, 'main') ORDER BY id, seq");
  if (!s) return s.error();
  s->bind(1, std::string_view(table));
  std::vector<reference> out;
  int code = SQLITE_ROW;
  while ((code = s->step()) == SQLITE_ROW) out.push_back({std::string(s->text(0)), std::string(s->text(1))});
  if (code != SQLITE_DONE) return db.error(code, "reading the foreign keys of " + table);
  return out;
}

column_type type_of(std::string_view declared) {
  std::string name(declared);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  const auto has = [&](std::string_view word) { return name.find(word) != std::string::npos; };
  if (has("bool")) return column_type::boolean;
  if (has("json")) return column_type::json;
  if (has("datetime") || has("timestamp")) return column_type::timestamp;
  if (has("date")) return column_type::date;
  if (has("dec") || has("numeric")) return column_type::decimal;
  switch (affinity_of(declared)) {
    case affinity::integer:
      return column_type::int64;
    case affinity::real:
      return column_type::float64;
    case affinity::blob:
      return declared.empty() ? column_type::string : column_type::bytes;
    default:
      return column_type::string;
  }
}

void choose_columns(resource_draft& d, const table_shape& t) {
  for (const table_column& c : t.columns) {
    column made;
    made.name = c.name;
    made.type = type_of(c.declared_type);
    // An unknown type name has NUMERIC affinity, under which a text of digits would come back as a number.
    if (t.kind == table_shape::object::table && made.type == column_type::string &&
        c.kind() == affinity::numeric) {
      d.notes.push_back(
          fmt::format("{} is left out: SQLite takes the type {} for a number; TEXT would be a string",
                      quoted_json(c.name), quoted_json(c.declared_type)));
      continue;
    }
    d.of.columns.push_back(std::move(made));
  }
}

void choose_key(resource_draft& d, const table_shape& t) {
  std::vector<std::string> names;
  std::vector<const table_column*> primary;
  for (const table_column& c : t.columns)
    if (c.primary_position != 0) primary.push_back(&c);
  std::sort(primary.begin(), primary.end(),
            [](const auto* a, const auto* b) { return a->primary_position < b->primary_position; });
  names.reserve(primary.size());
  for (const table_column* c : primary) names.push_back(c->name);
  for (const table_index& index : t.indexes) {
    if (!names.empty()) break;
    const bool fits = index.unique && index.where.empty() &&
                      std::all_of(index.parts.begin(), index.parts.end(), [&](const index_part& p) {
                        const table_column* c = t.find(p.column);
                        return c != nullptr && c->not_null;
                      });
    if (fits)
      for (const index_part& p : index.parts) names.push_back(p.column);
  }
  if (names.empty() && t.kind == table_shape::object::view && !t.columns.empty()) {
    names.push_back(t.find("id") != nullptr ? t.find("id")->name : t.columns.front().name);
    d.notes.push_back("a view has no PRIMARY KEY: is this key unique?");
  }
  for (const std::string& name : names) {
    const auto at = d.of.find_column(name);
    if (!at) {
      d.of.key.clear();
      return;
    }
    d.of.key.push_back(*at);
  }
}

net::result<void> suggest_scopes(connection& db, resource_draft& d, const table_shape& t) {
  d.suggest_own_scope();
  auto references = list_references(db, t.name);
  if (!references) return references.error();
  for (const reference& r : *references) {
    const bool indexed = std::any_of(t.indexes.begin(), t.indexes.end(), [&](const table_index& i) {
      return i.where.empty() && same_name(i.parts.front().column, r.column);
    });
    d.suggest_scope(r.column, r.table, indexed);
  }
  return {};
}

net::result<void> describe(connection& db, const listed_object& object, resource_list& out) {
  const auto left_out = [&](std::string why) {
    out.leave_out(object.type, object.name, std::move(why));
    return net::result<void>();
  };
  if (object.type == "virtual") return left_out("a virtual table has no triggers");
  auto shape = read_table_shape(db, object.name);
  if (!shape) return shape.error();
  resource_draft d;
  d.of.name = d.of.table = object.name;
  d.of.view = object.type == "view";
  d.of.synced = !d.of.view;
  choose_columns(d, *shape);
  choose_key(d, *shape);
  if (d.of.key.empty())
    return left_out("it has no PRIMARY KEY, and no UNIQUE NOT NULL that could be declared");
  if (auto suggested = suggest_scopes(db, d, *shape); !suggested) return suggested;

  catalog alone;
  alone.add(d.of);
  if (auto fitted = fit_to_schema(db, alone); !fitted) {
    if (fitted.error().code != net::errc::schema_mismatch) return fitted;
    return left_out(fitted.error().detail);
  }
  out.add(d);
  return {};
}

}  // namespace

net::result<std::string> introspect(connection& db) {
  auto objects = list_objects(db);
  if (!objects) return objects.error();
  resource_list out;
  for (const listed_object& object : *objects)
    if (auto described = describe(db, object, out); !described) return described.error();
  return out.text();
}

}  // namespace syncline::storage::sqlite
