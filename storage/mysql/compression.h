// Compressed messages of the X Protocol (`zstd_stream`): messages packed into one, and out of it again.
//
// A direction is one stream: what was sent before serves as dictionary, and every COMPRESSION message ends at
// a block, so that it can be unpacked alone. Use it only where open_link() has agreed on it with the server.
//
// Thread: the core of the session. Memory: nothing until the first compressed message of a direction. Then,
// measured with zstd 1.5.4, 312 KB to send (level 1, a window of 32 KB; 128 KB take 976 KB and
// packed one made-up text no better) and 1.0 MB to receive (the server's window at the level 1 we ask for is
// 512 KB; 2.6 MB if it insists on its own level 3).
// Bound: one message unpacks to at most what it says itself and to `message_bytes_max` plus what a server
// combines; a window beyond 8 MiB (RFC 8878, 3.1.1.1.2) is refused before it is allocated. So a bomb costs
// no more than an honest message. Failure: frame_state, each of which ends the connection, since a stream
// that was left in the middle cannot be taken up again.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "net/core/byte_buffer.h"
#include "storage/mysql/message.h"

struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;

namespace syncline::storage::mysql {

namespace wire {
class Compression;
}

inline constexpr std::string_view kZstdStream = "zstd_stream";
// Smaller ones are mostly head and take more time than they save; the official clients draw the line there.
inline constexpr std::size_t kCompressBytesMin = 1000;
// A server packs what it has written so far and then one message of any size; how much the former is was not
// measured, so this is generous: an answer beyond it ends the session.
inline constexpr std::size_t kCombinedBytesMax = 1024UL * 1024;
inline constexpr int kCompressionLevel = 1;

class message_compressor {
 public:
  message_compressor();
  ~message_compressor();
  message_compressor(const message_compressor&) = delete;
  message_compressor& operator=(const message_compressor&) = delete;

  // Appends one whole frame, packed when that is worth it. It cannot fail: without memory for the stream, or
  // where the packed form might not fit `message_bytes_max`, the frame goes as it is.
  void append(net::byte_buffer& out, std::string_view whole_frame, std::size_t message_bytes_max);

 private:
  struct freeing {
    void operator()(ZSTD_CCtx_s* stream) const noexcept;
  };
  [[nodiscard]] bool pack(std::string_view bytes);

  std::unique_ptr<ZSTD_CCtx_s, freeing> stream_;
  std::unique_ptr<wire::Compression> message_;
  bool broken_ = false;
};

class message_decompressor {
 public:
  explicit message_decompressor(std::size_t message_bytes_max) noexcept
      : message_bytes_max_(message_bytes_max) {}

  // Appends the messages in the body of a COMPRESSION message to `out`, which is empty. whole: it holds one
  // or more whole frames and nothing else; else what it holds is nobody's.
  [[nodiscard]] frame_state unpack(std::string_view body, net::byte_buffer& out);

 private:
  struct freeing {
    void operator()(ZSTD_DCtx_s* stream) const noexcept;
  };
  [[nodiscard]] frame_state inflate(std::string_view payload, std::size_t bytes_max, net::byte_buffer& out);

  std::size_t message_bytes_max_;
  std::unique_ptr<ZSTD_DCtx_s, freeing> stream_;
};

}  // namespace syncline::storage::mysql
