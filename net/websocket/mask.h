// The masking of RFC 6455 section 5.3, in place: byte i of a payload is XORed with byte i mod 4 of the key.
//
// Masking and unmasking are the same. Thread: any. Bound: none, it allocates nothing. A payload may come in
// pieces of any length and alignment: unmask() returns the key turned so that it fits the next piece.
// Figures: perf/bench/websocket_bench.cpp.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "net/websocket/processor.h"

namespace syncline::net::websocket {

// The four key bytes as they lie in memory, read as one number (memcpy from the wire).
using mask_key = std::uint32_t;

// The key whose first byte is byte `offset` mod 4 of `key`.
[[nodiscard]] constexpr mask_key turn_key(mask_key key, std::size_t offset) noexcept {
  const int bits = static_cast<int>(offset % 4) * 8;
  if constexpr (std::endian::native == std::endian::little) {
    return std::rotr(key, bits);
  } else {
    return std::rotl(key, bits);
  }
}

// Applies the key to `n` bytes and returns the key for the byte that follows them.
mask_key unmask(char* bytes, std::size_t n, mask_key key) noexcept;

// One form, for tests and the benchmark.
mask_key unmask_with(instructions form, char* bytes, std::size_t n, mask_key key) noexcept;

}  // namespace syncline::net::websocket
