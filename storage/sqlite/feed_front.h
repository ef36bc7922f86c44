// How far this process has told what changed: reads new entries after every commit, tells the listener,
// publishes the watermark.
//
// Called by the writer after its commits and by the watcher after commits of others, each with its own
// connection. Thread: any storage thread for advance() and restart(), which take one lock; any thread for the
// rest. Bound: a notice lists at most kNoticeItemsMax changes, more are told as `everything`. Failure:
// result<>; nothing is published then and the next call tells what this one did not.
//
// Invariants
//  1. The listener is called in order of watermark, one call at a time, before that watermark is published.
//  2. The published watermark falls only in restart(), after the new generation is in the file.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "storage/feed.h"
#include "storage/sqlite/connection.h"
#include "storage/sqlite/schema.h"

namespace syncline::storage::sqlite {

inline constexpr std::int64_t kNoticeItemsMax = 50000;

class feed_front {
 public:
  explicit feed_front(const catalog& all) : all_(&all) {}

  void start_at(std::int64_t seq) { watermark_.store(seq); }
  void set_listener(feed_listener* listener);
  [[nodiscard]] std::int64_t watermark() const noexcept { return watermark_.load(std::memory_order_acquire); }

  enum class step : std::uint8_t { same, moved, went_back };
  // Not inside a transaction of `db`. went_back: the file holds an older state than we told of (restored in
  // place); nothing was told, and the writer must record a new generation and call restart().
  [[nodiscard]] net::result<step> advance(connection& db);
  // Tells `everything` at the clock's value `seq`, which may be lower than before.
  void restart(std::int64_t seq);
  // When the entries could not be read after a commit at `seq`: `everything` instead.
  void tell_everything(std::int64_t seq);
  // The lowest clock seen since the file went back; the new generation starts no later.
  [[nodiscard]] std::int64_t lowest_seen(std::int64_t clock_seq) const noexcept;

  // By ordinal; replaced after a migration. Tells `everything` when one of them started over.
  void set_resources(std::vector<resource_row> rows);
  [[nodiscard]] std::shared_ptr<const std::vector<resource_row>> resources() const;

 private:
  [[nodiscard]] net::result<change_notice_ptr> read_notice(connection& db, std::int64_t after,
                                                           std::int64_t upto);
  void tell(const change_notice_ptr& notice);

  const catalog* all_;
  std::mutex advancing_;
  feed_listener* listener_ = nullptr;  // under advancing_
  std::atomic<std::int64_t> watermark_{0};
  std::atomic<std::int64_t> lowest_seen_{INT64_MAX};
  mutable std::mutex resources_mutex_;
  std::shared_ptr<const std::vector<resource_row>> resources_;
};

}  // namespace syncline::storage::sqlite
