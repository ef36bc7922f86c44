#include "storage/sqlite/reader_threads.h"

#include <algorithm>

#include <fmt/format.h>

#include "perf/log.h"
#include "storage/sqlite/clocks.h"

namespace syncline::storage::sqlite {

namespace {

using clock = std::chrono::steady_clock;

}  // namespace

net::result<connection> reader_threads::open_connection() const {
  connection_options how;
  how.path = shared_.options.path;
  how.read_only = true;
  how.synchronous = shared_.options.synchronous;
  how.cache_kb = shared_.options.cache_kb;
  how.busy_timeout_ms = static_cast<int>(shared_.options.busy_timeout_ms);
  how.statements_max = 512;
  return connection::open(how);
}

net::result<void> reader_threads::start() {
  for (unsigned i = 0; i < std::max(shared_.options.readers, 1U); ++i) {
    auto db = open_connection();
    if (!db) return db.error();
    threads_.emplace_back([this, i, own = std::move(*db)]() mutable { run(i, std::move(own)); });
  }
  return {};
}

void reader_threads::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& each : threads_)
    if (each.joinable()) each.join();
  threads_.clear();
}

std::uint64_t reader_threads::queued() const {
  const std::lock_guard lock(mutex_);
  return queued_;
}

net::result<void> reader_threads::push(read_job job) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return net::error(net::errc::closed, "the store is stopping");
    const double threads = static_cast<double>(std::max(shared_.options.readers, 1U));
    const std::size_t own = static_cast<std::size_t>(job.call->work);
    std::size_t ahead = 0;
    for (std::size_t i = 0; i <= own; ++i) ahead += queues_[i].size();
    const double wait_us = static_cast<double>(ahead) * us_per_job_ / threads;
    const std::uint64_t limit = shared_.options.read_queue_limit_jobs;
    // A quarter is kept for the first class: thousands of streams that wake at once are to refuse no read by
    // key.
    const bool full = queued_ >= limit || (own > 0 && queued_ - queues_[0].size() >= limit - limit / 4);
    const bool late =
        ahead > 0 && job.call->deadline != net::steady_time::max() &&
        clock::now() + std::chrono::microseconds(static_cast<std::int64_t>(wait_us)) > job.call->deadline;
    if (full || late) {
      shared_.metrics.overloaded.add();
      net::error why(net::errc::overloaded, full ? "too many reads wait" : "the read would miss its deadline",
                     fmt::format("{} jobs wait", queued_));
      why.retry_after_ms = static_cast<std::uint32_t>(std::clamp(wait_us / 1000, 10.0, 5000.0));
      return why;
    }
    queues_[static_cast<std::size_t>(job.call->work)].push_back(std::move(job));
    ++queued_;
  }
  wake_.notify_one();
  return {};
}

// Waits for a job; false when the threads stop and nothing is left.
bool reader_threads::take(read_job& out) {
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [this] { return stopping_ || queued_ > 0; });
  if (queued_ == 0) return false;
  const bool fair = ++turn_ % kFairTurn == 0;
  for (std::size_t i = 0; i < queues_.size(); ++i) {
    auto& queue = queues_[fair ? queues_.size() - 1 - i : i];
    if (queue.empty()) continue;
    out = std::move(queue.front());
    queue.pop_front();
    --queued_;
    return true;
  }
  return false;
}

void reader_threads::run(unsigned number, connection db) {
  shared_.metrics.reads.add(
      0);  // see perf/log.cpp: a thread's first allocation must not meet a lack of memory
  name_this_thread(fmt::format("sqlite-read-{}", number));
  schema_plans plans(*shared_.all);
  read_job job;
  while (take(job)) {
    try {
      run_job(job, db, plans);
    } catch (...) {
      perf::log_caught("a read threw");
      job.call->fail(net::caught_error("a read threw"));
      db = connection();  // it may be in the middle of something
    }
    complete(job.call);
    job = {};
  }
}

void reader_threads::run_job(read_job& job, connection& db, schema_plans& plans) {
  const auto started = clock::now();
  if (job.call->dead(started)) {
    job.call->fail(net::error(net::errc::timed_out, "the deadline passed"));
    return;
  }
  if (shared_.health.file_gone()) {
    job.call->fail(shared_.health.file_error());
    return;
  }
  if (!db) {
    auto opened = open_connection();
    if (!opened) {
      job.call->fail(opened.error());
      return;
    }
    db = std::move(*opened);
  }
  shared_.metrics.read_wait.record_us(us_since(job.call->queued_at));
  if (job.run(db, plans)) db = connection();
  const std::uint64_t us = us_since(started);
  shared_.metrics.reads.add();
  shared_.metrics.read_time.record_us(us);
  const std::lock_guard lock(mutex_);
  us_per_job_ += (static_cast<double>(us) - us_per_job_) / 16;
}

}  // namespace syncline::storage::sqlite
