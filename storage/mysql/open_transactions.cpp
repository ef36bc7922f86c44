#include "storage/mysql/open_transactions.h"

#include <utility>

#include "storage/mysql/store_writes.h"

namespace syncline::storage::mysql {

namespace {

using net::errc;
using net::error;

error ended() {
  return {errc::closed, "the transaction has ended"};
}

}  // namespace

struct open_transactions::transaction {
  transaction(open_transactions& from, std::uint64_t its_id, db_lease taken)
      : owner(from),
        id(its_id),
        on(std::move(taken)),
        idle([](void* self) noexcept { static_cast<transaction*>(self)->timed_out(); }, this) {}
  ~transaction() {
    if (!finished) on.mark_broken();
  }
  transaction(const transaction&) = delete;
  transaction& operator=(const transaction&) = delete;
  // Destroys it, with the connection: the server rolls back.
  void timed_out() noexcept { owner.close(id); }

  open_transactions& owner;
  const std::uint64_t id;
  db_lease on;
  net::timer_entry idle;
  bool busy = false;
  bool finished = false;  // by a statement that was answered
};

open_transactions::open_transactions(store_shared& shared, std::size_t core, std::size_t cores)
    : shared_(shared), next_id_(core + 1), step_(cores) {}
open_transactions::~open_transactions() = default;

std::shared_ptr<open_transactions::transaction> open_transactions::find(std::uint64_t id) const {
  const auto found = open_.find(id);
  return found == open_.end() ? nullptr : found->second;
}

void open_transactions::close(std::uint64_t id) {
  open_.erase(id);
}

void open_transactions::close_all() {
  open_.clear();
}

net::task<net::result<std::uint64_t>> open_transactions::begin(net::request_context& context) {
  auto acquiring = shared_.primary->acquire(context, net::lease_kind::exclusive);
  net::result<db_lease> lease = co_await std::move(acquiring);
  if (!lease) co_return lease.error();
  const std::uint64_t id = next_id_;
  next_id_ += step_;
  auto made = std::make_shared<transaction>(*this, id, std::move(*lease));
  auto asking = made->on->sql(context, "START TRANSACTION");
  const net::result<result_rows> begun = co_await std::move(asking);
  if (!begun) co_return begun.error();
  if (shared_.stopping.load(std::memory_order_relaxed))
    co_return error(errc::closed, "the store is stopping");
  open_.emplace(id, made);
  context.on().timers().arm(made->idle, std::chrono::steady_clock::now() +
                                            std::chrono::milliseconds(shared_.options.transaction_idle_ms));
  co_return id;
}

net::task<net::result<write_outcome>> open_transactions::write(net::request_context& context,
                                                               write_batch batch) {
  const std::shared_ptr<transaction> mine = find(batch.transaction);
  if (mine == nullptr) co_return ended();
  if (std::exchange(mine->busy, true))
    co_return error(errc::conflict, "a batch of this transaction is being written");
  mine->idle.disarm();
  sql_connection& db = *mine->on;
  // What a batch wrote is undone alone: by a rejected row of an all-or-nothing one, or a dry run.
  std::optional<write_session::answering> savepoint = db.sql(context, "SAVEPOINT syncline_batch");
  auto writing = write_in_transaction(context, db, shared_.plans.of(*batch.of), batch, std::move(savepoint));
  batch_ending made = co_await std::move(writing);
  shared_.metrics.batches.add();
  bool over = !made.outcome && made.outcome.error().code != errc::conflict;
  if (over) static_cast<void>(met_read_only(shared_, mine->on, made.outcome.error()));
  if (!over && !made.keep) {
    auto undoing = db.sql(context, "ROLLBACK TO SAVEPOINT syncline_batch");
    const net::result<result_rows> undone = co_await std::move(undoing);
    over = !undone.has_value();
  }
  if (made.outcome) {
    made.outcome->position = shared_.feed->watermark();
    count_rows(shared_, batch, *made.outcome, made.keep);
  }
  mine->busy = false;
  // close_all() may have come in between.
  if (over || find(mine->id) == nullptr) {
    close(mine->id);
    if (made.outcome) co_return ended();
  } else {
    context.on().timers().arm(mine->idle, std::chrono::steady_clock::now() +
                                              std::chrono::milliseconds(shared_.options.transaction_idle_ms));
  }
  co_return std::move(made.outcome);
}

net::task<net::result<std::int64_t>> open_transactions::end(net::request_context& context, std::uint64_t id,
                                                            bool wanted) {
  const std::shared_ptr<transaction> mine = find(id);
  if (mine == nullptr || mine->busy) co_return ended();
  mine->idle.disarm();
  close(id);
  // Its caller would not know whether it happened; so it does not.
  if (context.cancelled() || context.expired()) co_return error(errc::timed_out, "the deadline passed");
  if (!wanted) {
    auto undoing = roll_back(context, mine->on);
    co_await std::move(undoing);
    mine->finished = true;
    co_return shared_.feed->watermark();
  }
  auto committing = commit(context, mine->on);
  const net::result<void> committed = co_await std::move(committing);
  const bool refused = !committed && met_read_only(shared_, mine->on, committed.error());
  const bool lost = !refused && mine->on->broken();
  mine->finished = true;
  mine->on.end();
  if (!committed && lost) {
    shared_.metrics.commits_in_doubt.add();
    co_return error(errc::down, "the connection was lost at COMMIT: the write may or may not have happened");
  }
  if (!committed) co_return committed.error();
  shared_.metrics.commits.add();
  shared_.commits.fetch_add(1, std::memory_order_relaxed);
  auto acknowledging =
      acknowledge(context, shared_, "the transaction is committed, but the feed has not come to it yet");
  co_return co_await std::move(acknowledging);
}

}  // namespace syncline::storage::mysql
