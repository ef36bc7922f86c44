#include "storage/sqlite/store_shared.h"

#include <pthread.h>

#include "perf/log.h"

namespace syncline::storage::sqlite {

void store_health::trouble(part where, std::string text) {
  const std::lock_guard lock(mutex_);
  std::string& kept = texts_[static_cast<std::size_t>(where)];
  if (kept != text) perf::log_error("the store is in trouble", {{"why", text}});
  kept = std::move(text);
  ailing_.fetch_or(1U << static_cast<unsigned>(where), std::memory_order_relaxed);
}

void store_health::well(part where) {
  if (healthy(where)) return;
  const std::lock_guard lock(mutex_);
  ailing_.fetch_and(~(1U << static_cast<unsigned>(where)), std::memory_order_relaxed);
  perf::log_info("the store has recovered", {{"from", texts_[static_cast<std::size_t>(where)]}});
  texts_[static_cast<std::size_t>(where)].clear();
}

std::string store_health::text() const {
  const std::lock_guard lock(mutex_);
  std::string out;
  for (const std::string& each : texts_) {
    if (each.empty()) continue;
    if (!out.empty()) out += "; ";
    out += each;
  }
  return out;
}

net::error store_health::file_error() const {
  const std::lock_guard lock(mutex_);
  return {net::errc::down, "the database file is gone", texts_[static_cast<std::size_t>(part::file)]};
}

store_metrics::store_metrics() {
  using perf::metrics;
  commits = metrics::add_counter("syncline_sqlite_commits_total", "Write transactions committed.");
  batches = metrics::add_counter("syncline_sqlite_batches_total",
                                 "Write batches run; divided by commits: the group size.");
  rows_written =
      metrics::add_counter("syncline_sqlite_rows_written_total", "Rows created, updated or removed.");
  rows_rejected = metrics::add_counter("syncline_sqlite_rows_rejected_total", "Rows that a write refused.");
  rows_read = metrics::add_counter("syncline_sqlite_rows_read_total", "Rows read and encoded.");
  busy_waits = metrics::add_counter("syncline_sqlite_busy_waits_total",
                                    "Waits of the writer for another process's lock, in steps.");
  failed_groups = metrics::add_counter("syncline_sqlite_failed_groups_total",
                                       "Write transactions that failed as a whole.");
  overloaded = metrics::add_counter("syncline_sqlite_overloaded_total",
                                    "Calls refused because a queue was full or too slow.");
  reads = metrics::add_counter("syncline_sqlite_reads_total", "Reading jobs run.");
  pages = metrics::add_counter("syncline_sqlite_feed_pages_total", "Pages of streams read.");
  wakeups = metrics::add_counter("syncline_sqlite_watcher_wakeups_total",
                                 "Times the watcher looked for commits of others.");
  foreign_commits =
      metrics::add_counter("syncline_sqlite_foreign_commits_total", "Times it found something new.");
  write_time = metrics::add_histogram("syncline_sqlite_write_seconds",
                                      "A write from its queue to its durable answer.");
  commit_time = metrics::add_histogram("syncline_sqlite_commit_seconds", "COMMIT alone: the disk.");
  read_time = metrics::add_histogram("syncline_sqlite_read_seconds", "A reading job on its thread.");
  read_wait = metrics::add_histogram("syncline_sqlite_read_wait_seconds", "A reading job in its queue.");
}

void name_this_thread(const std::string& name) {
  pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
}

}  // namespace syncline::storage::sqlite
