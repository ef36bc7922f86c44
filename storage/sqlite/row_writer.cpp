#include "storage/sqlite/row_writer.h"

#include <algorithm>

#include <fmt/format.h>

#include "storage/row_reader.h"
#include "storage/sqlite/constraint_error.h"
#include "storage/sqlite/idempotency_records.h"

namespace syncline::storage::sqlite {

namespace {

row_result rejected(net::error why) {
  row_result out;
  out.what = fate::rejected;
  out.why = std::move(why);
  return out;
}

row_result done(fate what) {
  row_result out;
  out.what = what;
  return out;
}

bool single_row(write_kind kind) noexcept {
  return kind == write_kind::create || kind == write_kind::replace || kind == write_kind::patch ||
         kind == write_kind::remove;
}

}  // namespace

net::result<void> row_writer::simple(const char* sql) {
  auto s = db_.cached(sql);
  if (!s) return s.error();
  const statement_use once(**s);
  if (const int code = once->step(); code != SQLITE_DONE) return db_.error(code, sql);
  return {};
}

bool row_writer::deferred_keys_open() const noexcept {
  int open = 0;
  int highest = 0;
  return sqlite3_db_status(db_.get(), SQLITE_DBSTATUS_DEFERRED_FKS, &open, &highest, 0) == SQLITE_OK &&
         open != 0;
}

row_writer::ending row_writer::run(const write_batch& batch, bool several, bool each_alone) {
  if (batch.of->view) return {net::error(net::errc::unsupported, "a view cannot be written", batch.of->name)};
  const bool nested = batch.row_count <= kSavepointRowsMax;
  if (nested)
    if (auto begun = simple("SAVEPOINT syncline_batch"); !begun) return {begun.error()};
  // A connection that cannot say takes the slow way.
  const auto plain =
      nested || several || each_alone ? net::result<bool>(false) : plain_.plain(db_, batch.of->table);
  or_fail_ = plain && *plain;
  torn_ = false;
  bool keep = false;
  ending out{run_batch(batch, each_alone, keep)};
  // The transaction itself may be gone (full disk, a trigger's RAISE(ROLLBACK)); the writer sees that.
  if (sqlite3_get_autocommit(db_.get()) != 0) return out;
  if (torn_ || (keep && !several && deferred_keys_open())) {
    out.what = aftermath::again_alone;
    return out;
  }
  if (!nested) {
    out.what = keep ? aftermath::kept : aftermath::undo_all;
    return out;
  }
  if (!keep)
    if (auto undone = simple("ROLLBACK TO syncline_batch"); !undone)
      return {undone.error(), aftermath::undo_all};
  if (auto released = simple("RELEASE syncline_batch"); !released)
    return {released.error(), aftermath::undo_all};
  return out;
}

net::result<write_outcome> row_writer::run_batch(const write_batch& batch, bool each_alone, bool& keep) {
  std::string saved_before;
  if (batch.remember && (single_row(batch.kind) || batch.remember->lines_before))
    if (auto fresh = refuse_repeated(db_, *batch.remember, saved_before); !fresh) return fresh.error();
  auto outcome = run_rows(batch, each_alone);
  if (!outcome) return outcome;
  const bool any_rejected = std::any_of(outcome->rows.begin(), outcome->rows.end(),
                                        [](const row_result& r) { return r.what == fate::rejected; });
  if (any_rejected && batch.all_or_nothing)
    for (row_result& r : outcome->rows)
      if (r.what != fate::rejected) r.what = fate::skipped;
  keep = !batch.dry_run && !(any_rejected && (batch.all_or_nothing || single_row(batch.kind)));
  if (!keep || !batch.remember) return outcome;
  idempotency record = *batch.remember;
  if (record.fold) record.saved = record.fold(saved_before, *outcome);
  if (auto saved = remember(db_, record); !saved) {
    keep = false;
    return saved.error();
  }
  return outcome;
}

net::result<write_outcome> row_writer::run_rows(const write_batch& batch, bool each_alone) {
  write_outcome out;
  out.rows.reserve(batch.row_count);
  const std::size_t width = batch.of->columns.size();
  for (std::uint32_t i = 0; i < batch.row_count; ++i) {
    const std::span<const cell> row = batch.cells.size() >= (i + 1) * width
                                          ? std::span<const cell>(batch.cells).subspan(i * width, width)
                                          : std::span<const cell>();
    if (each_alone)
      if (auto begun = simple("SAVEPOINT syncline_row"); !begun) return begun.error();
    auto made = run_row(batch, row, out);
    if (!made) return made.error();
    if (each_alone) {
      if (deferred_keys_open()) {
        if (auto undone = simple("ROLLBACK TO syncline_row"); !undone) return undone.error();
        *made = rejected(constraint_error(SQLITE_CONSTRAINT_FOREIGNKEY, {}));
      }
      if (auto released = simple("RELEASE syncline_row"); !released) return released.error();
    }
    out.rows.push_back(std::move(*made));
  }
  return out;
}

row_writer::row_answer row_writer::run_row(const write_batch& batch, std::span<const cell> row,
                                           write_outcome& out) {
  const table_plan& plan = plans_->of(*batch.of);
  for (std::size_t i = 0; i < row.size(); ++i)
    if (row[i].present() && plan.generated(i))
      return rejected(
          net::error(net::errc::invalid, "the table computes this column", batch.of->columns[i].name));
  std::string key = batch.key;
  const bool keyed_elsewhere = batch.kind == write_kind::patch || batch.kind == write_kind::remove ||
                               batch.kind == write_kind::replace;
  if (!keyed_elsewhere) {
    const bool given = std::all_of(batch.of->key.begin(), batch.of->key.end(),
                                   [&](std::size_t k) { return row[k].present(); });
    if (given) {
      auto made = key_of_row(*batch.of, row);
      if (!made) return rejected(made.error());
      key = std::move(*made);
    } else {
      key.clear();  // the database makes it
    }
  }
  if (!batch.condition.empty() && !key.empty()) {
    auto refused = check_condition(batch, key);
    if (!refused) return refused.error();
    if (refused->why) return rejected(std::move(*refused->why));
  }
  row_answer made = batch.kind == write_kind::remove    ? remove(batch)
                    : batch.kind == write_kind::patch   ? patch(batch, row)
                    : batch.kind == write_kind::replace ? replace(batch, row, out)
                                                        : put(batch, row, !key.empty());
  if (!made) return made;
  if (key.empty() && made->what == fate::created) {
    auto assigned = key_of_last_row(plan);
    if (!assigned) return assigned.error();
    key = std::move(*assigned);
  }
  made->key_at = static_cast<std::uint32_t>(out.bytes.size());
  made->key_size = static_cast<std::uint32_t>(key.size());
  out.bytes += key;
  if (batch.return_rows && made->what != fate::rejected && made->what != fate::removed)
    if (auto read = read_back(plan, key, out, *made); !read) return read.error();
  return made;
}

net::result<row_writer::refusal> row_writer::step_write(statement& s) {
  const int code = s.step();
  if (code == SQLITE_DONE) return refusal{};
  const int primary = code & 0xff;
  const bool row_fault =
      primary == SQLITE_CONSTRAINT || primary == SQLITE_MISMATCH || primary == SQLITE_TOOBIG;
  // A conflict clause or trigger that says ROLLBACK has ended the transaction of everybody.
  if (!row_fault || sqlite3_get_autocommit(db_.get()) != 0) {
    if (primary != SQLITE_CONSTRAINT) return db_.error(code, "writing a row");
    return constraint_error(code, sqlite3_errmsg(db_.get()));
  }
  if (primary == SQLITE_CONSTRAINT)
    return refusal::because(constraint_error(code, sqlite3_errmsg(db_.get())));
  return refusal::because(
      net::error(net::errc::invalid, "a value does not fit its column", sqlite3_errmsg(db_.get())));
}

// Runs the update or insert of a row; `key` is bound behind the columns.
net::result<row_writer::refusal> row_writer::run_put(const std::string& sql, std::span<const cell> row,
                                                     std::span<const cell> key) {
  auto s = db_.cached(sql);
  if (!s) return s.error();
  const statement_use once(**s);
  for (std::size_t i = 0; i < row.size(); ++i)
    if (row[i].present()) once->bind(static_cast<int>(i + 1), row[i]);
  bind_key(*once, static_cast<int>(row.size()) + 1, key);
  return step_write(*once);
}

row_writer::row_answer row_writer::put(const write_batch& batch, std::span<const cell> row, bool keyed) {
  std::vector<cell> key;
  const bool or_fail = or_fail_ && keyed;
  put_.fit(plans_->of(*batch.of), batch.kind, row, or_fail);
  if (keyed) {
    for (const std::size_t k : batch.of->key) key.push_back(row[k]);
    auto there = key_exists(key);
    if (!there) return there.error();
    if (*there) {
      if (batch.kind == write_kind::skip) return done(fate::skipped);
      if (batch.kind == write_kind::create || batch.kind == write_kind::insert)
        return rejected(net::error(net::errc::conflict, "the key exists"));
      if (put_.update.empty()) return done(fate::unchanged);
      auto fault = run_put(put_.update, row, key);
      if (!fault) return fault.error();
      if (fault->why) return rejected(std::move(*fault->why));
      return done(sqlite3_changes(db_.get()) > 0 ? fate::updated : fate::unchanged);
    }
  }
  auto fault = run_put(put_.insert, row, {});
  if (!fault) return fault.error();
  if (fault->why && or_fail) {
    auto torn = key_exists(key);
    if (!torn) return torn.error();
    torn_ = torn_ || *torn;
  }
  if (fault->why) return rejected(std::move(*fault->why));
  if (sqlite3_changes(db_.get()) > 0) return done(fate::created);
  return rejected(
      net::error(net::errc::conflict, "a row has a key that the table's collation takes for this one"));
}

row_writer::row_answer row_writer::replace(const write_batch& batch, std::span<const cell> row,
                                           write_outcome&) {
  const table_plan& plan = plans_->of(*batch.of);
  text_arena arena;
  auto key = split_key(*batch.of, batch.key, arena);
  if (!key) return rejected(key.error());
  std::vector<cell> whole(row.begin(), row.end());
  for (std::size_t i = 0; i < batch.of->key.size(); ++i) {
    cell& given = whole[batch.of->key[i]];
    if (given.present() && !same_value((*key)[i], given))
      return rejected(net::error(net::errc::invalid, "the key in the row is not the one that was asked for",
                                 batch.of->columns[batch.of->key[i]].name));
    given = (*key)[i];
  }
  if (batch.of->where.empty()) return put(batch, whole, true);
  auto there = exists(plan, *key, false);
  if (!there) return there.error();
  auto shown = exists(plan, *key, true);
  if (!shown) return shown.error();
  row_answer made = put(batch, whole, true);
  if (!made || made->what == fate::rejected || !*there || *shown) return made;
  // The key belonged to a row outside `where`. It may come back, but not be written in the dark. (A rejected
  // single write is rolled back.)
  shown = exists(plan, *key, true);
  if (!shown) return shown.error();
  if (!*shown) return rejected(net::error(net::errc::conflict, "the key belongs to a removed row"));
  made->what = fate::created;
  return made;
}

row_writer::row_answer row_writer::patch(const write_batch& batch, std::span<const cell> row) {
  const resource& of = *batch.of;
  const table_plan& plan = plans_->of(of);
  text_arena arena;
  auto key = split_key(of, batch.key, arena);
  if (!key) return rejected(key.error());
  std::vector<std::pair<std::size_t, cell>> changed;
  {
    std::string sql = "SELECT ";
    for (std::size_t i = 0; i < of.columns.size(); ++i)
      sql += fmt::format("{}{}", i > 0 ? "," : "", quoted(of.columns[i].name));
    auto s = db_.cached(sql + " FROM " + plan.name() + " WHERE " + plan.key_is(1) + plan.visible());
    if (!s) return s.error();
    const statement_use stored(**s);
    bind_key(*stored, 1, *key);
    const int code = stored->step();
    if (code == SQLITE_DONE) return rejected(net::error(net::errc::not_found, "there is no such row"));
    if (code != SQLITE_ROW) return db_.error(code, "reading the row to patch");
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (!row[i].present()) continue;
      const cell before = stored->column(static_cast<int>(i));
      cell after = row[i];
      if (of.columns[i].type == column_type::json && after.k == cell::kind::text) {
        const std::string_view text = before.k == cell::kind::text ? before.text : std::string_view("null");
        after = cell::of_text(arena.copy(merge_patch_json(text, after.text)));
      }
      if (same_value(before, after)) continue;
      if (of.is_key(i))
        return rejected(net::error(net::errc::invalid, "a patch cannot change the key", of.columns[i].name));
      changed.emplace_back(i, after);
    }
  }
  if (changed.empty()) return done(fate::unchanged);
  std::string sets;
  for (std::size_t i = 0; i < changed.size(); ++i)
    sets += fmt::format("{}{}=?{}", i > 0 ? "," : "", quoted(of.columns[changed[i].first].name), i + 1);
  const int key_at = static_cast<int>(changed.size()) + 1;
  auto s = db_.cached(fmt::format("UPDATE {} SET {} WHERE {}", plan.name(), sets, plan.key_is(key_at)));
  if (!s) return s.error();
  const statement_use once(**s);
  for (std::size_t i = 0; i < changed.size(); ++i) once->bind(static_cast<int>(i + 1), changed[i].second);
  bind_key(*once, key_at, *key);
  auto fault = step_write(*once);
  if (!fault) return fault.error();
  if (fault->why) return rejected(std::move(*fault->why));
  return done(fate::updated);
}

row_writer::row_answer row_writer::remove(const write_batch& batch) {
  const table_plan& plan = plans_->of(*batch.of);
  text_arena arena;
  auto key = split_key(*batch.of, batch.key, arena);
  if (!key) return rejected(key.error());
  auto s = db_.cached("DELETE FROM " + plan.name() + " WHERE " + plan.key_is(1) + plan.visible());
  if (!s) return s.error();
  const statement_use once(**s);
  bind_key(*once, 1, *key);
  auto fault = step_write(*once);
  if (!fault) return fault.error();
  if (fault->why) return rejected(std::move(*fault->why));
  if (sqlite3_changes(db_.get()) == 0)
    return rejected(net::error(net::errc::not_found, "there is no such row"));
  return done(fate::removed);
}

net::result<bool> row_writer::exists(const table_plan& plan, std::span<const cell> key, bool visible) {
  return find_key("SELECT 1 FROM " + plan.name() + " WHERE " + plan.key_is(1) +
                      (visible ? plan.visible() : std::string()),
                  key);
}

net::result<bool> row_writer::key_exists(std::span<const cell> key) {
  return find_key(put_.exists, key);
}

net::result<bool> row_writer::find_key(const std::string& sql, std::span<const cell> key) {
  auto s = db_.cached(sql);
  if (!s) return s.error();
  const statement_use row(**s);
  bind_key(*row, 1, key);
  const int code = row->step();
  if (code != SQLITE_ROW && code != SQLITE_DONE) return db_.error(code, "looking for a key");
  return code == SQLITE_ROW;
}

net::result<row_writer::refusal> row_writer::check_condition(const write_batch& batch,
                                                             const std::string& key) {
  const write_condition& asked = batch.condition;
  write_outcome now;
  row_result at;
  if (auto read = read_back(plans_->of(*batch.of), key, now, at); !read) {
    if (read.error().code == net::errc::invalid) return refusal::because(read.error());
    return read.error();
  }
  const bool there = at.json_size > 0;
  const std::string tag = there ? etag_of(now.bytes.substr(at.json_at, at.json_size)) : std::string();
  const auto has = [&](const std::vector<std::string>& tags) {
    return there && std::find(tags.begin(), tags.end(), tag) != tags.end();
  };
  const bool failed = (asked.must_exist && !there) || (asked.must_not_exist && there) ||
                      (!asked.any_of.empty() && !has(asked.any_of)) || has(asked.none_of);
  if (!failed) return refusal{};
  return refusal::because(net::error(net::errc::precondition_failed,
                                     "the row is not in the state that was asked for",
                                     there ? "its ETag is " + tag : std::string("it does not exist")));
}

net::result<std::string> row_writer::key_of_last_row(const table_plan& plan) {
  if (plan.without_rowid())
    return net::error(net::errc::unsupported, "a key that the database makes needs a table with a rowid",
                      plan.name());
  const std::int64_t rowid = sqlite3_last_insert_rowid(db_.get());
  auto s = db_.cached(plan.whole_row().head() + " WHERE " + quoted(plan.rowid_name()) + "=?1");
  if (!s) return s.error();
  const statement_use row(**s);
  row->bind(1, rowid);
  if (const int code = row->step(); code != SQLITE_ROW)
    return db_.error(code, "reading the key that was made");
  std::string bytes;
  auto at = plan.whole_row().append(*row, bytes);
  if (!at) return at.error();
  return bytes.substr(at->key_at, at->key_size);
}

// Leaves json_size 0 when the row is not there.
net::result<void> row_writer::read_back(const table_plan& plan, const std::string& key, write_outcome& out,
                                        row_result& into) {
  text_arena arena;
  auto cells = split_key(plan.of(), key, arena);
  if (!cells) return cells.error();
  auto s = db_.cached(plan.whole_row().head() + " WHERE " + plan.key_is(1) + plan.visible());
  if (!s) return s.error();
  const statement_use row(**s);
  bind_key(*row, 1, *cells);
  const int code = row->step();
  if (code == SQLITE_DONE) return {};
  if (code != SQLITE_ROW) return db_.error(code, "reading a row back");
  auto at = plan.whole_row().append(*row, out.bytes);
  if (!at) return at.error();
  into.json_at = at->json_at;
  into.json_size = at->json_size;
  return {};
}

}  // namespace syncline::storage::sqlite
