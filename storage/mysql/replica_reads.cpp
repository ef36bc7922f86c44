#include "storage/mysql/replica_reads.h"

#include <chrono>
#include <utility>

#include "net/core/event.h"
#include "perf/log.h"
#include "storage/mysql/open_connection.h"
#include "storage/mysql/row_reads.h"
#include "storage/mysql/text_rows.h"

namespace syncline::storage::mysql {

namespace {

using clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kAskMax{2000};
constexpr std::chrono::seconds kCheckOrderEvery{10};  // while a replica is in use; else each time

net::task<net::result<std::int64_t>> clock_of(net::request_context& context, sql_connection& db,
                                              std::int64_t generation) {
  clock_sink found;
  auto asking = db.read(context, kPositionSql, {}, found);
  const net::result<statement_notes> got = co_await std::move(asking);
  if (!got) co_return got.error();
  if (!found.read()) co_return net::error(net::errc::schema_mismatch, "the replica has no feed clock");
  co_return found.seq_in(generation);
}

// Older servers say slave where newer ones say replica, some both.
net::task<net::result<void>> check_commit_order(net::request_context& context, sql_connection& db) {
  auto asking = query(context, db,
                      "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('replica_preserve_commit_order',"
                      "'replica_parallel_workers','slave_preserve_commit_order','slave_parallel_workers')");
  const net::result<text_rows> got = co_await std::move(asking);
  if (!got) co_return got.error();
  bool ordered = true;
  std::int64_t workers = 0;
  for (const text_row& row : *got) {
    if (row.text(0).ends_with("commit_order")) {
      ordered = row.text(1) != "OFF";
    } else {
      workers = row.integer(1);
    }
  }
  if (ordered || workers <= 1) co_return net::result<void>();
  co_return net::error(net::errc::unsupported, "the replica does not commit in the order of its source",
                       "on it: STOP REPLICA SQL_THREAD; SET PERSIST replica_preserve_commit_order=ON; START "
                       "REPLICA SQL_THREAD");
}

}  // namespace

std::int64_t steady_ms() noexcept {
  return std::chrono::duration_cast<std::chrono::milliseconds>(clock::now().time_since_epoch()).count();
}

replica::replica(std::string name, std::unique_ptr<server_pools> pools, std::int64_t lag_max_ms)
    : name_(std::move(name)), pools_(std::move(pools)), lag_max_ms_(lag_max_ms) {}

bool replica::try_use(std::int64_t position, std::int64_t now_ms) noexcept {
  if (!in_use()) return false;
  const std::int64_t seq = seen();
  if (seq < 0) return false;
  if (seq >= position) return true;
  // It may have come on since: one reader has a look.
  std::int64_t before = looked_at_ms_.load(std::memory_order_relaxed);
  return now_ms - before >= kLookEveryMs && looked_at_ms_.compare_exchange_strong(before, now_ms);
}

void replica::leave_out(std::string_view why) noexcept {
  if (usable_.exchange(false)) perf::log_warn("a replica is left out", {{"replica", name_}, {"why", why}});
}

void replica::failed(const net::error& why) noexcept {
  leave_out(why.text());
}

void replica::saw(std::int64_t seq, std::int64_t published, std::int64_t now_ms) noexcept {
  std::int64_t before = seen_.load(std::memory_order_relaxed);
  // Whatever it was: a replica that was put back to an older state stands where it says.
  const bool moved = seq != before;
  seen_.store(seq, std::memory_order_relaxed);
  if (seq >= published) {
    behind_since_ms_.store(0, std::memory_order_relaxed);
    return;
  }
  before = behind_since_ms_.load(std::memory_order_relaxed);
  // Behind, but coming on, is no reason; standing still is.
  if (before == 0 || moved) {
    behind_since_ms_.store(now_ms, std::memory_order_relaxed);
  } else if (now_ms - before > lag_max_ms_) {
    leave_out(seq < 0 ? "it follows another history" : "its feed stands still");
  }
}

void replica::well(std::int64_t seq, std::int64_t published, std::int64_t now_ms) noexcept {
  const bool stood_still = behind_since_ms_.load(std::memory_order_relaxed) != 0 &&
                           now_ms - behind_since_ms_.load(std::memory_order_relaxed) > lag_max_ms_;
  const bool moved = seq != seen();
  saw(seq, published, now_ms);
  if (in_use() || seq < 0 || (seq < published && !moved && stood_still)) return;
  if (!usable_.exchange(true)) perf::log_info("a replica is used", {{"replica", name_}, {"seq", seq}});
}

struct replica_set::watch_state {
  std::atomic<bool> stopping{false};
};

void replica_set::add(std::string name, std::unique_ptr<server_pools> pools,
                      std::shared_ptr<const session_options> sessions, std::int64_t lag_max_ms) {
  all_.push_back(std::make_unique<replica>(std::move(name), std::move(pools), lag_max_ms));
  sessions_.push_back(std::move(sessions));
}

replica* replica_set::choose(std::int64_t position) noexcept {
  if (all_.empty()) return nullptr;
  const std::int64_t now = steady_ms();
  const std::uint32_t first = next_.fetch_add(1, std::memory_order_relaxed);
  for (std::size_t i = 0; i < all_.size(); ++i) {
    replica& each = *all_[(first + i) % all_.size()];
    if (each.try_use(position, now)) return &each;
  }
  return nullptr;
}

net::task<void> replica_set::watch(std::shared_ptr<watch_state> state, replica& of,
                                   std::shared_ptr<const session_options> sessions,
                                   published_function published) {
  net::core& on = *net::core::current();
  std::unique_ptr<sql_connection> db;
  std::string unfit;
  net::steady_time order_checked{};
  while (!state->stopping.load()) {
    net::request_context context(on);
    context.set_deadline(clock::now() + kAskMax);
    net::result<std::int64_t> seq = net::error(net::errc::down, "not asked");
    const published_feed wanted = published();
    if (db == nullptr) {
      auto opening = open_connection(context, sessions);
      net::result<std::unique_ptr<sql_connection>> made = co_await std::move(opening);
      if (made) db = std::move(*made);
      if (!made) seq = made.error();
    }
    net::result<void> fit;
    if (db != nullptr && (!of.in_use() || clock::now() >= order_checked + kCheckOrderEvery)) {
      order_checked = clock::now();
      auto checking = check_commit_order(context, *db);
      fit = co_await std::move(checking);
    }
    if (db != nullptr && fit) {
      auto asking = clock_of(context, *db, wanted.generation);
      seq = co_await std::move(asking);
    }
    if (!fit) seq = fit.error();
    if (seq) {
      of.well(*seq, wanted.watermark, steady_ms());
      unfit.clear();
    } else if (!fit && fit.error().code == net::errc::unsupported) {
      std::string why = fit.error().text();
      if (why != unfit) perf::log_error("a replica cannot be used", {{"replica", of.name()}, {"why", why}});
      unfit = std::move(why);
      of.failed(fit.error());
    } else {
      of.failed(seq.error());
      db.reset();
    }
    net::request_context pause(on);
    auto pausing = net::sleep_until(pause, clock::now() + std::chrono::milliseconds(kWatchEveryMs));
    static_cast<void>(co_await std::move(pausing));
  }
}

void replica_set::start(net::core& on) {
  state_ = std::make_shared<watch_state>();
  for (std::size_t i = 0; i < all_.size(); ++i)
    net::spawn(on, watch(state_, *all_[i], sessions_[i], published_));
}

void replica_set::stop() {
  // The watch itself ends with its core.
  if (state_) state_->stopping.store(true);
  for (const auto& each : all_) each->pools().stop([](std::size_t) {});
}

}  // namespace syncline::storage::mysql
