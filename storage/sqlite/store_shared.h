// What the threads of one open store share: options, the front of the feed, health and figures.
//
// Thread: every member says so itself; options and catalog are immutable once the threads run. It
// outlives the threads.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>

#include "perf/metrics.h"
#include "storage/sqlite/feed_front.h"
#include "storage/sqlite/sqlite_store.h"
#include "storage/sqlite/table_plan.h"

namespace syncline::storage::sqlite {

// Whether the store works, by the part that noticed. Any thread.
class store_health {
 public:
  enum class part : std::uint8_t { writes, schema, file };
  void trouble(part where, std::string text);
  void well(part where);
  [[nodiscard]] bool healthy() const noexcept { return ailing_.load(std::memory_order_relaxed) == 0; }
  [[nodiscard]] bool healthy(part where) const noexcept {
    return (ailing_.load(std::memory_order_relaxed) & (1U << static_cast<unsigned>(where))) == 0;
  }
  [[nodiscard]] std::string text() const;
  // The file is not the one we opened: nothing can be answered until a restart.
  [[nodiscard]] bool file_gone() const noexcept { return !healthy(part::file); }
  [[nodiscard]] net::error file_error() const;

 private:
  mutable std::mutex mutex_;
  std::array<std::string, 3> texts_;
  std::atomic<unsigned> ailing_{0};  // one bit for each part
};

struct store_metrics {
  store_metrics();
  perf::counter commits, batches, rows_written, rows_rejected, rows_read, busy_waits, failed_groups,
      overloaded;
  perf::counter reads, pages, wakeups, foreign_commits;
  perf::histogram write_time, commit_time, read_time, read_wait;
};

struct store_shared {
  store_shared(const sqlite_options& o, catalog& c) : options(o), all(&c), writing_plans(c), front(c) {}

  const sqlite_options options;
  catalog* const all;
  schema_plans writing_plans;  // the writer's thread, once it runs
  feed_front front;
  store_health health;
  store_metrics metrics;
  std::atomic<std::uint64_t> commits{0}, rows_written{0}, rows_read{0};
  std::atomic<std::int64_t> horizon{0};
  std::atomic<bool> check_schema{false};  // the watcher should look at our objects now
};

// A thread's name as `top` and profiles show it, at most 15 characters.
void name_this_thread(const std::string& name);

}  // namespace syncline::storage::sqlite
