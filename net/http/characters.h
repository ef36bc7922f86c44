// The character classes of RFC 9110 section 5.6 and the scans over them.
//
// Thread: any. A scan returns the first byte outside its class, or `end`; 16 bytes at a time where the
// processor has SSE2.
#pragma once

#include <array>
#include <cstdint>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace syncline::net::http {

namespace detail {
inline constexpr std::uint8_t kToken = 1, kHex = 2, kHostChar = 4;

consteval std::array<std::uint8_t, 256> make_classes() {
  std::array<std::uint8_t, 256> out{};
  for (unsigned c = 0; c < 256; ++c) {
    const bool digit = c >= '0' && c <= '9';
    const bool alpha = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool hex = digit || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    std::uint8_t bits = 0;
    if (digit || alpha) bits |= kToken | kHostChar;
    if (hex) bits |= kHex;
    out[c] = bits;
  }
  for (const char c : {'!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~'}) {
    out[static_cast<unsigned char>(c)] |= kToken;
  }
  for (const char c : {'-', '.', '_', '~'}) out[static_cast<unsigned char>(c)] |= kHostChar;
  return out;
}
inline constexpr std::array<std::uint8_t, 256> kClasses = make_classes();
}  // namespace detail

[[nodiscard]] constexpr bool is_token_char(char c) noexcept {
  return (detail::kClasses[static_cast<unsigned char>(c)] & detail::kToken) != 0;
}
[[nodiscard]] constexpr bool is_hex_digit(char c) noexcept {
  return (detail::kClasses[static_cast<unsigned char>(c)] & detail::kHex) != 0;
}
// Letters, digits and "-._~": what we accept in a host name beside percent-encoding.
[[nodiscard]] constexpr bool is_host_char(char c) noexcept {
  return (detail::kClasses[static_cast<unsigned char>(c)] & detail::kHostChar) != 0;
}
[[nodiscard]] constexpr bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}
// A field value has visible characters, space, tab and bytes from 0x80 on.
[[nodiscard]] constexpr bool is_value_char(char c) noexcept {
  const auto u = static_cast<unsigned char>(c);
  return (u >= 0x20 && u != 0x7f) || u == '\t';
}
// A target has visible ASCII; a fragment is never sent.
[[nodiscard]] constexpr bool is_target_char(char c) noexcept {
  const auto u = static_cast<unsigned char>(c);
  return u > 0x20 && u < 0x7f && u != '#';
}
[[nodiscard]] constexpr char to_lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

[[nodiscard]] inline const char* skip_token(const char* p, const char* end) noexcept {
  while (p != end && is_token_char(*p)) ++p;
  return p;
}

[[nodiscard]] inline const char* skip_value(const char* p, const char* end) noexcept {
#if defined(__SSE2__)
  const __m128i last_control = _mm_set1_epi8(0x1f);
  const __m128i tab = _mm_set1_epi8('\t');
  const __m128i del = _mm_set1_epi8(0x7f);
  while (end - p >= 16) {
    const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(x, last_control), x);
    const __m128i bad =
        _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(x, tab), control), _mm_cmpeq_epi8(x, del));
    const int mask = _mm_movemask_epi8(bad);
    if (mask != 0) return p + __builtin_ctz(static_cast<unsigned>(mask));
    p += 16;
  }
#endif
  while (p != end && is_value_char(*p)) ++p;
  return p;
}

[[nodiscard]] inline const char* skip_target(const char* p, const char* end) noexcept {
#if defined(__SSE2__)
  const __m128i space = _mm_set1_epi8(0x20);
  const __m128i del = _mm_set1_epi8(0x7f);
  const __m128i hash = _mm_set1_epi8('#');
  while (end - p >= 16) {
    const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(x, space), x);
    const __m128i high = _mm_cmpeq_epi8(_mm_max_epu8(x, del), x);
    const int mask = _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(low, high), _mm_cmpeq_epi8(x, hash)));
    if (mask != 0) return p + __builtin_ctz(static_cast<unsigned>(mask));
    p += 16;
  }
#endif
  while (p != end && is_target_char(*p)) ++p;
  return p;
}

}  // namespace syncline::net::http
