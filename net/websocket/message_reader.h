// Reads messages: frames put together, inflated, text checked, events handed out one by one.
//
// Use one per socket; it is everything between bytes from a socket and a handler. Thread: the socket's core.
// Bound: `message_bytes_max` after inflating, so a compression bomb ends at the limit; an idle reader is its
// own size (kept under 100 bytes) and holds nothing else, except that with client context takeover it keeps
// its inflater. A text that breaks UTF-8 fails at the first bad byte, also inside a frame and inside
// compressed data. Failure: one `failed` event with the close code and the reason, given again by every later
// call. After the peer's close frame everything is ignored.
//
// With `whole_messages` a message is one event; one that came in one piece is never copied. Without, pieces
// are handed out as they arrive and memory is flat whatever the message's size.
//
// Invariants
//  1. Messages and errors depend on the bytes alone, not on how reads split them
//  (tests/fuzz/websocket_fuzz.cpp); but see inflater::run() for a peer that breaks its word about its window.
//  2. event.bytes is valid until the next call of next() of any reader with the same pool; in the caller's
//  buffer, this reader's memory or the pool's.
//  3. parts_ exists only while something is in progress, or for an inflater that must be kept.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "net/websocket/deflate_offer.h"
#include "net/websocket/frame_parser.h"
#include "net/websocket/utf8.h"

namespace syncline::net::websocket {

class deflate_pool;

// What the readers of a server share; outlives them.
struct reader_options {
  frame_limits limits;
  bool whole_messages = true;
};

enum class event_kind : std::uint8_t { need_more, text, binary, ping, pong, close, failed };

struct message_event {
  event_kind what = event_kind::need_more;
  bool first = false;  // of a text or binary message's pieces
  bool last = false;
  close_code code = close_code::none_received;  // of `close` and `failed`
  std::string_view bytes;                       // payload; the reason of `close` and `failed`
};

class message_reader {
 public:
  // `pool` is needed when `deflate` was agreed on.
  message_reader(const reader_options& options, role as,
                 const std::optional<deflate_agreement>& deflate = std::nullopt,
                 deflate_pool* pool = nullptr) noexcept;
  ~message_reader();
  message_reader(message_reader&&) noexcept;

  // Takes bytes from the front of `in` (advancing it) up to the next event. While there are events call again
  // with the rest of `in`, even if it is empty: a small input may inflate to many pieces. `need_more` has
  // taken everything.
  [[nodiscard]] message_event next(std::span<char>& in);
  // Gives back what is held of a message that has begun; everything after it is ignored. Not while an event
  // is looked at.
  void abandon() noexcept;
  [[nodiscard]] protocol_error error() const noexcept { return error_; }
  // Nothing is in progress: a good time to read less often, or to stop.
  [[nodiscard]] bool idle() const noexcept;

 private:
  struct parts;
  [[nodiscard]] parts& in_progress();
  [[nodiscard]] message_event on_control(const frame_piece& piece);
  [[nodiscard]] message_event on_close(std::string_view payload);
  [[nodiscard]] message_event on_data(const frame_piece& piece);
  [[nodiscard]] message_event inflate_some();
  [[nodiscard]] message_event deliver(std::string_view bytes, bool last);
  [[nodiscard]] message_event fail(protocol_error e) noexcept;
  void forget_delivered() noexcept;
  void release_unused() noexcept;

  frame_parser frames_;
  std::unique_ptr<parts> parts_;
  const reader_options* options_;
  deflate_pool* pool_;
  std::uint64_t inflated_bytes_ = 0;  // of this message
  utf8_validator utf8_;
  opcode op_ = opcode::text;  // of this message
  protocol_error error_ = protocol_error::none;
  std::uint8_t window_bits_ = 15;  // the peer's
  bool keeps_inflater_ : 1;
  bool inflating_ : 1 = false;  // parts_ has input that is not inflated yet
  bool begun_ : 1 = false;      // an event of this message was given out
  bool delivered_ : 1 = false;  // the last event's bytes may be in parts_
  bool closed_ : 1 = false;
};
static_assert(sizeof(message_reader) <= 100);

}  // namespace syncline::net::websocket
