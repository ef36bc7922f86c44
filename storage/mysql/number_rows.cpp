#include "storage/mysql/number_rows.h"

#include <fmt/format.h>

#include "storage/mysql/clock_hold.h"
#include "storage/mysql/key_walk.h"
#include "storage/mysql/literal.h"
#include "storage/mysql/text_rows.h"

namespace syncline::storage::mysql {

namespace {

// Runs `sql`, which touches at most kNumberBatchRows rows, under the clock until it finds none.
net::task<net::result<void>> in_batches(net::request_context& context, sql_connection& db, std::string sql) {
  for (;;) {
    auto beginning = clock_hold::begin(context, db);
    net::result<clock_hold> hold = co_await std::move(beginning);
    if (!hold) co_return hold.error();
    auto running = run(context, db, sql);
    net::result<std::uint64_t> found = co_await std::move(running);
    if (!found) {
      auto undoing = hold->rollback(context);
      co_await std::move(undoing);
      co_return found.error();
    }
    auto ending = hold->commit(context);
    net::result<void> ended = co_await std::move(ending);
    if (!ended) co_return ended.error();
    if (*found == 0) co_return net::result<void>();
  }
}

}  // namespace

std::string places_without_entry_sql(const resource& of, const table_shape& t, std::int64_t resource_id,
                                     const place_sql& place, std::string_view columns,
                                     std::string_view condition) {
  const std::string where = where_sql(of);
  return fmt::format(
      "SELECT {} FROM {} WHERE {}{}{} AND NOT EXISTS (SELECT 1 FROM syncline_feed AS syncline_entry WHERE "
      "syncline_entry.resource={} AND syncline_entry.scope={} AND syncline_entry.`key`={})",
      columns, identifier(t.name), condition, place.exists.empty() ? "" : " AND " + place.exists,
      where.empty() ? "" : " AND " + where, resource_id, place.scope, place.key);
}

net::task<net::result<std::uint64_t>> number_range(net::request_context& context, sql_connection& db,
                                                   const resource& of, const table_shape& t,
                                                   std::int64_t resource_id, const std::string& condition) {
  auto beginning = clock_hold::begin(context, db);
  net::result<clock_hold> hold = co_await std::move(beginning);
  if (!hold) co_return hold.error();
  std::uint64_t made = 0;
  for (const place_sql& place : places_of(of, t, columns_of(identifier(t.name) + "."))) {
    const std::string columns =
        fmt::format("{},{},{},{}+ROW_NUMBER() OVER (),NULL", resource_id, place.scope, place.key, hold->seq);
    auto entering = run(context, db,
                        "INSERT INTO syncline_feed (resource,scope,`key`,seq,gone_at) " +
                            places_without_entry_sql(of, t, resource_id, place, columns, condition));
    net::result<std::uint64_t> entered = co_await std::move(entering);
    if (!entered) {
      auto undoing = hold->rollback(context);
      co_await std::move(undoing);
      co_return entered.error();
    }
    made += *entered;
    hold->seq += static_cast<std::int64_t>(*entered);
  }
  auto ending = hold->commit(context);
  net::result<void> ended = co_await std::move(ending);
  if (!ended) co_return ended.error();
  co_return made;
}

net::task<net::result<std::uint64_t>> number_rows(net::request_context& context, sql_connection& db,
                                                  const resource& of, const table_shape& t,
                                                  std::int64_t resource_id, const rows_progress& progress) {
  key_walk walk(db, of, kNumberBatchRows);
  std::uint64_t made = 0;
  for (;;) {
    auto moving = walk.next(context);
    net::result<bool> there = co_await std::move(moving);
    if (!there) co_return there.error();
    if (!*there) co_return made;
    auto numbering = number_range(context, db, of, t, resource_id, walk.condition());
    net::result<std::uint64_t> numbered = co_await std::move(numbering);
    if (!numbered) co_return numbered.error();
    made += *numbered;
    if (progress) progress(made);
  }
}

net::task<net::result<void>> mark_old_entries(net::request_context& context, sql_connection& db,
                                              std::int64_t resource_id) {
  auto asking = query(context, db, "SELECT seq FROM syncline_clock WHERE id=1");
  net::result<text_rows> clock = co_await std::move(asking);
  if (!clock) co_return clock.error();
  // The index on gone_at ends in the primary key, so each batch is found at once; what is entered from now on
  // is right.
  auto marking =
      in_batches(context, db,
                 fmt::format("UPDATE syncline_feed SET gone_at=UNIX_TIMESTAMP() WHERE gone_at IS "
                             "NULL AND resource={} AND seq<={} LIMIT {}",
                             resource_id, clock->empty() ? 0 : clock->front().integer(0), kNumberBatchRows));
  co_return co_await std::move(marking);
}

net::task<net::result<void>> delete_entries(net::request_context& context, sql_connection& db,
                                            std::int64_t resource_id) {
  return in_batches(
      context, db,
      fmt::format("DELETE FROM syncline_feed WHERE resource={} LIMIT {}", resource_id, kNumberBatchRows));
}

}  // namespace syncline::storage::mysql
