// A message framed, and compressed, once for all who get it.
//
// Use it when many sockets are sent the same message: each takes a reference to the same bytes. Not for one
// socket (message_writer). Thread: immutable, any; made on the core whose pool it is given. Bound: the bytes
// of both forms live until the last reference is gone. Failure: none; without a pool, or when compressing
// does not pay, there is only the plain form.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "net/websocket/frame.h"

namespace syncline::net::websocket {

class deflate_pool;
class message_writer;

class broadcast_message {
 public:
  // `window_bits` 9..15: the smaller, the more peers can take the compressed form and the worse it
  // compresses.
  broadcast_message(opcode op, std::string_view message, deflate_pool* pool = nullptr, int window_bits = 15);

  // The whole frame, header and payload, that this socket may be sent.
  [[nodiscard]] const std::shared_ptr<const std::string>& for_socket(
      const message_writer& socket) const noexcept;
  [[nodiscard]] const std::shared_ptr<const std::string>& plain() const noexcept { return plain_; }
  // Null when there is none.
  [[nodiscard]] const std::shared_ptr<const std::string>& compressed() const noexcept { return compressed_; }

 private:
  std::shared_ptr<const std::string> plain_;
  std::shared_ptr<const std::string> compressed_;
  int window_bits_;
};

}  // namespace syncline::net::websocket
