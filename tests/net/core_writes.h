// Counts the send calls that the cores make, so that a test can say how many a batch takes, and what they
// give to the kernel from where it is. Not under a sanitizer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && defined(__GLIBC__)
#define SYNCLINE_COUNTS_CALLS 1
#else
#define SYNCLINE_COUNTS_CALLS 0
#endif

namespace syncline::net::testing {

// Of all cores since the start. Any thread.
[[nodiscard]] std::uint64_t core_writes() noexcept;

// From now on counts the bytes that the kernel took out of `bytes` themselves, not out of a copy.
void watch_writes_of(std::string_view bytes) noexcept;
[[nodiscard]] std::uint64_t written_from_there() noexcept;

}  // namespace syncline::net::testing
