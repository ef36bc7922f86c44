#include "net/websocket/broadcast.h"

#include <utility>

#include "net/websocket/frame_writer.h"
#include "net/websocket/message_writer.h"

namespace syncline::net::websocket {

namespace {

std::shared_ptr<const std::string> framed(frame_shape shape, std::string_view payload) {
  char header[kHeaderBytesMax];
  const std::size_t n = write_header(header, shape, payload.size());
  std::string out;
  out.reserve(n + payload.size());
  out.append(header, n).append(payload);
  return std::make_shared<const std::string>(std::move(out));
}

}  // namespace

broadcast_message::broadcast_message(opcode op, std::string_view message, deflate_pool* pool, int window_bits)
    : plain_(framed({.op = op}, message)), window_bits_(window_bits_for(message.size(), window_bits)) {
  if (pool == nullptr || message.size() < kCompressBytesMin) return;
  const compressor_lease stream = pool->borrow_compressor(window_bits_);
  if (!stream) return;
  std::string& text = pool->compressed();
  stream->run(message, true, text);
  if (text.size() < message.size()) compressed_ = framed({.op = op, .compressed = true}, text);
}

const std::shared_ptr<const std::string>& broadcast_message::for_socket(
    const message_writer& socket) const noexcept {
  return compressed_ && socket.takes_shared(window_bits_) ? compressed_ : plain_;
}

}  // namespace syncline::net::websocket
