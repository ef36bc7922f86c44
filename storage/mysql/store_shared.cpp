#include "storage/mysql/store_shared.h"

#include <chrono>

#include "storage/mysql/server_error.h"

namespace syncline::storage::mysql {

store_metrics::store_metrics() {
  using perf::metrics;
  commits = metrics::add_counter("syncline_mysql_commits_total", "Write transactions committed.");
  batches = metrics::add_counter("syncline_mysql_batches_total", "Write batches run.");
  rows_written =
      metrics::add_counter("syncline_mysql_rows_written_total", "Rows created, updated or removed.");
  rows_rejected = metrics::add_counter("syncline_mysql_rows_rejected_total", "Rows that a write refused.");
  write_retries = metrics::add_counter("syncline_mysql_write_retries_total",
                                       "Batches run again after a deadlock, a lock or a lost connection.");
  commits_in_doubt = metrics::add_counter("syncline_mysql_commits_in_doubt_total",
                                          "Connections lost while COMMIT was under way.");
  reads = metrics::add_counter("syncline_mysql_reads_total", "Reads of rows.");
  rows_read = metrics::add_counter("syncline_mysql_rows_read_total", "Rows read and encoded.");
  pages = metrics::add_counter("syncline_mysql_feed_pages_total", "Pages of streams read.");
  read_retries = metrics::add_counter("syncline_mysql_read_retries_total",
                                      "Reads made again because their connection was lost.");
  replica_answers =
      metrics::add_counter("syncline_mysql_replica_answers_total", "Reads that a replica answered.");
  replica_misses = metrics::add_counter("syncline_mysql_replica_misses_total",
                                        "Reads that a replica was asked for and the primary answered.");
  write_time = metrics::add_histogram("syncline_mysql_write_seconds",
                                      "From the call of a write to its acknowledgement.");
  settle_time = metrics::add_histogram("syncline_mysql_settle_seconds",
                                       "From COMMIT until the feed had the write and the listener knew.");
  read_time = metrics::add_histogram("syncline_mysql_read_seconds", "From the call of a read to its answer.");
}

std::uint64_t us_since(net::steady_time from) noexcept {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - from).count());
}

bool lost_connection(const net::error& why, const sql_connection& on,
                     const net::request_context& context) noexcept {
  if (context.cancelled() || context.expired()) return false;
  const std::uint32_t number = server_code(why);
  if (number == 1317 || number == 1053 || number == 3169) return true;  // KILL, shutdown, session killed
  if (number == code::kNotRun) return true;
  return on.broken() && (why.code == net::errc::down || why.code == net::errc::closed);
}

bool met_read_only(store_shared& shared, db_lease& on, const net::error& why) noexcept {
  if (!is_read_only(why)) return false;
  on.mark_broken();
  shared.primary->suspect();
  return true;
}

net::result<void> usable(const store_shared& shared, const net::request_context& context) {
  if (context.cancelled()) return net::error(net::errc::cancelled, "the request was cancelled");
  if (context.expired()) return net::error(net::errc::timed_out, "the deadline passed");
  if (shared.stopping.load(std::memory_order_relaxed))
    return net::error(net::errc::closed, "the store is stopping");
  return {};
}

}  // namespace syncline::storage::mysql
