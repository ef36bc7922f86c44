// The words of RFC 6455: roles, opcodes, close codes, and everything a peer can do wrong.
//
// Thread: any. Failure: a protocol_error names one broken rule; describe() gives the close code to answer
// with, a label for metrics and a reason for the close frame.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace syncline::net::websocket {

// Which end we are: a server reads masked frames and writes unmasked ones, a client the other way round.
enum class role : std::uint8_t { server, client };

enum class opcode : std::uint8_t { continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10 };
[[nodiscard]] constexpr bool is_control(opcode op) noexcept {
  return static_cast<std::uint8_t>(op) >= 8;
}

// RFC 6455 section 7.4.1 and the IANA registry.
enum class close_code : std::uint16_t {
  normal = 1000,
  going_away = 1001,
  protocol_error = 1002,
  unsupported = 1003,
  none_received = 1005,  // never on the wire: the close frame was empty
  abnormal = 1006,       // never on the wire: the connection ended without a close frame
  bad_payload = 1007,
  policy = 1008,
  too_big = 1009,
  internal_error = 1011,
  service_restart = 1012,
  try_again_later = 1013,
};

// May this code be in a close frame? 1004, 1005, 1006 and 1015 may not; 1012 to 1014 are registered since.
[[nodiscard]] constexpr bool may_be_sent(std::uint16_t code) noexcept {
  if (code >= 3000) return code <= 4999;
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
}

inline constexpr std::size_t kHeaderBytesMax = 14;           // 2, then up to 8 of length and 4 of key
inline constexpr std::size_t kControlPayloadBytesMax = 125;  // RFC 6455 section 5.5

enum class protocol_error : std::uint8_t {
  none,
  reserved_bits,
  reserved_opcode,
  fragmented_control,
  long_control,
  lone_continuation,
  interrupted_message,
  not_masked,
  masked,
  length_not_minimal,
  length_over_63_bits,
  frame_too_large,
  message_too_large,
  too_many_fragments,
  bad_close_payload,
  bad_close_code,
  bad_utf8,
  bad_deflate,
  no_inflater,
};
inline constexpr std::size_t kProtocolErrors = static_cast<std::size_t>(protocol_error::no_inflater) + 1;

struct protocol_error_text {
  close_code code;
  std::string_view label;
  std::string_view reason;
};
[[nodiscard]] const protocol_error_text& describe(protocol_error e) noexcept;

}  // namespace syncline::net::websocket
