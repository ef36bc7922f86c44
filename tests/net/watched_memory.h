// The allocator of a test executable, watched: how often it is asked, and made to fail.
//
// One file for all, since a process has one malloc and one operator new. Counting sees malloc and its kin
// (Asio takes its memory from aligned_alloc, which a counting operator new would not see) and is off under
// sanitizers, which interpose too; failing is operator new's and works there as well, but for aligned_alloc.
// Thread: any.
#pragma once

#include <cstdint>
#include <string_view>

namespace syncline::testing::memory {

// False under a sanitizer: then nothing is counted.
[[nodiscard]] bool counts() noexcept;
// Allocations of the calling thread so far.
[[nodiscard]] std::uint64_t of_this_thread() noexcept;
// Allocations of all cores while counting of them was on.
void count_cores(bool on) noexcept;
[[nodiscard]] std::uint64_t of_cores() noexcept;

// Every n-th operator new on a core fails; 0: none.
void fail_on_cores(unsigned every) noexcept;
[[nodiscard]] std::uint64_t failed() noexcept;

// From now on the n-th operator new or aligned_alloc (coroutine frames, what Asio posts) of the threads whose
// name begins so fails, once; n counts from 1. 0: none. The name has at most 15 characters.
void fail_nth(std::string_view thread, std::uint64_t n) noexcept;
// Whether there have been so many.
[[nodiscard]] bool nth_failed() noexcept;

}  // namespace syncline::testing::memory
