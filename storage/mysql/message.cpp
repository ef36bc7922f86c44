#include "storage/mysql/message.h"

#include <climits>
#include <cstring>

#include <google/protobuf/message_lite.h>

namespace syncline::storage::mysql {

namespace {

using net::errc;
using net::error;

[[nodiscard]] bool known(std::uint8_t type) noexcept {
  return type <= static_cast<std::uint8_t>(server_message::authenticate_ok) ||
         (type >= static_cast<std::uint8_t>(server_message::notice) &&
          type <= static_cast<std::uint8_t>(server_message::compression));
}

[[nodiscard]] std::uint32_t length_at(const char* at) noexcept {
  std::uint32_t out = 0;
  for (unsigned i = 0; i < 4; ++i) {
    out |= static_cast<std::uint32_t>(static_cast<unsigned char>(at[i])) << (8 * i);
  }
  return out;
}

// The head, and room for the body behind it.
char* begin_frame(net::byte_buffer& out, client_message type, std::size_t body_bytes) {
  char* const at = out.prepare(kFrameHeadBytes + body_bytes);
  const auto length = static_cast<std::uint32_t>(body_bytes + 1);
  for (unsigned i = 0; i < 4; ++i) at[i] = static_cast<char>((length >> (8 * i)) & 0xffU);
  at[4] = static_cast<char>(type);
  return at + kFrameHeadBytes;
}

}  // namespace

frame_state read_frame(std::string_view bytes, std::size_t message_bytes_max, frame& out) noexcept {
  if (bytes.size() < 4) return frame_state::incomplete;
  const std::size_t length = length_at(bytes.data());
  if (length == 0) return frame_state::no_type;
  if (length > message_bytes_max) return frame_state::too_large;
  if (bytes.size() < kFrameHeadBytes) return frame_state::incomplete;
  const auto type = static_cast<std::uint8_t>(bytes[4]);
  if (!known(type)) return frame_state::unknown_type;
  if (bytes.size() - 4 < length) return frame_state::incomplete;
  out.type = static_cast<server_message>(type);
  out.body = bytes.substr(kFrameHeadBytes, length - 1);
  return frame_state::whole;
}

error frame_error(frame_state state) {
  switch (state) {
    case frame_state::too_large:
      return {errc::too_large, "a message from MySQL is longer than message_bytes_max"};
    case frame_state::no_type:
    case frame_state::unknown_type:
      return {errc::corrupt, "what answers is not MySQL's X Protocol",
              "the classic protocol has another port: the X Plugin listens on 33060 by default"};
    case frame_state::undecodable:
      return {errc::corrupt, "a compressed message from MySQL makes no sense"};
    case frame_state::whole:
    case frame_state::incomplete:
      break;
  }
  return {errc::internal, "no frame error"};
}

net::result<void> append_frame(net::byte_buffer& out, client_message type,
                               const google::protobuf::MessageLite& body, std::size_t message_bytes_max) {
  if (!body.IsInitialized()) return error(errc::internal, "a message lacks a required field");
  const std::size_t size = body.ByteSizeLong();
  if (size >= message_bytes_max || size >= INT_MAX)
    return error(errc::too_large, "a statement for MySQL is longer than message_bytes_max",
                 std::to_string(size) + " bytes");
  char* const at = begin_frame(out, type, size);
  // ByteSizeLong() above has cached the sizes this uses.
  body.SerializeWithCachedSizesToArray(reinterpret_cast<std::uint8_t*>(at));
  out.commit(kFrameHeadBytes + size);
  return {};
}

void append_empty_frame(net::byte_buffer& out, client_message type) {
  begin_frame(out, type, 0);
  out.commit(kFrameHeadBytes);
}

net::result<void> parse_body(std::string_view body, google::protobuf::MessageLite& into) {
  // Not ParseFromArray(): it writes to the log itself when a required field is missing.
  if (body.size() >= INT_MAX || !into.ParsePartialFromArray(body.data(), static_cast<int>(body.size())) ||
      !into.IsInitialized())
    return error(errc::corrupt, "a message from MySQL makes no sense", into.GetTypeName());
  return {};
}

}  // namespace syncline::storage::mysql
