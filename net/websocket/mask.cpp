#include "net/websocket/mask.h"

#include <cstring>

#if SYNCLINE_HAS_X86_VECTORS
#include <immintrin.h>
#endif

namespace syncline::net::websocket {

namespace {

void mask_scalar(char* at, std::size_t n, mask_key key) noexcept {
  const std::uint64_t wide = (std::uint64_t{key} << 32U) | key;
  for (; n >= 8; n -= 8, at += 8) {
    std::uint64_t word;
    std::memcpy(&word, at, 8);
    word ^= wide;
    std::memcpy(at, &word, 8);
  }
  char bytes[4];
  std::memcpy(bytes, &key, 4);
  for (std::size_t i = 0; i < n; ++i) at[i] = static_cast<char>(at[i] ^ bytes[i % 4]);
}

#if SYNCLINE_HAS_X86_VECTORS
// These do whole vectors and return how many bytes: a multiple of 4, so the key still fits what is left.
std::size_t mask_sse2(char* at, std::size_t n, mask_key key) noexcept {
  const __m128i wide = _mm_set1_epi32(static_cast<int>(key));
  std::size_t done = 0;
  for (; n - done >= 16; done += 16) {
    auto* here = reinterpret_cast<__m128i*>(at + done);
    _mm_storeu_si128(here, _mm_xor_si128(_mm_loadu_si128(here), wide));
  }
  return done;
}

__attribute__((target("avx2"))) std::size_t mask_avx2(char* at, std::size_t n, mask_key key) noexcept {
  const __m256i wide = _mm256_set1_epi32(static_cast<int>(key));
  std::size_t done = 0;
  for (; n - done >= 64; done += 64) {
    auto* here = reinterpret_cast<__m256i*>(at + done);
    const __m256i first = _mm256_xor_si256(_mm256_loadu_si256(here), wide);
    const __m256i second = _mm256_xor_si256(_mm256_loadu_si256(here + 1), wide);
    _mm256_storeu_si256(here, first);
    _mm256_storeu_si256(here + 1, second);
  }
  if (n - done >= 32) {
    auto* here = reinterpret_cast<__m256i*>(at + done);
    _mm256_storeu_si256(here, _mm256_xor_si256(_mm256_loadu_si256(here), wide));
    done += 32;
  }
  return done;
}
#endif

}  // namespace

mask_key unmask_with(instructions form, char* bytes, std::size_t n, mask_key key) noexcept {
  std::size_t done = 0;
#if SYNCLINE_HAS_X86_VECTORS
  if (form == instructions::avx2) {
    done = mask_avx2(bytes, n, key);
  } else if (form == instructions::sse2) {
    done = mask_sse2(bytes, n, key);
  }
#else
  static_cast<void>(form);
#endif
  mask_scalar(bytes + done, n - done, key);
  return turn_key(key, n);
}

mask_key unmask(char* bytes, std::size_t n, mask_key key) noexcept {
  return unmask_with(best_instructions(), bytes, n, key);
}

}  // namespace syncline::net::websocket
