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

#include <cstdint>
#include <span>

namespace syncline::perf {

// Adds `n` to this thread's copy of the slot. `slot` must be below kSlotsMax.
void add_to_slot(std::uint32_t slot, std::uint64_t n) noexcept;
// Writes the sums over all threads, living and ended, of the slots [first, first + out.size()).
void sum_slots(std::uint32_t first, std::span<std::uint64_t> out) noexcept;

}  // namespace syncline::perf
