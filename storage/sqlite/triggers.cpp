#include "storage/sqlite/triggers.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace syncline::storage::sqlite {

namespace {

constexpr std::string_view kClockSql = "(SELECT seq FROM syncline_clock)";
// A function call, such as that for the time, is something that may fail, and so SQLite would keep a copy of
// each page that a row touches until the row's statement ends (see invariant 4).
constexpr std::string_view kGoneSql = "0";

std::string trigger_name(std::string_view resource, std::string_view suffix) {
  return fmt::format("syncline_{}_{}", resource, suffix);
}

std::string both(const std::string& a, const std::string& b) {
  if (a.empty()) return b;
  if (b.empty()) return a;
  return fmt::format("({}) AND ({})", a, b);
}

// Enters one place: the old entry out, the clock on, the new entry in. DELETE and INSERT rather than REPLACE:
// see invariant 3. VALUES where the place needs no condition: for INSERT … SELECT SQLite makes a temporary
// table when the program also reads the feed, as the WHEN of after_insert does (measured: 1.5 us a row).
void append_enter(std::string& out, std::int64_t id, const place_sql& place, std::string_view gone,
                  const std::string& condition) {
  const std::string when = both(place.exists, condition);
  const std::string clause = when.empty() ? "" : " WHERE " + when;
  out += fmt::format(" DELETE FROM syncline_feed WHERE resource={} AND scope={} AND \"key\"={}{};\n", id,
                     place.scope, place.key, when.empty() ? "" : fmt::format(" AND ({})", when));
  out += fmt::format(" UPDATE syncline_clock SET seq=seq+1{};\n", clause);
  const std::string values = fmt::format("{},{},{},{},{}", kClockSql, id, place.scope, place.key, gone);
  out += fmt::format(
      " INSERT INTO syncline_feed(seq,resource,scope,\"key\",gone_at) {};\n",
      when.empty() ? fmt::format("VALUES({})", values) : fmt::format("SELECT {}{}", values, clause));
}

// Enters the places of those rows of the table that a condition finds, with a number each.
void append_enter_rows(std::string& out, std::int64_t id, const table_shape& t, const place_sql& place,
                       const std::string& condition) {
  const std::string from = fmt::format("FROM {} WHERE {}", quoted(t.name), both(place.exists, condition));
  out +=
      fmt::format(" DELETE FROM syncline_feed WHERE resource={} AND (scope,\"key\") IN (SELECT {},{} {});\n",
                  id, place.scope, place.key, from);
  out += fmt::format(" UPDATE syncline_clock SET seq=seq+(SELECT count(*) {});\n", from);
  out += fmt::format(
      " INSERT INTO syncline_feed(seq,resource,scope,\"key\",gone_at) SELECT {}+1-row_number() OVER "
      "(),{},{},{},{} {};\n",
      kClockSql, id, place.scope, place.key, kGoneSql, from);
}

std::string trigger_sql(std::string_view name, std::string_view when_and_what, const table_shape& t,
                        const std::string& condition, const std::string& body) {
  return fmt::format("CREATE TRIGGER {} {} ON {}\n{}BEGIN\n{}END", quoted(name), when_and_what,
                     quoted(t.name), condition.empty() ? "" : fmt::format("WHEN {}\n", condition), body);
}

// One way in which a row of the table can stand in NEW's way.
struct conflict {
  std::string condition;  // over the table's row and NEW
  std::vector<std::string>
      columns;  // an UPDATE that changes none of these makes no new conflict; empty: not known
};

// A value of NEW as the unique index will see it: for OR REPLACE, SQLite puts the default where a NOT NULL
// column is given NULL, after BEFORE triggers ran.
std::string new_value(const table_shape& t, std::string_view column) {
  const std::string value = "NEW." + quoted(column);
  const table_column* c = t.find(column);
  if (c == nullptr || !c->not_null || c->default_sql.empty()) return value;
  return fmt::format("ifnull({},({}))", value, c->default_sql);
}

// The text of an expression over NEW has no affinity and no table, so comparisons inside it could come out
// differently there.
bool compares(std::string_view expression) {
  if (expression.find_first_of("<>=!") != std::string_view::npos) return true;
  std::string word;
  constexpr std::array<std::string_view, 12> kWords = {"is",  "in",     "between", "case", "nullif", "min",
                                                       "max", "isnull", "notnull", "like", "glob",   "match"};
  for (std::size_t i = 0; i <= expression.size(); ++i) {
    const char c = i < expression.size() ? expression[i] : ' ';
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_') {
      word.push_back(c);
      continue;
    }
    if (std::any_of(kWords.begin(), kWords.end(), [&](std::string_view w) { return same_name(w, word); }))
      return true;
    word.clear();
  }
  return false;
}

std::string over_new(const table_shape& t, std::string_view expression) {
  std::vector<std::string> columns;
  for (const table_column& c : t.columns)
    columns.push_back(fmt::format("{} AS {}", new_value(t, c.name), quoted(c.name)));
  return fmt::format("(SELECT ({}) FROM (SELECT {}) AS {})", expression, joined(columns, ","),
                     quoted(t.name));
}

net::result<conflict> conflict_of(const resource& of, const table_shape& t, const table_index& index) {
  conflict out;
  std::vector<std::string> parts;
  bool plain = index.where.empty();
  for (const index_part& p : index.parts) {
    if (p.column.empty()) {
      if (p.expression.empty() || compares(p.expression))
        return net::error(net::errc::schema_mismatch, "a unique index cannot be followed",
                          fmt::format("resource {}: the unique index {} is over the expression \"{}\", which "
                                      "compares values; make it a "
                                      "generated column with an index, or sync another table",
                                      of.name, index.name, p.expression));
      plain = false;
      parts.push_back(
          fmt::format("({}) COLLATE {}={}", p.expression, quoted(p.collation), over_new(t, p.expression)));
      continue;
    }
    const table_column* c = t.find(p.column);
    if (c == nullptr || c->generated) plain = false;
    out.columns.push_back(p.column);
    parts.push_back(fmt::format("{}.{} COLLATE {}={}", quoted(t.name), quoted(p.column), quoted(p.collation),
                                new_value(t, p.column)));
  }
  // A partial index constrains its own rows only; that NEW is one of them is not asked, which finds some rows
  // too many.
  if (!index.where.empty()) parts.push_back(fmt::format("({}\n)", index.where));
  out.condition = joined(parts, " AND ");
  if (!plain) out.columns.clear();
  return out;
}

// A row with the same integer key stands at the same place when that key alone says where: nothing but the
// place of NEW itself could be entered.
bool stands_at_the_rowid(const resource& of, const table_shape& t) {
  const std::vector<std::string> placing = place_columns(of);
  return t.rowid_alias && placing.size() == 1 && same_name(placing.front(), t.columns[*t.rowid_alias].name);
}

net::result<std::vector<conflict>> conflicts_of(const resource& of, const table_shape& t) {
  std::vector<conflict> out;
  if (!t.rowid_name.empty() && !stands_at_the_rowid(of, t))
    out.push_back({fmt::format("{0}.{1}=NEW.{1}", quoted(t.name), quoted(t.rowid_name)), {t.rowid_name}});
  for (const table_index& index : t.indexes) {
    if (!index.unique) continue;
    auto c = conflict_of(of, t, index);
    if (!c) return c.error();
    out.push_back(std::move(*c));
  }
  return out;
}

// "the table's row is not OLD itself"
std::string not_old(const table_shape& t) {
  std::vector<std::string> parts;
  for (const index_part& p : t.identity())
    parts.push_back(fmt::format("{0}.{1} COLLATE {2} IS NOT OLD.{1}", quoted(t.name), quoted(p.column),
                                quoted(p.collation)));
  return joined(parts, " OR ");
}

// What REPLACE is about to displace, which fires no DELETE trigger unless recursive_triggers is on: rows that
// share a primary or unique key with NEW and stand at another place. The place of NEW itself is entered by
// the AFTER trigger. A statement that turns out to be an UPSERT or IGNORE made entries too many; their
// gone_at is corrected by the purge.
named_sql before_trigger(const resource& of, const table_shape& t, std::int64_t id,
                         const std::vector<conflict>& conflicts, bool update) {
  const std::string row = quoted(t.name) + ".";
  const std::string elsewhere = any_differs_sql(place_columns(of), row, "NEW.");
  const std::vector<place_sql> places = places_of(of, t, row);
  std::vector<std::string> found;
  std::string body;
  for (const conflict& c : conflicts) {
    std::string condition = fmt::format("{} AND ({})", c.condition, elsewhere);
    if (update) condition += fmt::format(" AND ({})", not_old(t));
    std::string lookup = fmt::format("EXISTS(SELECT 1 FROM {} WHERE {})", quoted(t.name), condition);
    if (update && !c.columns.empty())
      lookup = fmt::format("(({}) AND {})", any_differs_sql(c.columns, "OLD.", "NEW."), lookup);
    found.push_back(std::move(lookup));
    for (const place_sql& place : places) append_enter_rows(body, id, t, place, condition);
  }
  const std::string name = trigger_name(of.name, update ? "before_update" : "before_insert");
  return {name,
          trigger_sql(name, update ? "BEFORE UPDATE" : "BEFORE INSERT", t, joined(found, "\n OR "), body)};
}

// gone_at of a row that was just written: NULL when it is inside `where`.
std::string gone_of_new(const std::string& inside) {
  return inside.empty() ? "NULL" : fmt::format("CASE WHEN {} THEN NULL ELSE {} END", inside, kGoneSql);
}

named_sql after_insert(const resource& of, const table_shape& t, std::int64_t id) {
  const std::string inside = inside_sql(of, t, "NEW.");
  const std::vector<place_sql> places = places_of(of, t, "NEW.");
  std::string body;
  for (const place_sql& place : places) append_enter(body, id, place, gone_of_new(inside), {});
  // A row outside `where` matters only where it took the place of one that was inside (REPLACE of the same
  // key).
  std::string condition;
  if (!inside.empty())
    condition =
        fmt::format("{} OR EXISTS(SELECT 1 FROM syncline_feed WHERE resource={} AND scope={} AND \"key\"={})",
                    inside, id, places.front().scope, places.front().key);
  const std::string name = trigger_name(of.name, "after_insert");
  return {name, trigger_sql(name, "AFTER INSERT", t, condition, body)};
}

// Two triggers that never fire for the same row: one for a row that stays where it is, one that also enters
// the places it left.
void append_after_update(std::vector<named_sql>& out, const resource& of, const table_shape& t,
                         std::int64_t id, const std::vector<std::string>& where_columns) {
  std::vector<std::string> watched;
  for (const column& c : of.columns) watched.push_back(c.name);
  for (const std::string& c : where_columns)
    if (std::none_of(watched.begin(), watched.end(), [&](const std::string& w) { return same_name(w, c); }))
      watched.push_back(c);
  const std::vector<std::string> placing = place_columns(of);
  std::erase_if(watched, [&](const std::string& w) {
    return std::any_of(placing.begin(), placing.end(), [&](const std::string& p) { return same_name(p, w); });
  });
  const std::string moved = any_differs_sql(placing, "OLD.", "NEW.");
  const std::string gone = gone_of_new(inside_sql(of, t, "NEW."));
  const std::vector<place_sql> from = places_of(of, t, "OLD.");
  const std::vector<place_sql> to = places_of(of, t, "NEW.");

  std::string enter_new;
  for (const place_sql& place : to) append_enter(enter_new, id, place, gone, {});
  if (!watched.empty()) {
    const std::string name = trigger_name(of.name, "after_update");
    const std::string changed = any_differs_sql(watched, "OLD.", "NEW.");
    out.push_back({name, trigger_sql(name, "AFTER UPDATE", t,
                                     fmt::format("({}) AND NOT ({})", changed, moved), enter_new)});
  }
  std::string enter_both;
  for (std::size_t i = 0; i < from.size(); ++i) {
    const std::string other =
        fmt::format("({}) IS NOT ({}) COLLATE BINARY OR ({}) IS NOT ({}) COLLATE BINARY", from[i].key,
                    to[i].key, from[i].scope, to[i].scope);
    append_enter(enter_both, id, from[i], kGoneSql, other);
  }
  const std::string name = trigger_name(of.name, "after_move");
  out.push_back({name, trigger_sql(name, "AFTER UPDATE", t, moved, enter_both + enter_new)});
}

named_sql after_delete(const resource& of, const table_shape& t, std::int64_t id) {
  std::string body;
  for (const place_sql& place : places_of(of, t, "OLD.")) append_enter(body, id, place, kGoneSql, {});
  const std::string name = trigger_name(of.name, "after_delete");
  return {name, trigger_sql(name, "AFTER DELETE", t, {}, body)};
}

// FTS5 reserves these names.
std::string search_column(std::string_view name) {
  const bool reserved = same_name(name, "rank") || same_name(name, "rowid");
  return quoted(reserved ? fmt::format("column_{}", name) : std::string(name));
}

}  // namespace

net::result<std::vector<named_sql>> feed_triggers(connection& db, const resource& of, const table_shape& t,
                                                  std::int64_t resource_id) {
  for (const index_part& part : t.identity())
    if (part.column.empty())
      return net::error(
          net::errc::schema_mismatch, "a table cannot be followed",
          fmt::format("resource {}: rows of {} cannot be told apart: it has columns named rowid, _rowid_ "
                      "and oid and no INTEGER PRIMARY KEY",
                      of.name, t.name));
  auto where_columns = read_where_columns(db, of, t);
  if (!where_columns) return where_columns.error();
  auto conflicts = conflicts_of(of, t);
  if (!conflicts) return conflicts.error();
  std::vector<named_sql> out;
  if (!conflicts->empty()) {
    out.push_back(before_trigger(of, t, resource_id, *conflicts, false));
    out.push_back(before_trigger(of, t, resource_id, *conflicts, true));
  }
  out.push_back(after_insert(of, t, resource_id));
  append_after_update(out, of, t, resource_id, *where_columns);
  out.push_back(after_delete(of, t, resource_id));
  return out;
}

std::string search_table_name(const resource& of) {
  return "syncline_search_" + of.name;
}

std::string search_columns_sql(const resource& of) {
  std::string out = "rowid";
  for (const std::size_t c : of.search) out += "," + search_column(of.columns[c].name);
  return out;
}

// The triggers only note rowids, so that a connection of the owner needs no FTS5 and a row costs no index
// segment. ON CONFLICT rather than OR IGNORE: see invariant 3 (an UPSERT clause of the trigger's own is
// kept), and rather than NOT EXISTS, for which SQLite makes a temporary table (2 us a row). A row that
// REPLACE displaced leaves its words behind under a rowid that no row has; they go when the rowid is used
// again.
std::vector<named_sql> search_objects(const resource& of, const table_shape& t, std::int64_t resource_id) {
  if (of.search.empty()) return {};
  const std::string table = search_table_name(of);
  const std::string rowid = quoted(t.rowid_name);
  std::vector<std::string> watched;
  std::vector<std::string> targets;
  for (const std::size_t c : of.search) {
    watched.push_back(of.columns[c].name);
    targets.push_back(search_column(of.columns[c].name));
  }
  watched.push_back(t.rowid_name);
  const auto note = [&](std::string_view row) {
    return fmt::format(
        " INSERT INTO syncline_search_dirty(resource,docid) VALUES({},{}.{}) ON CONFLICT DO NOTHING;\n",
        resource_id, row, rowid);
  };
  const auto trigger = [&](std::string_view suffix, std::string_view what, const std::string& when,
                           const std::string& body) {
    const std::string name = trigger_name(of.name, suffix);
    return named_sql{name, trigger_sql(name, what, t, when, body)};
  };
  return {
      {table, fmt::format("CREATE VIRTUAL TABLE {} USING fts5({},tokenize='unicode61 remove_diacritics 2')",
                          quoted(table), joined(targets, ","))},
      trigger("search_insert", "AFTER INSERT", {}, note("NEW")),
      trigger("search_update", "AFTER UPDATE", any_differs_sql(watched, "OLD.", "NEW."),
              note("OLD") + note("NEW")),
      trigger("search_delete", "AFTER DELETE", {}, note("OLD"))};
}

std::vector<std::string> feed_trigger_names(std::string_view resource) {
  std::vector<std::string> out;
  for (const std::string_view suffix :
       {"before_insert", "before_update", "after_insert", "after_update", "after_move", "after_delete"})
    out.push_back(trigger_name(resource, suffix));
  return out;
}

std::vector<std::string> search_trigger_names(std::string_view resource) {
  std::vector<std::string> out;
  for (const std::string_view suffix : {"search_insert", "search_update", "search_delete"})
    out.push_back(trigger_name(resource, suffix));
  return out;
}

}  // namespace syncline::storage::sqlite
