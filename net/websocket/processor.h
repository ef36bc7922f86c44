// Which vector instructions the processor has, asked once.
//
// Use it to choose between forms of one loop that behave the same; a form above what best_instructions() says
// must not be called. Thread: any. Failure: none. Before static initialisation is over it says `scalar`,
// which is always right.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#define SYNCLINE_HAS_X86_VECTORS 1
#else
#define SYNCLINE_HAS_X86_VECTORS 0
#endif

namespace syncline::net::websocket {

enum class instructions : std::uint8_t { scalar, sse2, avx2 };

[[nodiscard]] inline instructions find_best_instructions() noexcept {
#if SYNCLINE_HAS_X86_VECTORS
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") != 0 ? instructions::avx2 : instructions::sse2;
#else
  return instructions::scalar;
#endif
}

namespace detail {
inline const instructions found_instructions = find_best_instructions();
}

[[nodiscard]] inline instructions best_instructions() noexcept {
  return detail::found_instructions;
}

}  // namespace syncline::net::websocket
