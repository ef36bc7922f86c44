// Our parser and body decoder driven as a connection drives them, so that what they make of a connection's
// bytes can be compared with the reference (tests/net/reference_parser.h).
#pragma once

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "net/core/byte_buffer.h"
#include "net/http/body_source.h"
#include "net/http/parser.h"
#include "tests/net/reference_parser.h"

namespace syncline::net::http::testing {

inline message to_message(const request_head& head) {
  message out;
  out.method = head.method_text;
  out.target = head.target;
  out.path = head.path;
  out.query = head.query;
  out.host = head.host;
  out.minor = head.minor;
  for (const header_field& field : head.headers) out.headers.emplace_back(field.name, field.value);
  out.keep_alive = head.keep_alive;
  out.expect_continue = head.expect_continue;
  out.chunked = head.chunked;
  out.length = head.content_length;
  return out;
}

// Reads at most `next_size()` bytes at a time.
template <class NextSize>
class our_reading {
 public:
  our_reading(std::string_view bytes, const limits& bounds, NextSize next_size)
      : left_(bytes), bounds_(bounds), next_size_(next_size) {}

  conversation read() {
    conversation out;
    head_parser parser;
    std::vector<header_field> fields;
    request_head head;
    body_source body;
    for (;;) {
      parser.reset();
      parse_status status = parser.parse(in_.view(), bounds_, fields, head);
      while (status == parse_status::incomplete && !left_.empty()) {
        const std::size_t n = take(in_.prepare(next_bytes()));
        in_.commit(n);
        status = parser.parse(in_.view(), bounds_, fields, head);
      }
      if (status == parse_status::failed) out.refused = describe(parser.error()).status / 100;
      if (status != parse_status::complete) return out;
      message now = to_message(head);
      body.start(head, parser.size());
      const body_source::state end = read_body(body, now.body);
      now.body_complete = end == body_source::state::done;
      const bool stays = head.keep_alive;
      out.messages.push_back(std::move(now));
      if (end == body_source::state::failed) out.refused = 4;
      if (end != body_source::state::done || !stays) return out;
      body.finish(in_);
    }
  }

 private:
  body_source::state read_body(body_source& body, std::string& text) {
    for (;;) {
      std::string_view piece;
      const body_source::state state = body.next(in_, piece);
      if (state == body_source::state::piece) {
        text.append(piece);
      } else if (state == body_source::state::need_more && !left_.empty()) {
        next_bytes();
        char* const to = body.room();
        body.filled(take(to));
      } else {
        return state;
      }
    }
  }
  std::size_t next_bytes() {
    next_ = std::min({next_size_(), left_.size(), kBodyReadBytes});
    return next_;
  }
  std::size_t take(char* to) {
    std::memcpy(to, left_.data(), next_);
    left_.remove_prefix(next_);
    return next_;
  }

  std::string_view left_;
  const limits& bounds_;
  NextSize next_size_;
  std::size_t next_ = 0;
  byte_buffer in_;
};

template <class NextSize>
conversation read_with_ours(std::string_view bytes, const limits& bounds, NextSize next_size) {
  return our_reading<NextSize>(bytes, bounds, next_size).read();
}

inline conversation read_with_reference(std::string_view bytes, const limits& bounds) {
  return reference_parser(std::string(bytes), bounds).read();
}

// Small, so that the limits are met by short inputs.
inline limits small_limits() {
  limits out;
  out.header_bytes_max = 600;
  out.target_bytes_max = 100;
  out.header_count_max = 8;
  return out;
}

}  // namespace syncline::net::http::testing
