// Counts the send calls that the cores make, so that a test can say how many a batch takes. Not under a
// sanitizer.
#pragma once

#include <cstdint>

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && defined(__GLIBC__)
#define SYNCLINE_COUNTS_CALLS 1
#else
#define SYNCLINE_COUNTS_CALLS 0
#endif

namespace syncline::net::testing {

// Of all cores since the start. Any thread.
[[nodiscard]] std::uint64_t core_writes() noexcept;

}  // namespace syncline::net::testing
