// Whether the tables of a SQLite file fit what the config declares. Strict where a difference would lose or
// mix up rows (keys, scopes, search), lenient where SQLite would only spell a value differently.

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "storage/sqlite/schema.h"
#include "storage/sqlite/triggers.h"

namespace syncline::storage::sqlite {

namespace {

struct differences {
  std::vector<std::string> lines;
  template <class... Args>
  void add(const resource& of, fmt::format_string<Args...> text, Args&&... args) {
    lines.push_back(fmt::format("resource {}: {}", of.name, fmt::format(text, std::forward<Args>(args)...)));
  }
};

// A key or scope value must have one spelling in the table, so its column must hold one kind of value.
bool fits_exactly(column_type type, affinity a) {
  switch (type) {
    case column_type::int64:
      return a == affinity::integer;
    case column_type::boolean:
      return a == affinity::integer || a == affinity::numeric;
    case column_type::bytes:
      return a == affinity::blob;
    case column_type::string:
    case column_type::timestamp:
    case column_type::date:
    case column_type::decimal:
      return a == affinity::text;
    case column_type::float64:
    case column_type::json:
      return false;
  }
  return false;
}

// What the column would store is what was sent, or a number of the same value.
bool fits(column_type type, affinity a) {
  switch (type) {
    case column_type::int64:
      return a != affinity::text && a != affinity::real;
    case column_type::float64:
      return a != affinity::text;
    case column_type::boolean:
      return a != affinity::text && a != affinity::real;
    case column_type::string:
      return a == affinity::text || a == affinity::blob;  // NUMERIC would turn '007' into 7
    case column_type::json:
    case column_type::timestamp:
    case column_type::date:
    case column_type::decimal:
      return a != affinity::integer && a != affinity::real;
    case column_type::bytes:
      return true;  // no affinity changes a BLOB
  }
  return false;
}

void fit_columns(resource& of, const table_shape& t, differences& out) {
  for (std::size_t i = 0; i < of.columns.size(); ++i) {
    column& c = of.columns[i];
    const table_column* there = t.find(c.name);
    if (there == nullptr) {
      out.add(of, "the table {} has no column \"{}\"", of.table, c.name);
      continue;
    }
    const bool alias = t.rowid_alias && &t.columns[*t.rowid_alias] == there;
    c.nullable = !(there->not_null || alias || (t.without_rowid && there->primary_position != 0));
    c.has_default = alias || there->generated || !there->default_sql.empty();
    if (t.kind != table_shape::object::table) continue;  // a view's columns need not have types
    const bool in_place = of.is_key(i) || std::any_of(of.scopes.begin(), of.scopes.end(),
                                                      [&](const scope_rule& s) { return s.column == i; });
    if (in_place && !fits_exactly(c.type, there->kind())) {
      out.add(of,
              "column \"{}\" is {} in the config and \"{}\" ({} affinity) in the table, which cannot be a "
              "key or scope",
              c.name, to_string(c.type), there->declared_type, to_string(there->kind()));
    } else if (!fits(c.type, there->kind())) {
      out.add(of, "column \"{}\" is {} in the config and \"{}\" ({} affinity) in the table", c.name,
              to_string(c.type), there->declared_type, to_string(there->kind()));
    }
  }
}

std::set<std::string> folded(const std::vector<std::string>& names) {
  std::set<std::string> out;
  for (std::string name : names) {
    std::transform(name.begin(), name.end(), name.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    out.insert(std::move(name));
  }
  return out;
}

bool is_unique_key(const table_shape& t, const std::set<std::string>& key) {
  if (t.rowid_alias && key == folded({t.columns[*t.rowid_alias].name})) return true;
  return std::any_of(t.indexes.begin(), t.indexes.end(), [&](const table_index& index) {
    if (!index.unique || !index.where.empty()) return false;
    std::vector<std::string> names;
    for (const index_part& p : index.parts) {
      const table_column* c = t.find(p.column);
      if (c == nullptr || (!index.primary && !c->not_null)) return false;
      names.push_back(p.column);
    }
    return folded(names) == key;
  });
}

void fit_key(const resource& of, const table_shape& t, differences& out) {
  if (of.key.empty()) return out.add(of, "it declares no key");
  std::vector<std::string> names;
  for (const std::size_t k : of.key) names.push_back(of.columns[k].name);
  if (!is_unique_key(t, folded(names)))
    out.add(of, "the key ({}) is neither the PRIMARY KEY of {} nor UNIQUE and NOT NULL", joined(names, ", "),
            of.table);
}

bool is_found_by_index(const resource& of, const table_shape& t, const std::string& column) {
  if (same_name(of.columns[of.key.front()].name, column)) return true;
  if (t.rowid_alias && same_name(t.columns[*t.rowid_alias].name, column)) return true;
  return std::any_of(t.indexes.begin(), t.indexes.end(), [&](const table_index& index) {
    return index.where.empty() && same_name(index.parts.front().column, column);
  });
}

void fit_scopes(const resource& of, const table_shape& t, differences& out) {
  for (const scope_rule& s : of.scopes) {
    const std::string& name = of.columns[s.column].name;
    if (t.find(name) == nullptr || is_found_by_index(of, t, name)) continue;
    out.add(of, "the scope column \"{0}\" has no index: CREATE INDEX {1} ON {2}({0})", name,
            quoted(of.table + "_" + name), quoted(of.table));
  }
}

void fit_search(const resource& of, const table_shape& t, differences& out) {
  if (of.search.empty()) return;
  if (!t.rowid_alias)
    out.add(of, "search needs an INTEGER PRIMARY KEY column in {}: other rowids change with VACUUM",
            of.table);
  for (const std::size_t c : of.search) {
    const column_type type = of.columns[c].type;
    if (type != column_type::string && type != column_type::json)
      out.add(of, "search covers texts, and \"{}\" is {}", of.columns[c].name, to_string(type));
  }
}

// Objects of two resources, or an index's own tables and another index, must not share a name.
void fit_names(const catalog& all, differences& out) {
  std::set<std::string> taken;
  for (const named_sql& object : common_objects()) taken.insert(object.name);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const resource& of = all.at(i);
    if (!of.synced || of.view) continue;
    std::vector<std::string> names = feed_trigger_names(of.name);
    for (std::string& name : search_trigger_names(of.name)) names.push_back(std::move(name));
    if (!of.search.empty())
      for (const std::string_view shadow : {"", "_data", "_idx", "_content", "_docsize", "_config"})
        names.push_back(search_table_name(of) + std::string(shadow));
    for (const std::string& name : folded(names))
      if (!taken.insert(name).second)
        out.add(of, "its object {} has the name of another one; give the resource another name", name);
  }
}

void fit_view(const resource& of, differences& out) {
  const write_rules& w = of.write;
  if (of.synced && !of.view)
    out.add(of, "{} is no table of its own, so it can be read but not synced: declare \"view\": true",
            of.table);
  if (w.create || w.update || w.remove || w.bulk) out.add(of, "{} is a view and cannot be written", of.table);
  if (!of.search.empty()) out.add(of, "{} is a view and cannot be searched", of.table);
}

net::result<void> fit_one(connection& db, resource& of, differences& out) {
  if (of.table.size() >= 9 && same_name(std::string_view(of.table).substr(0, 9), "syncline_")) {
    out.add(of, "{} is a table of Syncline's own", of.table);
    return {};
  }
  auto shape = read_table_shape(db, of.table);
  if (!shape) return shape.error();
  const table_shape& t = *shape;
  if (t.kind == table_shape::object::absent) {
    out.add(of, "there is no table \"{}\"", of.table);
    return {};
  }
  const std::size_t before = out.lines.size();
  fit_columns(of, t, out);
  if (t.kind != table_shape::object::table) {
    fit_view(of, out);
    return {};
  }
  fit_key(of, t, out);
  fit_scopes(of, t, out);
  fit_search(of, t, out);
  if (out.lines.size() != before) return {};
  // The clause and the unique indexes: what can only be known by making the triggers' text.
  if (auto objects = feed_triggers(db, of, t, 1); !objects) {
    if (objects.error().code != net::errc::schema_mismatch) return objects.error();
    out.lines.push_back(objects.error().detail);
  }
  return {};
}

}  // namespace

net::result<void> fit_to_schema(connection& db, catalog& all) {
  auto encoding = db.query_text("PRAGMA encoding");
  if (!encoding) return encoding.error();
  differences out;
  if (*encoding != "UTF-8") out.lines.push_back("the database is " + *encoding + " and not UTF-8");
  for (std::size_t i = 0; i < all.size(); ++i)
    if (auto fitted = fit_one(db, all.at(i), out); !fitted) return fitted.error();
  fit_names(all, out);
  if (out.lines.empty()) return {};
  return net::error(net::errc::schema_mismatch, "the tables do not fit the config", joined(out.lines, "\n"));
}

}  // namespace syncline::storage::sqlite
