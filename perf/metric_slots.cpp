#include "perf/metric_slots.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

#include "perf/metrics.h"

namespace syncline::perf {
namespace {

// Aligned to a cache line so that two threads' blocks never meet in one.
struct alignas(64) slot_block {
  std::array<std::atomic<std::uint64_t>, kSlotsMax> slots{};
};

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

// The pointer is trivial so that reading it costs one instruction; the guard's destructor runs at thread
// exit.
constinit thread_local slot_block* t_block = nullptr;
constinit thread_local bool t_ended = false;

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
    t_block = nullptr;
    t_ended = true;
  }
};

thread_local block_guard t_guard;

// The first write of a thread, and every write of its late thread_local destructors.
void add_without_block(std::uint32_t slot, std::uint64_t n) noexcept {
  block_list& list = blocks();
  if (!t_ended) {
    try {
      auto fresh = std::make_unique<slot_block>();
      const std::lock_guard hold(list.lock);
      list.live.push_back(fresh.get());
      t_guard.owned = std::move(fresh);
      t_block = t_guard.owned.get();
      t_block->slots[slot].store(n, std::memory_order_relaxed);
      return;
    } catch (const std::bad_alloc&) {
      // Falls through to the shared block.
    }
  }
  list.ended.slots[slot].fetch_add(n, std::memory_order_relaxed);
}

}  // namespace

void add_to_slot(std::uint32_t slot, std::uint64_t n) noexcept {
  slot_block* const block = t_block;
  if (block == nullptr) {
    add_without_block(slot, n);
    return;
  }
  // A plain load and store instead of fetch_add: nobody else writes here, so no locked instruction is needed.
  std::atomic<std::uint64_t>& cell = block->slots[slot];
  cell.store(cell.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
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
