// The strict parser of a request head (RFC 9112 sections 2 to 7), zero-copy over one contiguous buffer.
//
// Use it for requests only. It refuses every form that two servers could read differently (docs/http.md has
// the table), because those are what request smuggling is made of; it never repairs. Thread: a value of one
// connection. Bound: the limits it is given. A head that is there at the first call is read in one pass;
// otherwise each byte is scanned for the end of the head once, however it arrives, and parsed once more when
// the head is complete. Failure: parse() returns `failed` and error() says why;
// the connection answers with describe(error()) and closes.
//
// Invariants
//  1. The result depends on the bytes alone, never on how they were split into reads
//  (tests/fuzz/http_parser_fuzz.cpp).
//  2. `out` and `fields` are views into `bytes` and are only meaningful after `complete`.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "net/http/request.h"

namespace syncline::net::http {

struct limits;

enum class parse_error : std::uint8_t {
  none,
  bare_cr,
  bare_lf,
  bad_method,
  bad_request_line,
  bad_version,
  unknown_version,
  bad_target,
  target_too_long,
  connect,
  headers_too_large,
  too_many_headers,
  bad_header_name,
  bad_header_value,
  folded_header,
  missing_host,
  duplicate_host,
  bad_host,
  bad_content_length,
  duplicate_content_length,
  length_and_encoding,
  bad_transfer_encoding,
  unknown_transfer_encoding,
  encoding_in_http_1_0,
  unknown_expectation,
};
inline constexpr std::size_t kParseErrors = static_cast<std::size_t>(parse_error::unknown_expectation) + 1;

struct parse_error_text {
  int status;
  std::string_view label;   // metric label and last part of the problem's type
  std::string_view detail;  // what was wrong
};
[[nodiscard]] const parse_error_text& describe(parse_error e) noexcept;

enum class parse_status : std::uint8_t { complete, incomplete, failed };

class head_parser {
 public:
  // `bytes` is everything received since the last complete request; it may move between calls but must not
  // shrink or change.
  [[nodiscard]] parse_status parse(std::string_view bytes, const limits& bounds,
                                   std::vector<header_field>& fields, request_head& out);
  // After `complete`: how many bytes the head took, with the empty line before and after it.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] parse_error error() const noexcept { return error_; }
  void reset() noexcept {
    start_ = scanned_ = line_start_ = size_ = 0;
    error_ = parse_error::none;
  }

 private:
  [[nodiscard]] parse_error parse_whole(const char* base, const char* end, const limits& bounds,
                                        std::vector<header_field>& fields, request_head& out);
  [[nodiscard]] parse_status find_end(std::string_view bytes, const limits& bounds) noexcept;
  [[nodiscard]] parse_status fail(parse_error e) noexcept {
    error_ = e;
    return parse_status::failed;
  }

  std::uint32_t start_ = 0;       // 2 after a leading empty line
  std::uint32_t scanned_ = 0;     // no end of head before this
  std::uint32_t line_start_ = 0;  // of the line that `scanned_` is in
  std::uint32_t size_ = 0;
  parse_error error_ = parse_error::none;
  // The latest valid host: the next request names the same one nearly always, and to check it again would
  // cost 130 instructions. Kept by reset().
  std::uint8_t known_host_size_ = 0;
  std::array<char, 55> known_host_{};
};

}  // namespace syncline::net::http
