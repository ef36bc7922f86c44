// Reads frames (RFC 6455 section 5) out of whatever a read brought, payload piece by piece, unmasked where it
// lies.
//
// Use it under message_reader; alone only in tools that look at frames. It is strict: what the RFC says must
// not be sent is an error and never repaired. Every byte given is taken, so the caller's buffer may be the
// core's and need not keep a remainder. Thread: one connection's. Bound: no memory but itself; the limits are
// checked on the announced length, before any of it arrives. A byte is looked at once, so 65,536 fragments
// cost 65,536 headers and no more. Failure: `failed` once and for ever, error() says why; frames before the
// bad byte have been given out.
//
// Invariants
//  1. What is given out depends on the bytes alone, except for where payloads are cut into pieces.
//  2. A piece is a view into the caller's bytes.
//  3. Each check is made at the first byte that shows the violation: first byte, second byte, end of header.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "net/websocket/frame.h"
#include "net/websocket/mask.h"

namespace syncline::net::websocket {

struct frame_limits {
  std::uint64_t frame_bytes_max = 16ULL << 20U;
  std::uint64_t message_bytes_max = 16ULL << 20U;
  std::uint32_t fragments_max = 131'072;  // a message; Autobahn 9.3 sends 65,536
};

struct frame_piece {
  std::string_view bytes;
  opcode op = opcode::text;  // of the message: never `continuation`
  bool compressed = false;   // of the message
  bool message_begin = false;
  bool frame_begin = false;
  bool frame_end = false;
  bool message_end = false;  // for control frames, too
};

enum class frame_step : std::uint8_t { need_more, piece, failed };

class frame_parser {
 public:
  // `deflate`: permessage-deflate was agreed on, so RSV1 may mark a message.
  explicit frame_parser(role as, bool deflate = false) noexcept : role_(as), deflate_(deflate) {}

  // Takes bytes from the front of `in` (advancing it) until it has a piece, or no more bytes. A frame without
  // payload is one empty piece.
  [[nodiscard]] frame_step next(std::span<char>& in, const frame_limits& limits, frame_piece& out) noexcept;
  [[nodiscard]] protocol_error error() const noexcept { return error_; }
  // Between messages and frames: nothing has been begun.
  [[nodiscard]] bool idle() const noexcept { return have_ == 0 && !in_payload_ && !in_message_; }

 private:
  // Each returns false after it has set error_.
  [[nodiscard]] bool take_first(std::uint8_t byte) noexcept;
  [[nodiscard]] bool take_second(std::uint8_t byte) noexcept;
  [[nodiscard]] bool take_header(const char* header, const frame_limits& limits) noexcept;
  [[nodiscard]] bool count(std::uint64_t length, const frame_limits& limits) noexcept;
  // True when the header is complete.
  [[nodiscard]] bool read_header(std::span<char>& in, const frame_limits& limits) noexcept;
  [[nodiscard]] bool fail(protocol_error e) noexcept {
    error_ = e;
    return false;
  }

  std::uint64_t left_ = 0;           // of this frame's payload
  std::uint64_t message_bytes_ = 0;  // announced so far, as they are on the wire
  std::uint32_t fragments_ = 0;
  mask_key key_ = 0;
  char header_[kHeaderBytesMax]{};    // of a header that came in parts
  std::uint8_t have_ = 0;             // bytes in it
  std::uint8_t header_size_ = 0;      // known from the second byte on
  opcode op_ = opcode::continuation;  // of this frame
  opcode message_op_ = opcode::text;
  protocol_error error_ = protocol_error::none;
  role role_;
  bool deflate_ : 1;
  bool final_ : 1 = false;
  bool compressed_ : 1 = false;  // the message
  bool in_message_ : 1 = false;  // a data frame without FIN came and its end did not
  bool in_payload_ : 1 = false;
  bool frame_begun_ : 1 = false;    // a piece of this frame was given out
  bool message_first_ : 1 = false;  // this frame begins a message
};

}  // namespace syncline::net::websocket
