// Is this text UTF-8 (RFC 3629)? Asked piece by piece, answered at the first byte that cannot be.
//
// Use it for text messages and close reasons. It fails at the first bad byte, not at the end of the sequence
// or the message (RFC 6455 section 8.1; Autobahn 6.4): after E0 it wants A0..BF at once, so overlong forms,
// surrogates and code points above 10FFFF are refused by their second byte. Thread: one. Bound: one byte of
// state. Plain ASCII is passed over 16 or 64 bytes at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "net/websocket/processor.h"

namespace syncline::net::websocket {

class utf8_validator {
 public:
  // Takes the next piece; returns how many of its bytes are good: all, or those before the first bad one.
  // After a bad byte the validator must be reset().
  [[nodiscard]] std::size_t feed(std::string_view text) noexcept { return feed(text, best_instructions()); }
  [[nodiscard]] std::size_t feed(std::string_view text, instructions form) noexcept;
  // False inside a sequence: the text may not end here.
  [[nodiscard]] bool complete() const noexcept { return state_ == 0; }
  void reset() noexcept { state_ = 0; }

 private:
  std::uint8_t state_ = 0;  // utf8.cpp: what the next byte must be
};

[[nodiscard]] inline bool is_utf8(std::string_view text) noexcept {
  utf8_validator whole;
  return whole.feed(text) == text.size() && whole.complete();
}

}  // namespace syncline::net::websocket
