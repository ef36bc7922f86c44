// The X Protocol's frames: four bytes of length (little endian, counting the type), one byte of type, a body.
//
// Use it below sessions only. Bodies are protobuf (x_protocol.proto). Thread: pure functions. Bound: a frame
// longer than `message_bytes_max`, either way, is an error and never memory: the length is judged before
// anything is kept. Failure: errc::corrupt for bytes that are no frame a server sends, errc::too_large.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "net/core/byte_buffer.h"
#include "net/core/error.h"

namespace google::protobuf {
class MessageLite;
}

namespace syncline::storage::mysql {

enum class client_message : std::uint8_t {
  capabilities_get = 1,
  capabilities_set = 2,
  connection_close = 3,
  authenticate_start = 4,
  authenticate_continue = 5,
  session_reset = 6,
  session_close = 7,
  statement_execute = 12,
  prepare = 40,
  prepare_execute = 41,
  prepare_deallocate = 42,
  compression = 46,
};

enum class server_message : std::uint8_t {
  ok = 0,
  error = 1,
  capabilities = 2,
  authenticate_continue = 3,
  authenticate_ok = 4,
  notice = 11,
  column = 12,
  row = 13,
  fetch_done = 14,
  fetch_suspended = 15,
  fetch_done_more_result_sets = 16,
  statement_ok = 17,
  fetch_done_more_out_parameters = 18,
  compression = 19,
};

inline constexpr std::size_t kFrameHeadBytes = 5;

struct frame {
  server_message type = server_message::ok;
  std::string_view body;  // a view into what was read
  [[nodiscard]] std::size_t bytes() const noexcept { return kFrameHeadBytes + body.size(); }
};

enum class frame_state : std::uint8_t {
  whole,
  incomplete,
  unknown_type,
  no_type,
  too_large,
  undecodable,  // packed, and not to be unpacked: compression.h
};

// The frame at the front of `bytes`. `out` is set when it is whole.
[[nodiscard]] frame_state read_frame(std::string_view bytes, std::size_t message_bytes_max,
                                     frame& out) noexcept;
// Why `state` ends the connection; not for whole and incomplete.
[[nodiscard]] net::error frame_error(frame_state state);

// Appends a frame; nothing is appended when it is too large or lacks a required field (errc::internal).
[[nodiscard]] net::result<void> append_frame(net::byte_buffer& out, client_message type,
                                             const google::protobuf::MessageLite& body,
                                             std::size_t message_bytes_max);
void append_empty_frame(net::byte_buffer& out, client_message type);

// A body into a message: errc::corrupt when it is none.
[[nodiscard]] net::result<void> parse_body(std::string_view body, google::protobuf::MessageLite& into);

}  // namespace syncline::storage::mysql
