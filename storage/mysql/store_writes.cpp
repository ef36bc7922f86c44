#include "storage/mysql/store_writes.h"

#include <algorithm>
#include <random>
#include <utility>

#include "perf/log.h"
#include "storage/mysql/idempotency_records.h"

namespace syncline::storage::mysql {

namespace {

using net::errc;
using net::error;
using std::chrono::milliseconds;
using clock = std::chrono::steady_clock;

constexpr milliseconds kPauseFirst{4};
constexpr milliseconds kPauseMax{250};
constexpr milliseconds kDoubtStep{100};
constexpr milliseconds kDoubtMax{5000};

enum class next_step : std::uint8_t { answer, again_later, again_elsewhere, in_doubt };

struct attempt {
  net::result<write_outcome> outcome = error();
  next_step then = next_step::answer;
  bool kept = false;
};

// A lease that ends without having said how its transaction ended must not be used by others.
class open_lease {
 public:
  explicit open_lease(db_lease taken) : on(std::move(taken)) {}
  ~open_lease() {
    if (!ended) on.mark_broken();
  }
  open_lease(const open_lease&) = delete;
  open_lease& operator=(const open_lease&) = delete;
  db_lease on;
  bool ended = false;
};

net::task<attempt> try_once(net::request_context& context, store_shared& shared, const write_batch& batch) {
  attempt out;
  auto acquiring = shared.primary->acquire(context, net::lease_kind::exclusive);
  net::result<db_lease> lease = co_await std::move(acquiring);
  if (!lease) {
    out.outcome = lease.error();
    co_return out;
  }
  open_lease open(std::move(*lease));
  sql_connection& db = *open.on;
  std::optional<write_session::answering> begin = db.sql(context, "START TRANSACTION");
  auto writing = write_in_transaction(context, db, shared.plans.of(*batch.of), batch, std::move(begin));
  batch_ending ending = co_await std::move(writing);
  out.outcome = std::move(ending.outcome);
  if (!ending.keep) {
    if (!out.outcome && out.outcome.error().code == errc::locked) out.then = next_step::again_later;
    if (!out.outcome && (lost_connection(out.outcome.error(), db, context) ||
                         met_read_only(shared, open.on, out.outcome.error())))
      out.then = next_step::again_elsewhere;
    auto undoing = roll_back(context, open.on);
    co_await std::move(undoing);
    open.ended = true;
    co_return out;
  }
  auto committing = commit(context, open.on);
  const net::result<void> committed = co_await std::move(committing);
  open.ended = true;
  out.kept = committed.has_value();
  if (committed) co_return out;
  out.then = committed.error().code == errc::locked ? next_step::again_later : next_step::answer;
  if (met_read_only(shared, open.on, committed.error())) {
    out.then = next_step::again_elsewhere;  // it was rolled back
  } else if (lost_connection(committed.error(), db, context)) {
    out.then = next_step::in_doubt;  // the outcome is what it is if it happened
    co_return out;
  }
  out.outcome = committed.error();
  co_return out;
}

// Looks for the record that the lost COMMIT would have made. Only finding it proves anything: the server may
// be at it still.
net::task<bool> record_is_there(net::request_context& context, store_shared& shared,
                                const idempotency& wanted) {
  const net::steady_time until = std::min(context.deadline(), clock::now() + kDoubtMax);
  while (clock::now() < until) {
    auto acquiring = shared.primary->acquire(context, net::lease_kind::shared);
    net::result<db_lease> lease = co_await std::move(acquiring);
    if (lease) {
      auto reading = read_idempotency(context, **lease, wanted.key, false);
      const net::result<std::optional<idempotency>> found = co_await std::move(reading);
      if (found)
        co_return found->has_value() && (*found)->fingerprint == wanted.fingerprint &&
            (*found)->lines_done == wanted.lines_done && (*found)->complete == wanted.complete;
    }
    auto pausing = net::sleep_until(context, clock::now() + kDoubtStep);
    if (const net::result<void> slept = co_await std::move(pausing); !slept) co_return false;
  }
  co_return false;
}

net::task<net::result<void>> pause(net::request_context& context, std::uint32_t tries) {
  thread_local std::minstd_rand random(std::random_device{}());
  const milliseconds longest = std::min(kPauseMax, kPauseFirst * (1U << std::min(tries, 6U)));
  std::uniform_int_distribution<std::int64_t> spread(longest.count() / 2, longest.count());
  return net::sleep_until(context, clock::now() + milliseconds(spread(random)));
}

// Rows and batches that are being written, for the figures.
class counted_write {
 public:
  counted_write(store_shared& shared, const write_batch& batch) : shared_(shared), rows_(batch.row_count) {
    shared_.rows_in_writes.fetch_add(rows_, std::memory_order_relaxed);
    shared_.batches_in_writes.fetch_add(1, std::memory_order_relaxed);
  }
  ~counted_write() {
    shared_.rows_in_writes.fetch_sub(rows_, std::memory_order_relaxed);
    shared_.batches_in_writes.fetch_sub(1, std::memory_order_relaxed);
  }
  counted_write(const counted_write&) = delete;
  counted_write& operator=(const counted_write&) = delete;

 private:
  store_shared& shared_;
  std::uint64_t rows_;
};

// Until it is committed or refused for good.
net::task<attempt> try_until_done(net::request_context& context, store_shared& shared,
                                  const write_batch& batch) {
  std::uint32_t lost = 0;
  for (std::uint32_t tries = 0;; ++tries) {
    auto trying = try_once(context, shared, batch);
    attempt made = co_await std::move(trying);
    shared.metrics.batches.add();
    switch (made.then) {
      case next_step::answer:
        co_return made;
      case next_step::in_doubt: {
        shared.metrics.commits_in_doubt.add();
        bool happened = false;
        if (batch.remember) {
          auto looking = record_is_there(context, shared, *batch.remember);
          happened = co_await std::move(looking);
        }
        made.kept = happened;
        if (!happened)
          made.outcome =
              error(errc::down, "the connection was lost at COMMIT: the write may or may not have happened");
        co_return made;
      }
      case next_step::again_elsewhere:
        if (lost++ > 0) co_return made;
        break;
      case next_step::again_later:
        if (tries >= shared.options.write_retries_max) co_return made;
        break;
    }
    shared.metrics.write_retries.add();
    auto pausing = pause(context, tries);
    if (const net::result<void> paused = co_await std::move(pausing); !paused) {
      made.outcome = paused.error();
      co_return made;
    }
  }
}

}  // namespace

net::task<net::result<void>> commit(net::request_context& context, db_lease& on) {
  auto asking = on->sql(context, "COMMIT");
  const net::result<result_rows> done = co_await std::move(asking);
  if (done) co_return net::result<void>();
  // Whatever it was, nobody knows what is open on this connection.
  on.mark_broken();
  co_return done.error();
}

net::task<void> roll_back(net::request_context& context, db_lease& on) {
  if (on->broken() || context.cancelled() || context.expired()) {
    on.mark_broken();
    co_return;
  }
  auto asking = on->sql(context, "ROLLBACK");
  const net::result<result_rows> done = co_await std::move(asking);
  if (!done) on.mark_broken();
}

net::task<net::result<std::int64_t>> acknowledge(net::request_context& context, store_shared& shared,
                                                 std::string_view committed) {
  const net::steady_time began = clock::now();
  auto settling = shared.feed->settle(context);
  net::result<std::int64_t> at = co_await std::move(settling);
  shared.metrics.settle_time.record_us(us_since(began));
  if (!at) {
    // `overloaded` would say that nothing was done.
    const errc code = at.error().code == errc::overloaded ? errc::down : at.error().code;
    error why(code, committed, at.error().text());
    why.retry_after_ms = at.error().retry_after_ms;
    at = std::move(why);
  }
  co_return at;
}

void count_rows(store_shared& shared, const write_batch& batch, const write_outcome& made, bool kept) {
  std::uint64_t written = 0;
  std::uint64_t refused = 0;
  for (const row_result& row : made.rows) {
    if (row.what == fate::created || row.what == fate::updated || row.what == fate::removed) ++written;
    if (row.what == fate::rejected) ++refused;
  }
  if (!kept || batch.dry_run) written = 0;
  shared.metrics.rows_written.add(written);
  shared.metrics.rows_rejected.add(refused);
  shared.rows_written.fetch_add(written, std::memory_order_relaxed);
}

net::task<net::result<write_outcome>> write_batch_alone(net::request_context& context, store_shared& shared,
                                                        write_batch batch) {
  const net::steady_time began = clock::now();
  const counted_write counted(shared, batch);
  auto trying = try_until_done(context, shared, batch);
  attempt made = co_await std::move(trying);
  if (!made.outcome) co_return made.outcome.error();
  count_rows(shared, batch, *made.outcome, made.kept);
  made.outcome->position = shared.feed->watermark();
  if (made.kept) {
    shared.metrics.commits.add();
    shared.commits.fetch_add(1, std::memory_order_relaxed);
    // Also where every row was unchanged: what it was compared with may be younger than the feed.
    auto acknowledging =
        acknowledge(context, shared,
                    batch.row_count <= 1 ? "the write is committed, but the feed has not come to it yet"
                                         : "the batch is committed, without rows that were refused, but the "
                                           "feed has not come to it yet");
    const net::result<std::int64_t> position = co_await std::move(acknowledging);
    if (!position) co_return position.error();
    made.outcome->position = *position;
  }
  const std::uint64_t spent = us_since(began);
  shared.metrics.write_time.record_us(spent);
  context.stage_us[static_cast<std::size_t>(net::stage::storage)] += static_cast<std::uint32_t>(spent);
  co_return std::move(made.outcome);
}

}  // namespace syncline::storage::mysql
