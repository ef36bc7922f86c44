// What the parts of one open store share: options, plans, servers, the sequencer, figures.
//
// Thread: every member says so itself; options, catalog and plans are immutable once the store is open. It
// outlives the parts.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "perf/metrics.h"
#include "storage/mysql/replica_reads.h"
#include "storage/mysql/sequencer.h"
#include "storage/mysql/server_pools.h"
#include "storage/mysql/table_plan.h"

namespace syncline::storage::mysql {

struct store_metrics {
  store_metrics();
  perf::counter commits, batches, rows_written, rows_rejected, write_retries, commits_in_doubt;
  perf::counter reads, rows_read, pages, read_retries, replica_answers, replica_misses;
  perf::histogram write_time, settle_time, read_time;
};

struct store_shared {
  store_shared(const mysql_options& o, catalog& c) : options(o), all(&c) {}

  const mysql_options options;
  catalog* const all;
  table_plans plans;
  std::unique_ptr<server_pools> primary;
  std::unique_ptr<replica_set> replicas;  // null: there are none
  std::unique_ptr<sequencer> feed;
  store_metrics metrics;
  std::atomic<std::uint64_t> commits{0}, rows_written{0}, rows_read{0};
  std::atomic<std::uint64_t> rows_in_writes{0}, batches_in_writes{0}, reads_under_way{0};
  std::atomic<bool> stopping{false};
};

// Microseconds since `from`.
[[nodiscard]] std::uint64_t us_since(net::steady_time from) noexcept;
// The statement failed because its connection ended, or somebody ended it (KILL), while the request goes on.
[[nodiscard]] bool lost_connection(const net::error& why, const sql_connection& on,
                                   const net::request_context& context) noexcept;
// Whether a write met a server that has become read-only; its connection is given up then, and the others of
// the pool with it, because another server may have taken its place.
[[nodiscard]] bool met_read_only(store_shared& shared, db_lease& on, const net::error& why) noexcept;
// A request that is over, or a store that is stopping, is answered at once.
[[nodiscard]] net::result<void> usable(const store_shared& shared, const net::request_context& context);

}  // namespace syncline::storage::mysql
