#include "storage/sqlite/number_rows.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "storage/sqlite/scoped_transaction.h"
#include "storage/sqlite/table_plan.h"
#include "storage/sqlite/triggers.h"

namespace syncline::storage::sqlite {

std::string places_without_entry_sql(const resource& of, const table_shape& t, std::int64_t resource_id,
                                     const place_sql& place, std::string_view columns,
                                     std::string_view condition) {
  const std::string where = where_sql(of);
  return fmt::format(
      "SELECT {} FROM {} WHERE ({}){}{} AND NOT EXISTS(SELECT 1 FROM syncline_feed AS syncline_entry WHERE "
      "syncline_entry.resource={} AND syncline_entry.scope={} AND syncline_entry.\"key\"={})",
      columns, quoted(t.name), condition, place.exists.empty() ? "" : " AND " + place.exists,
      where.empty() ? "" : " AND " + where, resource_id, place.scope, place.key);
}

net::result<std::uint64_t> number_range(connection& db, const resource& of, const table_shape& t,
                                        std::int64_t resource_id, const table_walk& range) {
  std::uint64_t made = 0;
  for (const place_sql& place : places_of(of, t, quoted(t.name) + ".")) {
    const std::string columns =
        fmt::format("(SELECT seq FROM syncline_clock)+row_number() OVER (),{},{},{},NULL", resource_id,
                    place.scope, place.key);
    auto s = db.prepare("INSERT INTO syncline_feed(seq,resource,scope,\"key\",gone_at) " +
                        places_without_entry_sql(of, t, resource_id, place, columns, range.condition()));
    if (!s) return s.error();
    range.bind(*s);
    if (const int code = s->step(); code != SQLITE_DONE)
      return db.error(code, "numbering rows of " + of.name);
    const int inserted = sqlite3_changes(db.get());
    if (inserted == 0) continue;
    made += static_cast<std::uint64_t>(inserted);
    if (auto moved = db.exec(fmt::format("UPDATE syncline_clock SET seq=seq+{}", inserted)); !moved)
      return moved.error();
  }
  return made;
}

namespace {

// The rows of one range get their place in the keyword index, in the caller's transaction.
net::result<void> fill_search(connection& db, const resource& of, const table_shape& t,
                              const table_walk& range) {
  const std::string index = quoted(search_table_name(of));
  const std::string table = quoted(t.name);
  std::vector<std::string> values{fmt::format("{}.{}", table, quoted(t.rowid_name))};
  for (const std::size_t c : of.search)
    values.push_back(fmt::format("{}.{}", table, quoted(of.columns[c].name)));
  auto s = db.prepare(fmt::format(
      "INSERT INTO {0}({5}) SELECT {1} FROM {2} WHERE {3} AND NOT EXISTS(SELECT 1 FROM {0} AS "
      "syncline_words WHERE syncline_words.rowid={4})",
      index, joined(values, ","), table, range.condition(), values.front(), search_columns_sql(of)));
  if (!s) return s.error();
  range.bind(*s);
  if (const int code = s->step(); code != SQLITE_DONE)
    return db.error(code, "filling the keyword index of " + of.name);
  return {};
}

net::result<void> write_identity(connection& db, const resource_state& state) {
  auto s = db.cached("UPDATE syncline_resource SET identity=?2 WHERE id=?1");
  if (!s) return s.error();
  const statement_use once(**s);
  once->bind(1, state.id);
  once->bind(2, std::string_view(state.identity));
  if (const int code = once->step(); code != SQLITE_DONE) return db.error(code, "noting what was numbered");
  return {};
}

std::string_view first_left(const resource_state& state) {
  for (const std::string_view work : {kOldLeft, kRowsLeft, kSearchLeft})
    if (state.left(work)) return work;
  return {};
}

}  // namespace

net::result<row_numbering::batch> row_numbering::run(connection& db, const catalog& all, const limits& to) {
  // What is rolled back is to be done again.
  try {
    auto made = run_batch(db, all, to);
    if (!made) at_.reset();
    return made;
  } catch (...) {
    at_.reset();
    throw;
  }
}

net::result<row_numbering::batch> row_numbering::run_batch(connection& db, const catalog& all,
                                                           const limits& to) {
  auto transaction = scoped_transaction::begin(db);
  if (!transaction) return transaction.error();
  auto now = read_clock(db);
  if (!now) return now.error();
  if (now->seq < to.clock_at_least)
    return net::error(net::errc::conflict, "the database went back to an older state");
  auto states = resource_states(db);
  if (!states) return states.error();
  const auto state = std::find_if(states->begin(), states->end(), [&](const resource_state& s) {
    return follows(all, s.name) && !first_left(s).empty();
  });
  batch out;
  if (state == states->end()) return out;
  out.of = all.find(state->name);
  for (bool ended = false; !ended;) {
    auto last = range(db, *out.of, *state, out.entries);
    if (!last) return last.error();
    if (*last) {
      state->strike(first_left(*state));
      at_.reset();
      if (auto noted = write_identity(db, *state); !noted) return noted.error();
    }
    ended = *last || std::chrono::steady_clock::now() >= to.until;
  }
  if (auto done = transaction->commit(); !done) return done.error();
  return out;
}

// True when it was the last one of the first piece of work that is left.
net::result<bool> row_numbering::range(connection& db, const resource& of, const resource_state& state,
                                       std::uint64_t& entries) {
  const std::string_view work = first_left(state);
  if (work == kOldLeft) return drop_old(db, state);
  if (auto there = go_to(db, of, state, work); !there) return there.error();
  auto any = at_->walk.next(db);
  if (!any) return any.error();
  if (!*any) return true;
  if (work == kRowsLeft) {
    auto numbered = number_range(db, of, at_->shape, state.id, at_->walk);
    if (!numbered) return numbered.error();
    entries += *numbered;
  } else if (auto filled = fill_search(db, of, at_->shape, at_->walk); !filled) {
    return filled.error();
  }
  return at_->walk.at_last();
}

net::result<bool> row_numbering::drop_old(connection& db, const resource_state& state) const {
  const std::string upto(state.word(kOldLeft).substr(kOldLeft.size()));
  // Unary plus: the entries are to be found by their resource, not by a walk along everybody's.
  auto s = db.cached(
      "DELETE FROM syncline_feed WHERE seq IN (SELECT seq FROM syncline_feed WHERE resource=?1 AND "
      "+seq<=CAST(?2 AS INTEGER) LIMIT ?3)");
  if (!s) return s.error();
  const statement_use once(**s);
  once->bind(1, state.id);
  once->bind(2, std::string_view(upto));
  once->bind(3, static_cast<std::int64_t>(range_rows_));
  if (const int code = once->step(); code != SQLITE_DONE)
    return db.error(code, "dropping old entries of " + state.name);
  return sqlite3_changes64(db.get()) < static_cast<std::int64_t>(range_rows_);
}

net::result<void> row_numbering::go_to(connection& db, const resource& of, const resource_state& state,
                                       std::string_view work) {
  auto schema = db.query_int("PRAGMA schema_version");
  if (!schema) return schema.error();
  if (at_ && at_->resource_id == state.id && at_->incarnation == state.incarnation && at_->work == work &&
      (work == kRowsLeft || at_->schema_version == *schema))
    return {};
  auto shape = read_table_shape(db, of.table);
  if (!shape) return shape.error();
  table_walk walk(db, *shape, range_rows_);
  at_.emplace(position{state.id, state.incarnation, *schema, work, std::move(*shape), std::move(walk)});
  return {};
}

}  // namespace syncline::storage::sqlite
