#include "net/websocket/utf8.h"

#include <bit>
#include <cstring>

#if SYNCLINE_HAS_X86_VECTORS
#include <immintrin.h>
#endif

namespace syncline::net::websocket {

namespace {

// What must come next (RFC 3629 section 4).
enum : std::uint8_t {
  kAny,      // the start of a sequence
  kTail1,    // 80..BF, then a start
  kTail2,    // 80..BF, then kTail1
  kTail3,    // 80..BF, then kTail2
  kAfterE0,  // A0..BF (less would be overlong), then kTail1
  kAfterED,  // 80..9F (more would be a surrogate), then kTail1
  kAfterF0,  // 90..BF (less would be overlong), then kTail2
  kAfterF4,  // 80..8F (more would be above 10FFFF), then kTail2
  kBad,
};

constexpr bool in(std::uint8_t c, unsigned low, unsigned high) noexcept {
  return c >= low && c <= high;
}

constexpr std::uint8_t start(std::uint8_t c) noexcept {
  if (c < 0x80) return kAny;
  if (c < 0xC2) return kBad;  // a tail, or an overlong form of ASCII
  if (c < 0xE0) return kTail1;
  if (c == 0xE0) return kAfterE0;
  if (c == 0xED) return kAfterED;
  if (c < 0xF0) return kTail2;
  if (c == 0xF0) return kAfterF0;
  if (c < 0xF4) return kTail3;
  return c == 0xF4 ? kAfterF4 : kBad;
}

constexpr std::uint8_t step(std::uint8_t state, std::uint8_t c) noexcept {
  switch (state) {
    case kAny:
      return start(c);
    case kTail1:
      return in(c, 0x80, 0xBF) ? kAny : kBad;
    case kTail2:
      return in(c, 0x80, 0xBF) ? kTail1 : kBad;
    case kTail3:
      return in(c, 0x80, 0xBF) ? kTail2 : kBad;
    case kAfterE0:
      return in(c, 0xA0, 0xBF) ? kTail1 : kBad;
    case kAfterED:
      return in(c, 0x80, 0x9F) ? kTail1 : kBad;
    case kAfterF0:
      return in(c, 0x90, 0xBF) ? kTail2 : kBad;
    case kAfterF4:
      return in(c, 0x80, 0x8F) ? kTail2 : kBad;
    default:
      return kBad;
  }
}

constexpr std::uint64_t kHighBits = 0x8080808080808080ULL;

std::uint64_t load8(const char* at) noexcept {
  std::uint64_t word;
  std::memcpy(&word, at, 8);
  return word;
}

#if SYNCLINE_HAS_X86_VECTORS
// These pass over whole vectors of ASCII; what they leave may still begin with some.
const char* skip_sse2(const char* at, const char* end) noexcept {
  for (; end - at >= 16; at += 16) {
    if (_mm_movemask_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at))) != 0) break;
  }
  return at;
}

__attribute__((target("avx2"))) const char* skip_avx2(const char* at, const char* end) noexcept {
  for (; end - at >= 64; at += 64) {
    const __m256i first = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
    const __m256i second = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at + 32));
    if (_mm256_movemask_epi8(_mm256_or_si256(first, second)) != 0) break;
  }
  return at;
}
#endif

const char* skip_ascii(const char* at, const char* end, instructions form) noexcept {
#if SYNCLINE_HAS_X86_VECTORS
  if (form == instructions::avx2) return skip_avx2(at, end);
  if (form == instructions::sse2) return skip_sse2(at, end);
#else
  static_cast<void>(form);
#endif
  while (end - at >= 8 && (load8(at) & kHighBits) == 0) at += 8;
  return at;
}

// The length of the good sequence of two to four bytes that begins at `at` (four bytes can be read), or 0.
std::size_t whole_sequence(const char* at) noexcept {
  std::uint8_t b[4];
  std::memcpy(b, at, 4);
  const bool second = in(b[1], 0x80, 0xBF);
  if (in(b[0], 0xC2, 0xDF)) return second ? 2 : 0;
  const bool third = second && in(b[2], 0x80, 0xBF);
  if (in(b[0], 0xE0, 0xEF)) {
    if (b[0] == 0xE0 && b[1] < 0xA0) return 0;
    if (b[0] == 0xED && b[1] > 0x9F) return 0;
    return third ? 3 : 0;
  }
  if (!in(b[0], 0xF0, 0xF4)) return 0;
  if (b[0] == 0xF0 && b[1] < 0x90) return 0;
  if (b[0] == 0xF4 && b[1] > 0x8F) return 0;
  return third && in(b[3], 0x80, 0xBF) ? 4 : 0;
}

// Passes over good text from the start of a sequence; stops near the end or before what is not good.
const char* skip_good(const char* at, const char* end, instructions form) noexcept {
  while (end - at >= 8) {
    const std::uint64_t high = load8(at) & kHighBits;
    if (high == 0) {
      at = skip_ascii(at + 8, end, form);
      continue;
    }
    if constexpr (std::endian::native == std::endian::little) {
      at += std::countr_zero(high) / 8;
    } else {
      at += std::countl_zero(high) / 8;
    }
    while (end - at >= 4 && static_cast<std::uint8_t>(*at) >= 0x80) {
      const std::size_t n = whole_sequence(at);
      if (n == 0) return at;
      at += n;
    }
    if (end - at < 4) return at;
  }
  return at;
}

}  // namespace

std::size_t utf8_validator::feed(std::string_view text, instructions form) noexcept {
  const char* at = text.data();
  const char* const end = at + text.size();
  std::uint8_t state = state_;
  while (at != end) {
    if (state == kAny && end - at >= 8) {
      at = skip_good(at, end, form);
      if (at == end) break;
    }
    const std::uint8_t next = step(state, static_cast<std::uint8_t>(*at));
    if (next == kBad) break;
    state = next;
    ++at;
  }
  state_ = state;
  return static_cast<std::size_t>(at - text.data());
}

}  // namespace syncline::net::websocket
