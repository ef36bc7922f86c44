// Makes a server's frames out of messages, compressed where that was agreed on and pays.
//
// Use one per socket. Thread: the socket's core. Bound: nothing is kept between messages, except that with
// server context takeover the socket keeps its compressor from its first compressed message on; the
// compressed text is in the pool's scratch. Failure: when the pool has no stream left, or compressing makes a
// message no smaller, it goes uncompressed, which is always allowed (RFC 7692 section 6).
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "net/websocket/deflate.h"
#include "net/websocket/deflate_offer.h"
#include "net/websocket/frame_writer.h"

namespace syncline::net::websocket {

// Messages below this go as they are: a few bytes saved are not worth the 7 us that 400
// bytes take (perf/bench/websocket_bench.cpp).
inline constexpr std::size_t kCompressBytesMin = 256;

struct outgoing_frame {
  char header[kHeaderBytesMax];
  std::size_t header_bytes = 0;
  std::string_view payload;  // the message itself, or in the pool's scratch: copy or send it at once
};

class message_writer {
 public:
  // `pool` is needed when `deflate` was agreed on.
  explicit message_writer(const std::optional<deflate_agreement>& deflate = std::nullopt,
                          deflate_pool* pool = nullptr,
                          std::size_t compress_bytes_min = kCompressBytesMin) noexcept;

  // One message as one frame; `op` is text or binary.
  [[nodiscard]] outgoing_frame write(opcode op, std::string_view message);

  // May this socket be sent a frame that was compressed for many, with a window of `window_bits`
  // (broadcast.h)? Not with context takeover: the peer's window would hold text that our compressor does not
  // know of.
  [[nodiscard]] bool takes_shared(int window_bits) const noexcept;

 private:
  [[nodiscard]] bool compress(std::string_view message, std::string& out);

  deflate_pool* pool_;
  std::size_t compress_bytes_min_;
  compressor_lease kept_;  // with context takeover
  deflate_agreement agreed_;
};

}  // namespace syncline::net::websocket
