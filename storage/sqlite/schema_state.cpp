#include "storage/sqlite/schema_state.h"

#include <fmt/format.h>

#include "storage/sqlite/triggers.h"

namespace syncline::storage::sqlite {

std::string_view resource_state::word(std::string_view work) const {
  const auto at = identity.find(work);
  if (at == std::string::npos) return {};
  const auto end = identity.find(' ', at + 1);
  return std::string_view(identity).substr(at, end == std::string::npos ? end : end - at);
}

void resource_state::strike(std::string_view work) {
  if (const auto at = identity.find(work); at != std::string::npos) identity.erase(at, word(work).size());
}

net::result<std::optional<std::string>> object_sql(connection& db, std::string_view name) {
  auto s = db.prepare("SELECT sql FROM sqlite_schema WHERE name=?1 COLLATE NOCASE");
  if (!s) return s.error();
  s->bind(1, name);
  const int code = s->step();
  if (code == SQLITE_DONE) return std::optional<std::string>();
  if (code != SQLITE_ROW) return db.error(code, "reading the schema");
  return std::optional<std::string>(s->text(0));
}

net::result<std::vector<resource_state>> resource_states(connection& db) {
  std::vector<resource_state> out;
  auto there = object_sql(db, "syncline_resource");
  if (!there) return there.error();
  if (!*there) return out;
  auto s =
      db.prepare("SELECT id, name, incarnation, declaration, identity FROM syncline_resource ORDER BY id");
  if (!s) return s.error();
  int code = SQLITE_ROW;
  while ((code = s->step()) == SQLITE_ROW)
    out.push_back({s->integer(0), std::string(s->text(1)), s->integer(2), std::string(s->text(3)),
                   std::string(s->text(4))});
  if (code != SQLITE_DONE) return db.error(code, "reading syncline_resource");
  return out;
}

bool follows(const catalog& all, std::string_view name) {
  const resource* of = all.find(name);
  return of != nullptr && is_followed(*of);
}

net::result<std::vector<resource_row>> resource_rows(connection& db, const catalog& all) {
  auto states = resource_states(db);
  if (!states) return states.error();
  std::vector<resource_row> out(all.size());
  for (const resource_state& s : *states)
    if (follows(all, s.name)) out[all.find(s.name)->ordinal] = {s.id, s.incarnation};
  return out;
}

namespace {

net::result<void> compare(connection& db, const std::vector<named_sql>& expected,
                          std::vector<std::string>& missing) {
  for (const named_sql& object : expected) {
    auto sql = object_sql(db, object.name);
    if (!sql) return sql.error();
    if (!*sql || **sql != object.sql) missing.push_back(object.name);
  }
  return {};
}

// Objects that the declaration no longer asks for: a trigger left over would write entries of a kind that
// nobody expects.
net::result<void> find_leftovers(connection& db, const resource& of, const std::vector<named_sql>& expected,
                                 std::vector<std::string>& missing) {
  std::vector<std::string> names = feed_trigger_names(of.name);
  for (std::string& name : search_trigger_names(of.name)) names.push_back(std::move(name));
  for (const std::string& name : names) {
    bool wanted = false;
    for (const named_sql& object : expected) wanted = wanted || object.name == name;
    if (wanted) continue;
    auto sql = object_sql(db, name);
    if (!sql) return sql.error();
    if (*sql) missing.push_back(name + " (no longer declared)");
  }
  return {};
}

}  // namespace

net::result<migrate_gaps> find_gaps(connection& db, const catalog& all) {
  migrate_gaps out;
  std::vector<std::string>& missing = out.objects;
  if (auto compared = compare(db, common_objects(), missing); !compared) return compared.error();
  auto states = resource_states(db);
  if (!states) return states.error();
  for (std::size_t i = 0; i < all.size(); ++i) {
    const resource& of = all.at(i);
    if (!is_followed(of)) continue;
    const resource_state* state = nullptr;
    for (const resource_state& s : *states)
      if (s.name == of.name) state = &s;
    if (state == nullptr) {
      missing.push_back("syncline_resource row of " + of.name);
      continue;
    }
    auto expected = resource_objects(db, of, state->id);
    if (!expected) return expected.error();
    if (auto compared = compare(db, *expected, missing); !compared) return compared.error();
    if (auto compared = find_leftovers(db, of, *expected, missing); !compared) return compared.error();
    if (state->left(kOldLeft) || state->left(kRowsLeft))
      out.rows.push_back("feed entries of rows of " + of.name);
    if (state->left(kSearchLeft)) out.rows.push_back("keyword index of " + of.name);
  }
  return out;
}

net::result<bool> is_migrated(connection& db, const catalog& all, std::vector<std::string>& missing) {
  auto gaps = find_gaps(db, all);
  if (!gaps) return gaps.error();
  missing = std::move(gaps->objects);
  missing.insert(missing.end(), gaps->rows.begin(), gaps->rows.end());
  return missing.empty();
}

}  // namespace syncline::storage::sqlite
