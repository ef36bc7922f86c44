#include "storage/mysql/clock_hold.h"

#include <algorithm>

#include <fmt/format.h>

#include "storage/mysql/generation.h"
#include "storage/mysql/server_error.h"
#include "storage/mysql/text_rows.h"

namespace syncline::storage::mysql {

net::task<net::result<void>> bound_silence(net::request_context& context, sql_connection& db) {
  auto bounding = run(context, db, fmt::format("SET SESSION mysqlx_wait_timeout={}", kHoldMaxS));
  net::result<std::uint64_t> bounded = co_await std::move(bounding);
  if (!bounded && server_code(bounded.error()) == 0) co_return bounded.error();
  co_return net::result<void>();
}

net::task<void> unbound_silence(net::request_context& context, sql_connection& db) {
  auto unbounding = run(context, db, "SET SESSION mysqlx_wait_timeout=DEFAULT");
  static_cast<void>(co_await std::move(unbounding));
}

net::task<net::result<clock_hold>> clock_hold::begin(net::request_context& context, sql_connection& db,
                                                     bool writes) {
  auto bounding = bound_silence(context, db);
  net::result<void> bounded = co_await std::move(bounding);
  if (!bounded) co_return bounded.error();
  auto starting = run(context, db, "START TRANSACTION");
  auto locking = query(context, db,
                       "SELECT seq, horizon, server, @@server_uuid, (SELECT COALESCE(MAX(seq),0) FROM "
                       "syncline_feed) FROM syncline_clock WHERE id=1 FOR UPDATE");
  net::result<std::uint64_t> started = co_await std::move(starting);
  net::result<text_rows> clock = co_await std::move(locking);
  if (!started) co_return started.error();
  clock_hold out;
  out.db_ = &db;
  if (!clock || clock->empty()) {
    auto undoing = out.rollback(context);
    co_await std::move(undoing);
    if (!clock) co_return clock.error();
    co_return net::error(net::errc::schema_mismatch, "the feed has no clock", "run syncline migrate");
  }
  const text_row& row = clock->front();
  out.seq = out.seq_before_ = row.integer(0);
  out.horizon = out.horizon_before_ = row.integer(1);
  const std::int64_t entered_max = row.integer(4);
  const bool passed = entered_max > out.seq;
  if (!writes) {
    out.seq = std::max(out.seq, entered_max);
  } else if (passed || row.text(2) != row.text(3)) {
    auto restarting = begin_generation(context, db, out.horizon, passed ? kNoCursorIsGood : out.seq);
    const net::result<generation> begun = co_await std::move(restarting);
    if (!begun) {
      auto undoing = out.rollback(context);
      co_await std::move(undoing);
      co_return begun.error();
    }
    out.seq = std::max(out.seq, entered_max);
    out.restarted = true;
  }
  co_return out;
}

net::task<net::result<void>> clock_hold::commit(net::request_context& context) {
  if (seq != seq_before_ || horizon != horizon_before_) {
    auto moving = run(context, *db_,
                      fmt::format("UPDATE syncline_clock SET seq={}, horizon={} WHERE id=1", seq, horizon));
    net::result<std::uint64_t> moved = co_await std::move(moving);
    if (!moved) {
      auto undoing = rollback(context);
      co_await std::move(undoing);
      co_return moved.error();
    }
  }
  auto ending = run(context, *db_, "COMMIT");
  net::result<std::uint64_t> ended = co_await std::move(ending);
  if (!ended) co_return ended.error();
  auto unbounding = unbound_silence(context, *db_);
  co_await std::move(unbounding);
  co_return net::result<void>();
}

net::task<void> clock_hold::rollback(net::request_context& context) {
  auto undoing = run(context, *db_, "ROLLBACK");
  static_cast<void>(co_await std::move(undoing));
  auto unbounding = unbound_silence(context, *db_);
  co_await std::move(unbounding);
}

}  // namespace syncline::storage::mysql
