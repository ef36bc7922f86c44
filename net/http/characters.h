// The character classes of RFC 9110 section 5.6, one byte at a time (scan.h has the scans over them).
//
// Thread: any.
#pragma once

#include <array>
#include <cstdint>

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

}  // namespace syncline::net::http
