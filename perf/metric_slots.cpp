#include "perf/metric_slots.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

namespace syncline::perf {

constinit thread_local slot_block* own_block = nullptr;

namespace {

struct block_list {
  std::mutex lock;
  std::vector<slot_block*> live;
  slot_block ended;  // totals of threads that are gone, and of those that could not get a block
};

// Never destroyed: threads may count while static objects are taken down.
block_list& blocks() {
  static auto* const list = new block_list;
  return *list;
}

constinit thread_local bool t_ended = false;

// Its destructor runs at thread exit.
struct block_guard {
  std::unique_ptr<slot_block> owned;

  ~block_guard() {
    if (owned == nullptr) return;
    block_list& list = blocks();
    const std::lock_guard hold(list.lock);
    for (std::size_t i = 0; i < kSlotsMax; ++i) {
      const std::uint64_t n = owned->slots[i].load(std::memory_order_relaxed);
      if (n != 0) list.ended.slots[i].fetch_add(n, std::memory_order_relaxed);
    }
    std::erase(list.live, owned.get());
    own_block = nullptr;
    t_ended = true;
  }
};

thread_local block_guard t_guard;

}  // namespace

void add_without_block(std::uint32_t slot, std::uint64_t n) noexcept {
  block_list& list = blocks();
  if (!t_ended) {
    try {
      auto fresh = std::make_unique<slot_block>();
      const std::lock_guard hold(list.lock);
      list.live.push_back(fresh.get());
      t_guard.owned = std::move(fresh);
      own_block = t_guard.owned.get();
      own_block->slots[slot].store(n, std::memory_order_relaxed);
      return;
    } catch (const std::bad_alloc&) {
      // Falls through to the shared block.
    }
  }
  list.ended.slots[slot].fetch_add(n, std::memory_order_relaxed);
}

void sum_slots(std::uint32_t first, std::span<std::uint64_t> out) noexcept {
  block_list& list = blocks();
  const std::lock_guard hold(list.lock);
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = list.ended.slots[first + i].load(std::memory_order_relaxed);
  }
  for (const slot_block* block : list.live) {
    for (std::size_t i = 0; i < out.size(); ++i) {
      out[i] += block->slots[first + i].load(std::memory_order_relaxed);
    }
  }
}

}  // namespace syncline::perf
