// Between the store's feed and everyone on this node who follows it: drops what changed from L1, then wakes
// the streams it concerns.
//
// The store tells it of each batch of entries on a storage thread, before readers may see the new watermark
// and before a write is acknowledged. L1 is invalidated right there; then each core gets one message and
// wakes only those waiters whose parts changed. Thread: changed() on a storage thread; watch objects on their
// core. Bound: one notice per commit and core in flight, shared and immutable; a watch costs a few hundred
// bytes and holds no data (nobody is buffered for).
//
// Invariants
//  1. When changed() returns, no L1 value older than the notice's watermark is left for the keys it names.
//  2. A watch that was armed before the watermark it waits for was published is notified: arm first, then
//  read the page, then wait. If memory for telling it is wanting, lost() grows before changed() returns.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cache/l1.h"
#include "net/core/core.h"
#include "net/core/event.h"
#include "storage/feed.h"

namespace syncline::server {

class feed_hub final : public storage::feed_listener {
 public:
  feed_hub(net::core_group& cores, cache::l1& l1);
  ~feed_hub() override;

  void changed(const storage::change_notice_ptr& notice) noexcept override;

  // Follows the parts of a stream on this core while it exists.
  class watch {
   public:
    watch(feed_hub& hub, net::core& on, std::shared_ptr<const storage::stream> what);
    ~watch();
    watch(const watch&) = delete;
    watch& operator=(const watch&) = delete;
    [[nodiscard]] net::event& changed() noexcept { return changed_; }

   private:
    friend class feed_hub;
    feed_hub* hub_;
    net::event changed_;
    std::shared_ptr<const storage::stream> what_;
  };

  [[nodiscard]] std::uint64_t watches() const noexcept;
  // How many notices were lost for lack of memory: L1 is right all the same, but who waits must look by
  // itself.
  [[nodiscard]] std::uint64_t lost() const noexcept { return lost_.load(std::memory_order_relaxed); }

 private:
  struct per_core;
  std::atomic<std::uint64_t> lost_{0};
  net::core_group* cores_;
  cache::l1* l1_;
  std::vector<std::unique_ptr<per_core>> per_core_;
};

// The L1 key of a row: the resource's ordinal and the canonical key; appended to `out`.
void append_l1_key(std::uint32_t resource_ordinal, std::string_view key, std::string& out);

}  // namespace syncline::server
