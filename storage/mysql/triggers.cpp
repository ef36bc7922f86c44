#include "storage/mysql/triggers.h"

#include <charconv>

#include <fmt/format.h>

#include "storage/mysql/literal.h"
#include "storage/mysql/text_rows.h"
#include "storage/row_json.h"

namespace syncline::storage::mysql {

namespace {

constexpr std::string_view kPrefix = "syncline_";

std::string both(const std::string& a, const std::string& b) {
  if (a.empty()) return b;
  if (b.empty()) return a;
  return fmt::format("({}) AND ({})", a, b);
}

std::string block(const std::string& statements) {
  return fmt::format("BEGIN\n{}END", statements);
}

trigger_text after_update(const resource& of, const table_shape& t, std::int64_t id, bool maybe_gone) {
  const column_sql before = columns_of("OLD.");
  const column_sql after = columns_of("NEW.");
  const std::vector<place_sql> from = places_of(of, t, before);
  const std::vector<place_sql> to = places_of(of, t, after);
  std::vector<std::string> key_columns;
  for (const std::size_t k : of.key) key_columns.push_back(of.columns[k].name);

  // A place is left when its own columns change: the key's, or those of that scope.
  std::string leave;
  for (std::size_t i = 0; i < from.size(); ++i) {
    std::vector<std::string> placing = key_columns;
    if (!of.scopes.empty()) placing.push_back(of.columns[of.scopes[i].column].name);
    append_note(leave, id, from[i], true, any_differs_sql(t, placing, before, after));
  }
  std::string enter;
  for (const place_sql& place : to) append_note(enter, id, place, maybe_gone, {});
  const std::string changed = any_differs_sql(t, watched_columns(of, t), before, after);
  return make_trigger(id, "update", t.name, "AFTER UPDATE",
                      block(fmt::format("IF {} THEN\n{}{}END IF;\n", changed, leave, enter)));
}

}  // namespace

std::string trigger_text::create_sql() const {
  return fmt::format("CREATE TRIGGER {} {} ON {} FOR EACH ROW {}", identifier(name), when, identifier(table),
                     body);
}

void append_note(std::string& out, std::int64_t resource_id, const place_sql& place, bool gone,
                 const std::string& condition) {
  const std::string when = both(place.exists, condition);
  const std::string insert = fmt::format("INSERT INTO {} VALUES ({},{},{},{});\n", kPendingColumns,
                                         resource_id, place.scope, place.key, gone ? 1 : 0);
  out += when.empty() ? insert : fmt::format("IF {} THEN {}END IF;\n", when, insert);
}

trigger_text make_trigger(std::int64_t resource_id, std::string_view what, std::string table,
                          std::string when, std::string body) {
  trigger_text out;
  out.table = std::move(table);
  out.when = std::move(when);
  out.body = std::move(body);
  const std::uint64_t hash = hash_bytes(fmt::format("{}\n{}\n{}", out.table, out.when, out.body));
  out.name = fmt::format("{}{}_{}_{:016x}", kPrefix, resource_id, what, hash);
  return out;
}

std::int64_t trigger_owner(std::string_view name) {
  if (!name.starts_with(kPrefix)) return 0;
  name.remove_prefix(kPrefix.size());
  std::int64_t id = 0;
  const auto read = std::from_chars(name.data(), name.data() + name.size(), id);
  const bool number = read.ec == std::errc() && read.ptr != name.data() + name.size() && *read.ptr == '_';
  return number ? id : 0;
}

std::vector<trigger_text> feed_triggers(const resource& of, const table_shape& t, std::int64_t resource_id) {
  const bool maybe_gone = !of.where.empty();
  std::string insert;
  for (const place_sql& place : places_of(of, t, columns_of("NEW.")))
    append_note(insert, resource_id, place, maybe_gone, {});
  std::string remove;
  for (const place_sql& place : places_of(of, t, columns_of("OLD.")))
    append_note(remove, resource_id, place, true, {});
  std::vector<trigger_text> out;
  out.push_back(make_trigger(resource_id, "insert", t.name, "AFTER INSERT", block(insert)));
  out.push_back(after_update(of, t, resource_id, maybe_gone));
  out.push_back(make_trigger(resource_id, "delete", t.name, "AFTER DELETE", block(remove)));
  return out;
}

}  // namespace syncline::storage::mysql
