// The lists of tokens and parameters that handshake headers are made of (RFC 6455 section 9.1, RFC 9110
// section 5.6).
//
// Use it for Upgrade, Connection, Sec-WebSocket-Protocol and Sec-WebSocket-Extensions. Thread: any. Bound: it
// reads the text once and keeps views into it; it allocates nothing. Failure: a reader returns an empty token
// where there is none, and the caller decides.
#pragma once

#include <cstddef>
#include <string_view>

namespace syncline::net::websocket {

[[nodiscard]] constexpr bool is_token_char(char c) noexcept {
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) return true;
  return std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

[[nodiscard]] constexpr char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

[[nodiscard]] constexpr bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

constexpr void skip_spaces(std::string_view& text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
}

// Takes `c` with the spaces around it off the front; false, and only the spaces gone, when it is not there.
[[nodiscard]] constexpr bool take(std::string_view& text, char c) noexcept {
  skip_spaces(text);
  if (text.empty() || text.front() != c) return false;
  text.remove_prefix(1);
  skip_spaces(text);
  return true;
}

// Takes a token off the front; empty when there is none.
[[nodiscard]] constexpr std::string_view take_token(std::string_view& text) noexcept {
  std::size_t n = 0;
  while (n < text.size() && is_token_char(text[n])) ++n;
  const std::string_view token = text.substr(0, n);
  text.remove_prefix(n);
  return token;
}

// Calls `see(token)` for each token of a comma-separated list; empty elements are passed over (RFC 9110
// section 5.6.1). `see` returns false to stop. False when the text is no such list.
template <class See>
[[nodiscard]] constexpr bool for_each_token(std::string_view text, See see) {
  while (true) {
    while (take(text, ',')) {
    }
    if (text.empty()) return true;
    const std::string_view token = take_token(text);
    if (token.empty()) return false;
    if (!see(token)) return true;
    skip_spaces(text);
    if (!text.empty() && text.front() != ',') return false;
  }
}

// Is `wanted` (in any case) in the list?
[[nodiscard]] constexpr bool list_contains(std::string_view list, std::string_view wanted) noexcept {
  bool found = false;
  const bool fine = for_each_token(list, [&](std::string_view token) {
    found = found || equals_ignoring_case(token, wanted);
    return true;
  });
  return fine && found;
}

}  // namespace syncline::net::websocket
