#include "net/websocket/frame.h"

#include <array>

namespace syncline::net::websocket {

const protocol_error_text& describe(protocol_error e) noexcept {
  static constexpr close_code kProtocol = close_code::protocol_error;
  static constexpr std::array<protocol_error_text, kProtocolErrors> kTexts{{
      {close_code::normal, "none", ""},
      {kProtocol, "reserved_bits", "a reserved bit is set"},
      {kProtocol, "reserved_opcode", "the opcode is reserved"},
      {kProtocol, "fragmented_control", "a control frame may not be fragmented"},
      {kProtocol, "long_control", "a control frame carries more than 125 bytes"},
      {kProtocol, "lone_continuation", "a continuation without a message to continue"},
      {kProtocol, "interrupted_message", "a new message inside a fragmented one"},
      {kProtocol, "not_masked", "a client must mask its frames"},
      {kProtocol, "masked", "a server must not mask its frames"},
      {kProtocol, "length_not_minimal", "the length is not in its shortest form"},
      {kProtocol, "length_over_63_bits", "the highest bit of the length is set"},
      {close_code::too_big, "frame_too_large", "the frame is larger than we take"},
      {close_code::too_big, "message_too_large", "the message is larger than we take"},
      {close_code::too_big, "too_many_fragments", "the message has more fragments than we take"},
      {kProtocol, "bad_close_payload", "a close frame of one byte"},
      {kProtocol, "bad_close_code", "the close code may not be sent"},
      {close_code::bad_payload, "bad_utf8", "the text is not UTF-8"},
      {close_code::bad_payload, "bad_deflate", "the compressed message is damaged"},
      {close_code::try_again_later, "no_inflater", "too many compressed messages at once"},
  }};
  return kTexts[static_cast<std::size_t>(e)];
}

}  // namespace syncline::net::websocket
