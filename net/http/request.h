// A parsed request head: views into the connection's buffer, valid until the request is answered.
//
// Thread: the core of the connection. Bounds: `limits` below. RFC 9110 sections 5 to 9, RFC 9112 sections 2
// to 7.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace syncline::net::http {

enum class method : std::uint8_t { get, head, post, put, patch, del, options, other };
[[nodiscard]] std::string_view to_string(method m) noexcept;

struct header_field {
  std::string_view name;   // as sent; compare without case
  std::string_view value;  // without surrounding white space
};

// ASCII comparison without case.
[[nodiscard]] bool iequals(std::string_view a, std::string_view b) noexcept;

struct request_head {
  method verb = method::other;
  std::string_view method_text;
  std::string_view target;  // as sent
  std::string_view path;    // target up to '?', not percent-decoded
  std::string_view query;   // after '?', not decoded
  std::string_view host;
  std::uint8_t minor = 1;  // HTTP/1.minor
  bool keep_alive = true;
  bool chunked = false;
  bool expect_continue = false;
  std::optional<std::uint64_t> content_length;
  std::span<const header_field> headers;

  [[nodiscard]] bool has_body() const noexcept { return chunked || content_length.value_or(0) > 0; }
  // First header of that name; empty view with data()==nullptr when absent.
  [[nodiscard]] std::string_view header(std::string_view name) const noexcept;
};

}  // namespace syncline::net::http
