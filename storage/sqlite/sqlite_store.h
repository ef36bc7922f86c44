// The store on an embedded SQLite file: one writer thread with group commit, a few reader threads, WAL.
//
// Thread: see store.h. Bounds: queues by options below; each reader holds one page cache of `cache_kb` and
// one page of an answer. Failure: see store.h; a foreign process that holds the write lock longer than
// `busy_timeout_ms` gives errc::locked to the waiting writes, and the next try may succeed.
//
// Invariants
//  1. A write is acknowledged after its transaction is durable and the listener was told of its feed entries.
//  2. The published watermark never passes what the listener was told.
//  3. Everything of a feed_page is read in one read transaction.
//  4. Interactive batches go before bulk ones; one group commit holds the writer for about
//  group_commit_max_ms.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "storage/store.h"

namespace syncline::storage::sqlite {

struct sqlite_options {
  std::string path = "syncline.db";
  std::string synchronous = "FULL";
  std::uint32_t readers = 2;
  std::uint32_t cache_kb = 8 * 1024;  // per connection
  std::uint32_t busy_timeout_ms = 5000;
  std::uint32_t group_commit_max_ms = 5;  // how long one transaction collects queued batches
  std::uint32_t write_queue_limit_rows = 50000;
  std::uint32_t read_queue_limit_jobs = 10000;
  std::uint32_t transaction_idle_ms = 10000;
  std::uint32_t poll_interval_ms = 50;  // fall-back of the watcher for foreign commits
  std::uint32_t tombstone_days = 30;
  std::uint32_t purge_interval_s = 60;
  std::uint32_t idempotency_keep_h = 24;
  bool migrate_on_start = false;
};

// Opens the file, fits the catalog to it (filling nullable and has_default), migrates if asked, records a new
// generation, starts the threads. errc::schema_mismatch says what differs or that `syncline migrate` must
// run.
[[nodiscard]] net::result<std::unique_ptr<store>> open_sqlite_store(const sqlite_options& options,
                                                                    catalog& all);

}  // namespace syncline::storage::sqlite
