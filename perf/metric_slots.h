// The memory behind counters and histograms: one block of slots per thread, summed when somebody asks.
//
// Use it through perf/metrics.h only; it is a header of its own so that it can be tested without names and
// text. Thread: any. `add_to_slot` touches nothing that another thread writes; `sum_slots` and thread exit
// share a lock. Bound: kSlotsMax slots of 8 bytes (32 KiB) per live thread that ever counted something.
// Failure: a thread that cannot get its block counts into a shared one, slower and just as exactly.
//
// Invariants
//  1. A slot of a block is written by the thread that owns the block alone.
//  2. A block's totals are folded into `ended` in the same critical section that takes it off the list, so a
//  sum never
//     counts a thread twice or not at all.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

namespace syncline::perf {

inline constexpr std::size_t kSlotsMax = 4096;

// Aligned to a cache line so that two threads' blocks never meet in one.
struct alignas(64) slot_block {
  std::array<std::atomic<std::uint64_t>, kSlotsMax> slots{};
};

// This thread's block, null before its first write. Trivial, so that reading it costs one instruction.
extern constinit thread_local slot_block* own_block;

// The first write of a thread, and every write of its late thread_local destructors.
void add_without_block(std::uint32_t slot, std::uint64_t n) noexcept;

// Adds `n` to this thread's copy of the slot. `slot` must be below kSlotsMax. Inline: a request counts six
// times, and the calls were 80 of its 3,421 instructions.
inline void add_to_slot(std::uint32_t slot, std::uint64_t n) noexcept {
  slot_block* const block = own_block;
  if (block == nullptr) [[unlikely]]
    return add_without_block(slot, n);
  // A plain load and store instead of fetch_add: nobody else writes here, so no locked instruction is needed.
  std::atomic<std::uint64_t>& cell = block->slots[slot];
  cell.store(cell.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}
// Writes the sums over all threads, living and ended, of the slots [first, first + out.size()).
void sum_slots(std::uint32_t first, std::span<std::uint64_t> out) noexcept;

}  // namespace syncline::perf
