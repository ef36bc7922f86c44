#include "net/websocket/frame_parser.h"

#include <algorithm>
#include <cstring>

namespace syncline::net::websocket {

namespace {

std::uint64_t read_number(const char* at, std::size_t bytes) noexcept {
  std::uint64_t out = 0;
  for (std::size_t i = 0; i < bytes; ++i) out = (out << 8U) | static_cast<std::uint8_t>(at[i]);
  return out;
}

// DEFLATE may make a message a little longer: what may be on the wire for `bytes` of text. The inflated size
// is checked against the limit itself; this only ends a message that is nothing but empty blocks.
std::uint64_t with_overhead(std::uint64_t bytes) noexcept {
  const std::uint64_t more = bytes / 8 + 1024;
  return bytes > UINT64_MAX - more ? UINT64_MAX : bytes + more;
}

}  // namespace

bool frame_parser::take_first(std::uint8_t byte) noexcept {
  const unsigned op = byte & 0x0FU;
  final_ = (byte & 0x80U) != 0;
  const bool rsv1 = (byte & 0x40U) != 0;
  if ((byte & 0x30U) != 0) return fail(protocol_error::reserved_bits);
  // RFC 7692 section 6: only the first frame of a data message carries the bit.
  if (rsv1 && (!deflate_ || op == 0 || op >= 8)) return fail(protocol_error::reserved_bits);
  if ((op > 2 && op < 8) || op > 10) return fail(protocol_error::reserved_opcode);
  op_ = static_cast<opcode>(op);
  if (is_control(op_)) return final_ || fail(protocol_error::fragmented_control);
  if (op_ == opcode::continuation) return in_message_ || fail(protocol_error::lone_continuation);
  if (in_message_) return fail(protocol_error::interrupted_message);
  message_op_ = op_;
  compressed_ = rsv1;
  return true;
}

bool frame_parser::take_second(std::uint8_t byte) noexcept {
  const bool masked = (byte & 0x80U) != 0;
  const unsigned length = byte & 0x7FU;
  if (masked != (role_ == role::server)) {
    return fail(masked ? protocol_error::masked : protocol_error::not_masked);
  }
  if (is_control(op_) && length > kControlPayloadBytesMax) return fail(protocol_error::long_control);
  if (op_ == opcode::close && length == 1) return fail(protocol_error::bad_close_payload);
  header_size_ = static_cast<std::uint8_t>(2 +
                                           (length == 126   ? 2
                                            : length == 127 ? 8
                                                            : 0) +
                                           (masked ? 4 : 0));
  return true;
}

bool frame_parser::take_header(const char* header, const frame_limits& limits) noexcept {
  std::uint64_t length = static_cast<std::uint8_t>(header[1]) & 0x7FU;
  if (length == 126) {
    length = read_number(header + 2, 2);
    if (length < 126) return fail(protocol_error::length_not_minimal);
  } else if (length == 127) {
    length = read_number(header + 2, 8);
    if (length >> 63U != 0) return fail(protocol_error::length_over_63_bits);
    if (length <= 0xFFFF) return fail(protocol_error::length_not_minimal);
  }
  if (!is_control(op_) && !count(length, limits)) return false;
  if (role_ == role::server) std::memcpy(&key_, header + header_size_ - 4, 4);
  left_ = length;
  in_payload_ = true;
  frame_begun_ = false;
  return true;
}

bool frame_parser::count(std::uint64_t length, const frame_limits& limits) noexcept {
  message_first_ = op_ != opcode::continuation;
  if (message_first_) {
    message_bytes_ = 0;
    fragments_ = 0;
  }
  in_message_ = !final_;
  const std::uint64_t room = compressed_ ? with_overhead(limits.message_bytes_max) : limits.message_bytes_max;
  if (length > limits.frame_bytes_max) return fail(protocol_error::frame_too_large);
  if (message_bytes_ > room || length > room - message_bytes_) return fail(protocol_error::message_too_large);
  message_bytes_ += length;
  if (++fragments_ > limits.fragments_max) return fail(protocol_error::too_many_fragments);
  return true;
}

bool frame_parser::read_header(std::span<char>& in, const frame_limits& limits) noexcept {
  if (have_ == 0 && in.size() >= kHeaderBytesMax) {  // the usual case: nothing to collect
    if (!take_first(static_cast<std::uint8_t>(in[0])) || !take_second(static_cast<std::uint8_t>(in[1])))
      return false;
    const char* const header = in.data();
    in = in.subspan(header_size_);
    return take_header(header, limits);
  }
  while (!in.empty()) {
    const char byte = in.front();
    in = in.subspan(1);
    header_[have_++] = byte;
    if (have_ == 1 && !take_first(static_cast<std::uint8_t>(byte))) return false;
    if (have_ == 2 && !take_second(static_cast<std::uint8_t>(byte))) return false;
    if (have_ >= 2 && have_ == header_size_) {
      have_ = 0;
      return take_header(header_, limits);
    }
  }
  return false;
}

frame_step frame_parser::next(std::span<char>& in, const frame_limits& limits, frame_piece& out) noexcept {
  if (!in_payload_ && (error_ != protocol_error::none || !read_header(in, limits))) {
    in = in.last(0);
    return error_ == protocol_error::none ? frame_step::need_more : frame_step::failed;
  }
  const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(left_, in.size()));
  if (n == 0 && left_ != 0) return frame_step::need_more;
  if (role_ == role::server) key_ = unmask(in.data(), n, key_);
  left_ -= n;
  const bool control = is_control(op_);
  out.bytes = {in.data(), n};
  out.op = control ? op_ : message_op_;
  out.compressed = !control && compressed_;
  out.frame_begin = !frame_begun_;
  out.message_begin = out.frame_begin && (control || message_first_);
  out.frame_end = left_ == 0;
  out.message_end = out.frame_end && final_;
  frame_begun_ = true;
  in_payload_ = left_ != 0;
  in = in.subspan(n);
  return frame_step::piece;
}

}  // namespace syncline::net::websocket
