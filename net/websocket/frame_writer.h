// Frame headers and small frames, written where the caller says (RFC 6455 section 5.2).
//
// Thread: any. Bound: a header is at most kHeaderBytesMax bytes, a control frame at most
// kControlFrameBytesMax; the caller's buffer has that much room. It allocates nothing, except for
// append_masked_frame(), which is for clients in tools and tests. Failure: none; what does not fit a control
// frame is cut.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "net/websocket/frame.h"
#include "net/websocket/mask.h"
#include "net/websocket/utf8.h"

namespace syncline::net::websocket {

inline constexpr std::size_t kControlFrameBytesMax = kControlPayloadBytesMax + 6;

struct frame_shape {
  opcode op = opcode::text;
  bool final = true;
  bool compressed = false;  // RSV1, RFC 7692 section 6
};

// How long the header of a frame is.
[[nodiscard]] constexpr std::size_t header_bytes(std::uint64_t payload_bytes, bool masked = false) noexcept {
  const std::size_t length = payload_bytes < 126 ? 0 : payload_bytes <= 0xFFFF ? 2 : 8;
  return 2 + length + (masked ? 4 : 0);
}

// Writes a server's header; returns how many bytes. The payload follows as it is.
inline std::size_t write_header(char* out, frame_shape shape, std::uint64_t payload_bytes) noexcept {
  out[0] = static_cast<char>(static_cast<unsigned>(shape.op) | (shape.final ? 0x80U : 0U) |
                             (shape.compressed ? 0x40U : 0U));
  const std::size_t size = header_bytes(payload_bytes);
  out[1] = static_cast<char>(size == 2 ? payload_bytes : size == 4 ? 126 : 127);
  for (std::size_t i = size; i > 2; --i, payload_bytes >>= 8U) out[i - 1] = static_cast<char>(payload_bytes);
  return size;
}

// Writes a client's header; the payload that follows must be passed through unmask() with the same key.
inline std::size_t write_masked_header(char* out, frame_shape shape, std::uint64_t payload_bytes,
                                       mask_key key) noexcept {
  const std::size_t size = write_header(out, shape, payload_bytes);
  out[1] = static_cast<char>(static_cast<unsigned char>(out[1]) | 0x80U);
  std::memcpy(out + size, &key, 4);
  return size + 4;
}

// Writes a whole ping or pong of a server; returns how many bytes.
inline std::size_t write_control(char* out, opcode op, std::string_view payload) noexcept {
  payload = payload.substr(0, kControlPayloadBytesMax);
  const std::size_t size = write_header(out, {.op = op}, payload.size());
  if (!payload.empty()) std::memcpy(out + size, payload.data(), payload.size());
  return size + payload.size();
}

// Writes a whole close frame of a server. A code that may not be on the wire (none_received) makes an empty
// one; a reason that is too long is cut before the character that would not fit.
inline std::size_t write_close(char* out, close_code code, std::string_view reason) noexcept {
  const auto number = static_cast<std::uint16_t>(code);
  if (!may_be_sent(number)) return write_header(out, {.op = opcode::close}, 0);
  reason = reason.substr(0, kControlPayloadBytesMax - 2);
  while (!reason.empty() && !is_utf8(reason)) reason.remove_suffix(1);
  const std::size_t size = write_header(out, {.op = opcode::close}, 2 + reason.size());
  out[size] = static_cast<char>(number >> 8U);
  out[size + 1] = static_cast<char>(number & 0xFFU);
  if (!reason.empty()) std::memcpy(out + size + 2, reason.data(), reason.size());
  return size + 2 + reason.size();
}

// A whole client's frame at the end of `out`.
inline void append_masked_frame(std::string& out, frame_shape shape, std::string_view payload, mask_key key) {
  char header[kHeaderBytesMax];
  out.append(header, write_masked_header(header, shape, payload.size(), key));
  const std::size_t begin = out.size();
  out.append(payload);
  unmask(out.data() + begin, payload.size(), key);
}

}  // namespace syncline::net::websocket
