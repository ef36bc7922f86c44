#include "net/websocket/message_writer.h"

namespace syncline::net::websocket {

message_writer::message_writer(const std::optional<deflate_agreement>& deflate, deflate_pool* pool,
                               std::size_t compress_bytes_min) noexcept
    : pool_(deflate ? pool : nullptr),
      compress_bytes_min_(compress_bytes_min),
      agreed_(deflate.value_or(deflate_agreement{})) {}

bool message_writer::takes_shared(int window_bits) const noexcept {
  return pool_ != nullptr && agreed_.server_no_context_takeover && window_bits <= agreed_.server_window_bits;
}

bool message_writer::compress(std::string_view message, std::string& out) {
  if (agreed_.server_no_context_takeover) {
    const int bits = window_bits_for(message.size(), agreed_.server_window_bits);
    const compressor_lease stream = pool_->borrow_compressor(bits);
    if (!stream) return false;
    stream->run(message, true, out);
    return out.size() < message.size();
  }
  if (!kept_) kept_ = pool_->borrow_compressor(agreed_.server_window_bits);
  if (!kept_) return false;
  kept_->run(message, true, out);
  if (out.size() < message.size()) return true;
  // The peer will not see this text compressed, so the compressor must not refer to it later.
  kept_->reset();
  return false;
}

outgoing_frame message_writer::write(opcode op, std::string_view message) {
  outgoing_frame out;
  out.payload = message;
  frame_shape shape{.op = op};
  if (pool_ != nullptr && message.size() >= compress_bytes_min_) {
    std::string& scratch = pool_->compressed();
    shape.compressed = compress(message, scratch);
    if (shape.compressed) out.payload = scratch;
  }
  out.header_bytes = write_header(out.header, shape, out.payload.size());
  return out;
}

}  // namespace syncline::net::websocket
