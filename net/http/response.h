// Writing a response head, and what of it is the same for all answers of a second.
//
// Thread: the core. Nothing is allocated: a head is written straight into the room the caller prepared.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string_view>

#include "net/http/exchange.h"

namespace syncline::net::http {

// "OK", "Not Found"…; empty for a status without a name.
[[nodiscard]] std::string_view status_text(int status) noexcept;

// "Server: syncline\r\nDate: …\r\n", renewed each second.
class standard_headers {
 public:
  [[nodiscard]] std::string_view at(std::chrono::steady_clock::time_point now) noexcept {
    if (now >= until_) renew(now);
    return {text_.data(), size_};
  }

 private:
  void renew(std::chrono::steady_clock::time_point now) noexcept;
  std::array<char, 64> text_{};
  std::size_t size_ = 0;
  std::chrono::steady_clock::time_point until_{};
};

enum class body_framing : std::uint8_t { none, length, chunked, until_close };
enum class connection_line : std::uint8_t { none, close, keep_alive };

struct head_lines {
  const response_head& head;
  std::string_view standard;
  std::string_view request_id;
  body_framing framing;
  std::uint64_t content_length;
  connection_line connection;
};
[[nodiscard]] std::size_t head_bytes_max(const head_lines& lines) noexcept;
// Writes at most head_bytes_max() bytes at `to`; returns the end.
[[nodiscard]] char* write_head(char* to, const head_lines& lines) noexcept;

}  // namespace syncline::net::http
