// Finding the first byte outside a character class: what the head parser spends its time on.
//
// `wide_scan` looks at the first 16 bytes in place with SSE2, which every x86-64 has, and leaves the rest of
// a longer field to the function that suits this processor (SSE4.2 or AVX2, chosen when the program starts).
// Most fields end within 16 bytes, and there a call would cost more than the whole scan (figures:
// docs/http.md). `byte_scan` looks at one byte at a time: the definition that the others must equal, and the
// only one on other processors.
//
// Thread: any; use_scan_level() only while nobody parses. A scan never reads outside [p, end) and returns
// `end` when every byte is in the class.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "net/http/characters.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace syncline::net::http {

enum class scan_level : std::uint8_t { scalar, sse42, avx2 };
[[nodiscard]] std::string_view to_string(scan_level level) noexcept;

struct scan_functions {
  using function = const char* (*)(const char* p, const char* end) noexcept;
  scan_level level;
  function value;   // is_value_char
  function target;  // is_target_char
  function path;    // is_target_char without '?'
};

// What this processor can run, `scalar` first, the best last.
[[nodiscard]] std::span<const scan_functions> scan_levels() noexcept;
// In force: the best one, until a test or a benchmark chooses another.
[[nodiscard]] const scan_functions& active_scan() noexcept;
void use_scan_level(scan_level level) noexcept;  // one that scan_levels() has

struct byte_scan {
  [[nodiscard]] static const char* token(const char* p, const char* end) noexcept {
    while (p != end && is_token_char(*p)) ++p;
    return p;
  }
  [[nodiscard]] static const char* value(const char* p, const char* end) noexcept {
    while (p != end && is_value_char(*p)) ++p;
    return p;
  }
  [[nodiscard]] static const char* target(const char* p, const char* end) noexcept {
    while (p != end && is_target_char(*p)) ++p;
    return p;
  }
  [[nodiscard]] static const char* path(const char* p, const char* end) noexcept {
    while (p != end && is_target_char(*p) && *p != '?') ++p;
    return p;
  }
};

namespace detail {
extern const scan_functions* active_functions;  // scalar until the processor was asked, before main()
}

#if defined(__SSE2__)

namespace detail {

// Bit i is set when byte i is outside the class. Unsigned x <= y is min(x, y) == x.
[[nodiscard]] inline unsigned outside_value(__m128i x) noexcept {
  const __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(0x1f)), x);
  const __m128i bad = _mm_andnot_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('\t')), control);
  return static_cast<unsigned>(_mm_movemask_epi8(_mm_or_si128(bad, _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f)))));
}
// Moved by 0x21 the class is 0..0x5d, without what '#' and, in a path, '?' have become.
[[nodiscard]] inline unsigned outside_target(__m128i x, char also) noexcept {
  const __m128i moved = _mm_sub_epi8(x, _mm_set1_epi8(0x21));
  const __m128i visible = _mm_cmpeq_epi8(_mm_min_epu8(moved, _mm_set1_epi8(0x7e - 0x21)), moved);
  const __m128i mark =
      _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('#')), _mm_cmpeq_epi8(x, _mm_set1_epi8(also)));
  return static_cast<unsigned>(_mm_movemask_epi8(_mm_andnot_si128(mark, visible))) ^ 0xffffU;
}
// Letters, digits and '-', which is what names are made of; other token characters are looked at singly.
[[nodiscard]] inline unsigned outside_usual_name(__m128i x) noexcept {
  const __m128i letter = _mm_sub_epi8(_mm_or_si128(x, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
  const __m128i digit = _mm_sub_epi8(x, _mm_set1_epi8('0'));
  const __m128i good = _mm_or_si128(_mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8(25)), letter),
                                    _mm_cmpeq_epi8(_mm_min_epu8(digit, _mm_set1_epi8(9)), digit));
  return static_cast<unsigned>(_mm_movemask_epi8(_mm_or_si128(good, _mm_cmpeq_epi8(x, _mm_set1_epi8('-'))))) ^
         0xffffU;
}
[[nodiscard]] inline __m128i load16(const char* p) noexcept {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}

}  // namespace detail

struct wide_scan {
  [[nodiscard]] static const char* token(const char* p, const char* end) noexcept {
    while (end - p >= 16) {
      const unsigned outside = detail::outside_usual_name(detail::load16(p));
      if (outside == 0) {
        p += 16;
        continue;
      }
      p += __builtin_ctz(outside);
      if (!is_token_char(*p)) return p;
      break;
    }
    return byte_scan::token(p, end);
  }
  [[nodiscard]] static const char* value(const char* p, const char* end) noexcept {
    if (end - p < 16) return byte_scan::value(p, end);
    const unsigned outside = detail::outside_value(detail::load16(p));
    if (outside != 0) return p + __builtin_ctz(outside);
    return detail::active_functions->value(p + 16, end);
  }
  [[nodiscard]] static const char* target(const char* p, const char* end) noexcept {
    if (end - p < 16) return byte_scan::target(p, end);
    const unsigned outside = detail::outside_target(detail::load16(p), '#');
    if (outside != 0) return p + __builtin_ctz(outside);
    return detail::active_functions->target(p + 16, end);
  }
  [[nodiscard]] static const char* path(const char* p, const char* end) noexcept {
    if (end - p < 16) return byte_scan::path(p, end);
    const unsigned outside = detail::outside_target(detail::load16(p), '?');
    if (outside != 0) return p + __builtin_ctz(outside);
    return detail::active_functions->path(p + 16, end);
  }
};

#else

using wide_scan = byte_scan;

#endif

}  // namespace syncline::net::http
