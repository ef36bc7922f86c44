// Settings of the store on MySQL. Units are in the names; docs/mysql.md says what to choose.
//
// Thread: a value.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "net/core/pool_options.h"
#include "storage/mysql/session_options.h"

namespace syncline::storage::mysql {

struct mysql_options {
  session_options primary;                // writes, the feed, and reads that need the newest
  std::vector<session_options> replicas;  // reads may go there when they are new enough
  net::pool_options pool;                 // of the primary and of each replica
  std::uint32_t feed_poll_ms = 20;        // how often other programs' and nodes' commits are looked for
  std::uint32_t feed_round_rows = 2000;   // entries that one transaction of the sequencer numbers at most
  std::uint32_t schema_check_s = 30;      // how often triggers and table identities are looked at
  std::uint32_t write_retries_max = 5;    // after a deadlock or a lock that was not to be had
  std::uint32_t lock_wait_timeout_s = 5;  // innodb_lock_wait_timeout of our sessions
  std::uint32_t transaction_idle_ms = 10000;
  std::uint32_t start_timeout_s = 600;  // for what is looked up when the store is opened
  std::uint32_t tombstone_days = 30;
  std::uint32_t purge_interval_s = 60;
  std::uint32_t idempotency_keep_h = 24;
  std::uint32_t replica_lag_max_ms = 5000;  // a replica whose feed stands still for longer is left out
  bool migrate_on_start = false;
};

}  // namespace syncline::storage::mysql
