#include "storage/mysql/generation.h"

#include <random>

#include <fmt/format.h>

#include "storage/mysql/sequencer.h"
#include "storage/mysql/text_rows.h"

namespace syncline::storage::mysql {

namespace {

std::int64_t random_id() {
  std::random_device source;  // the kernel's generator
  return static_cast<std::int64_t>((static_cast<std::uint64_t>(source()) << 32U) | source());
}

}  // namespace

net::task<net::result<generation>> begin_generation(net::request_context& context, sql_connection& db,
                                                    std::int64_t horizon, std::int64_t first_seq) {
  // MySQL does not let a DELETE read its own table in a subquery, so the bounds are read first.
  auto asking =
      query(context, db,
            fmt::format("SELECT COALESCE(MAX(number),0), COALESCE(MAX(IF(first_seq<{},number,NULL)),0) "
                        "FROM syncline_generation",
                        horizon));
  net::result<text_rows> bounds = co_await std::move(asking);
  if (!bounds) co_return bounds.error();
  const std::int64_t newest = bounds->front().integer(0);
  const std::int64_t below_horizon = bounds->front().integer(1);
  generation out;
  out.id = random_id();
  const std::string statements[] = {
      fmt::format("INSERT INTO syncline_generation (id,first_seq,created_at) VALUES ({},{},UNIX_TIMESTAMP())",
                  out.id, first_seq),
      // A generation whose successor begins below the horizon has only cursors that are too old.
      fmt::format("DELETE FROM syncline_generation WHERE number<{} OR number<={}", below_horizon,
                  newest - kGenerationsMax),
      "UPDATE syncline_clock SET server=@@server_uuid WHERE id=1"};
  for (const std::string& statement : statements) {
    auto running = run(context, db, statement);
    net::result<std::uint64_t> done = co_await std::move(running);
    if (!done) co_return done.error();
  }
  // Numbers have gaps: a transaction that is rolled back uses one up.
  auto numbering = query(context, db, "SELECT MAX(number) FROM syncline_generation");
  net::result<text_rows> number = co_await std::move(numbering);
  if (!number) co_return number.error();
  out.number = number->front().integer(0);
  co_return out;
}

net::task<net::result<feed_position>> record_generation(net::request_context& context, sql_connection& db) {
  auto beginning = clock_hold::begin(context, db);
  net::result<clock_hold> hold = co_await std::move(beginning);
  if (!hold) co_return hold.error();
  if (!hold->restarted) {
    auto recording = begin_generation(context, db, hold->horizon, hold->seq);
    const net::result<generation> recorded = co_await std::move(recording);
    if (!recorded) {
      auto undoing = hold->rollback(context);
      co_await std::move(undoing);
      co_return recorded.error();
    }
  }
  auto ending = hold->commit(context);
  net::result<void> ended = co_await std::move(ending);
  if (!ended) co_return ended.error();
  co_return feed_position{hold->seq, hold->horizon};
}

}  // namespace syncline::storage::mysql
