// Puts Syncline's objects beside the owner's tables, brings them up to date, and takes them away.
//
// All objects change in one transaction, so that no write falls between two versions of the triggers. What
// happened to a table meanwhile is told by its triggers: DROP TABLE takes them away, a RENAME swap leaves
// them on the old table with another text, and a changed declaration asks for another text. In each case rows
// may have changed unseen, so a resource that was known before starts over: new incarnation, entries made
// again. (The root page would tell nothing: VACUUM changes it.) The entries themselves go and come in later
// transactions, a batch each: no stream of the new incarnation begins below the clock of the first one.

#include <fmt/format.h>

#include "storage/row_json.h"
#include "storage/sqlite/generation.h"
#include "storage/sqlite/number_rows.h"
#include "storage/sqlite/schema.h"
#include "storage/sqlite/schema_state.h"
#include "storage/sqlite/scoped_transaction.h"
#include "storage/sqlite/triggers.h"

namespace syncline::storage::sqlite {

namespace {

struct migration {
  connection& db;
  catalog& all;
  migrate_report report;

  net::result<void> run(const std::string& sql) {
    if (auto done = db.exec(sql); !done) return done;
    report.statements.push_back(sql);
    return {};
  }
  net::result<void> run_once(const std::string& sql) {  // recorded only when it changed a row
    if (auto done = db.exec(sql); !done) return done;
    if (sqlite3_changes(db.get()) != 0) report.statements.push_back(sql);
    return {};
  }
  net::result<void> drop(std::string_view kind, const std::string& name) {
    auto there = object_sql(db, name);
    if (!there) return there.error();
    return *there ? run(fmt::format("DROP {} {}", kind, quoted(name))) : net::result<void>();
  }
  // True when exactly these objects are there; `names` are those that may be.
  net::result<bool> same(const std::vector<named_sql>& expected, const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      auto there = object_sql(db, name);
      if (!there) return there.error();
      const std::string* wanted = nullptr;
      for (const named_sql& object : expected)
        if (object.name == name) wanted = &object.sql;
      if (wanted == nullptr ? there->has_value() : (!there->has_value() || **there != *wanted)) return false;
    }
    return true;
  }
  net::result<void> replace(const std::vector<named_sql>& expected, const std::vector<std::string>& names,
                            const std::string& table = {}) {
    for (const std::string& name : names)
      if (name != table)
        if (auto dropped = drop("TRIGGER", name); !dropped) return dropped;
    if (!table.empty())
      if (auto dropped = drop("TABLE", table); !dropped) return dropped;
    for (const named_sql& object : expected)
      if (auto made = run(object.sql); !made) return made;
    return {};
  }

  net::result<void> common();
  net::result<void> forget_others();
  net::result<void> forget(const resource_state& other);
  net::result<void> resource_of_catalog(const resource& of);
  net::result<resource_state> row_of(const resource& of, bool& known);
  net::result<void> write_row(const resource_state& state);
  net::result<void> objects();
  net::result<void> begin_generation();
};

net::result<void> migration::common() {
  for (const named_sql& object : common_objects()) {
    auto there = object_sql(db, object.name);
    if (!there) return there.error();
    if (*there && **there != object.sql)
      return net::error(
          net::errc::schema_mismatch, "an object of Syncline's has another form",
          fmt::format("{} is \"{}\"; migrate --remove takes all of them away, then migrate again",
                      object.name, **there));
    if (*there) continue;
    if (auto made = run(object.sql); !made) return made;
  }
  return run_once(
      "INSERT INTO syncline_clock(id,seq,horizon) SELECT 1,0,0 WHERE NOT EXISTS(SELECT 1 FROM "
      "syncline_clock)");
}

net::result<void> migration::forget(const resource_state& other) {
  resource gone;
  gone.name = other.name;
  if (auto dropped = replace({}, feed_trigger_names(other.name)); !dropped) return dropped;
  if (auto dropped = replace({}, search_trigger_names(other.name), search_table_name(gone)); !dropped)
    return dropped;
  if (auto emptied = run_once(fmt::format("DELETE FROM syncline_search_dirty WHERE resource={}", other.id));
      !emptied)
    return emptied;
  if (auto emptied = run_once(fmt::format("DELETE FROM syncline_feed WHERE resource={}", other.id)); !emptied)
    return emptied;
  // The row stays: should the resource come back, its incarnation must be a new one.
  return run_once(
      fmt::format("UPDATE syncline_resource SET identity='' WHERE id={} AND identity<>''", other.id));
}

net::result<void> migration::forget_others() {
  auto states = resource_states(db);
  if (!states) return states.error();
  for (const resource_state& s : *states)
    if (!follows(all, s.name))
      if (auto forgotten = forget(s); !forgotten) return forgotten;
  return {};
}

net::result<resource_state> migration::row_of(const resource& of, bool& known) {
  for (int tries = 0;; ++tries) {
    auto states = resource_states(db);
    if (!states) return states.error();
    for (const resource_state& s : *states)
      if (s.name == of.name) return s;
    if (tries == 1) break;
    known = false;
    if (auto made = run(fmt::format(
            "INSERT INTO syncline_resource(name,incarnation,declaration,identity) VALUES({},1,'','')",
            literal(of.name)));
        !made)
      return made.error();
  }
  return net::error(net::errc::internal, "a resource has no row", of.name);
}

net::result<void> migration::write_row(const resource_state& s) {
  return run_once(fmt::format(
      "UPDATE syncline_resource SET incarnation={0},declaration={1},identity={2} WHERE id={3} AND "
      "(incarnation<>{0} OR declaration<>{1} OR identity<>{2})",
      s.incarnation, literal(s.declaration), literal(s.identity), s.id));
}

net::result<void> migration::resource_of_catalog(const resource& of) {
  bool known = true;
  auto row = row_of(of, known);
  if (!row) return row.error();
  auto shape = read_table_shape(db, of.table);
  if (!shape) return shape.error();
  const auto triggers = feed_triggers(db, of, *shape, row->id);
  if (!triggers) return triggers.error();
  const std::vector<std::string> names = feed_trigger_names(of.name);
  auto unchanged = same(*triggers, names);
  if (!unchanged) return unchanged.error();
  std::string old_left(row->word(kOldLeft));
  bool rows_left = row->left(kRowsLeft);
  bool search_left = row->left(kSearchLeft);
  if (!*unchanged) {
    if (auto replaced = replace(*triggers, names); !replaced) return replaced;
    if (known) {
      ++row->incarnation;
      report.resources_restarted.push_back(of.name);
      const auto now = read_clock(db);
      if (!now) return now.error();
      old_left = fmt::format("{}{}", kOldLeft, now->seq);
    }
    rows_left = true;
  }

  const std::vector<named_sql> search = search_objects(of, *shape, row->id);
  std::vector<std::string> search_names = search_trigger_names(of.name);
  search_names.push_back(search_table_name(of));
  auto search_unchanged = same(search, search_names);
  if (!search_unchanged) return search_unchanged.error();
  // A table that lost its feed triggers was swapped or restored, so its words are not to be trusted either.
  if (!*search_unchanged || (!*unchanged && !search.empty())) {
    if (auto replaced = replace(search, search_names, search_table_name(of)); !replaced) return replaced;
    if (auto emptied = run_once(fmt::format("DELETE FROM syncline_search_dirty WHERE resource={}", row->id));
        !emptied)
      return emptied;
    search_left = !search.empty();
  }

  std::string text;
  for (const named_sql& t : *triggers) text += t.sql;
  row->declaration = fmt::format("{:016x}", of.declaration_hash());
  row->identity = fmt::format("{:016x}{}{}{}", hash_bytes(text), old_left, rows_left ? kRowsLeft : "",
                              search_left ? kSearchLeft : "");
  return write_row(*row);
}

net::result<void> migration::objects() {
  if (auto made = common(); !made) return made;
  if (auto forgotten = forget_others(); !forgotten) return forgotten;
  for (std::size_t i = 0; i < all.size(); ++i)
    if (is_followed(all.at(i)))
      if (auto made = resource_of_catalog(all.at(i)); !made) return made;
  return {};
}

// Before rows are numbered: else a backup whose clock that moves on would pass for what its clients know.
net::result<void> migration::begin_generation() {
  auto states = resource_states(db);
  if (!states) return states.error();
  for (const resource_state& s : *states) {
    if (!follows(all, s.name) || !s.left(kRowsLeft)) continue;
    auto now = read_clock(db);
    if (!now) return now.error();
    return record_generation(db, now->seq, now->horizon);
  }
  return {};
}

}  // namespace

net::result<migrate_report> migrate_objects(connection& db, catalog& all, bool dry_run) {
  if (auto fitted = fit_to_schema(db, all); !fitted) return fitted.error();
  migration m{db, all, {}};
  auto transaction = scoped_transaction::begin(db);
  if (!transaction) return transaction.error();
  if (auto made = m.objects(); !made) return made.error();
  if (dry_run) return std::move(m.report);  // rolled back: the exact statements, and nothing has happened
  if (auto begun = m.begin_generation(); !begun) return begun.error();
  if (auto done = transaction->commit(); !done) return done.error();
  return std::move(m.report);
}

net::result<migrate_report> migrate(connection& db, catalog& all, bool dry_run,
                                    const migrate_progress& progress) {
  auto report = migrate_objects(db, all, dry_run);
  if (!report || dry_run) return report;
  row_numbering rows(kNumberBatchRows);
  const resource* last = nullptr;
  std::uint64_t of_last = 0;
  for (;;) {
    const auto made = rows.run(db, all, {});
    if (!made) return made.error();
    if (made->of == nullptr) return report;
    if (made->of != last) of_last = 0;
    last = made->of;
    of_last += made->entries;
    report->rows_numbered += made->entries;
    if (progress && made->entries > 0) progress(made->of->name, of_last);
  }
}

net::result<migrate_report> remove(connection& db, const catalog&, bool dry_run) {
  migrate_report report;
  auto transaction = scoped_transaction::begin(db);
  if (!transaction) return transaction.error();
  // Triggers first, so that no table that they write to is missing at any time; a keyword index takes its own
  // tables along.
  for (const std::string_view kind : {"trigger", "virtual table", "table"}) {
    std::vector<std::string> names;
    auto s = db.prepare(kind == "trigger"         ? "SELECT name FROM sqlite_schema WHERE type='trigger' AND "
                                                    "substr(name,1,9)='syncline_' ORDER BY name"
                        : kind == "virtual table" ? "SELECT name FROM sqlite_schema WHERE type='table' AND "
                                                    "substr(name,1,16)='syncline_search_' AND "
                                                    "substr(sql,1,20)='CREATE VIRTUAL TABLE' ORDER BY name"
                                                  : "SELECT name FROM sqlite_schema WHERE type='table' AND "
                                                    "substr(name,1,9)='syncline_' ORDER BY name");
    if (!s) return s.error();
    int code = SQLITE_ROW;
    while ((code = s->step()) == SQLITE_ROW) names.emplace_back(s->text(0));
    if (code != SQLITE_DONE) return db.error(code, "reading the schema");
    *s = statement();  // an open statement would keep the tables from being dropped
    for (const std::string& name : names) {
      const std::string sql =
          fmt::format("DROP {} {}", kind == "trigger" ? "TRIGGER" : "TABLE", quoted(name));
      if (auto dropped = db.exec(sql); !dropped) return dropped.error();
      report.statements.push_back(sql);
    }
  }
  if (dry_run) return report;
  if (auto done = transaction->commit(); !done) return done.error();
  return report;
}

}  // namespace syncline::storage::sqlite
