// gzip (RFC 1952) for streams: an encoder that can flush at a line, a decoder that is safe against bombs.
//
// A stream is one member from begin to end, since curl, wget and browsers stop at the end of the first
// (curl 7.88: error 23); yet an encoder that waits holds no deflate state: after a flush its output ends on a
// byte, so it may give the state back (rest) and go on later with another one that knows no history. All that
// remains are the checksum and the length.
//
// Thread: one at a time; not tied to a core. Memory: 70 KB while an encoder is at work (deflate_pool.h),
// under 100 bytes at rest; 40 KB a decoder. Failure: an encoder that gets no state at the bound of the pool
// stores bytes as they are, which is valid deflate. errc::corrupt for bytes that are no gzip, and for every
// call after that. A bomb is bounded by the caller: one call appends at most what it allows, and who has had
// enough stops calling. A truncated stream is one that ends before complete().
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "net/core/error.h"

namespace syncline::net {

class gzip_encoder {
 public:
  explicit gzip_encoder(int level = 1);
  ~gzip_encoder();
  gzip_encoder(gzip_encoder&&) noexcept;
  // Appends what comes out to `out`; with `flush` everything given so far can be decoded by the reader
  // (Z_SYNC_FLUSH).
  void append(std::string_view in, bool flush, std::string& out);
  // Gives the state back if nothing is unflushed. For a stream that is quiet: what follows is compressed
  // without what came before (a row a flush: 1.30 times instead of 2.56).
  void rest() noexcept;
  // Ends the member (trailer and all). What is appended after that begins another member.
  void finish(std::string& out);

 private:
  struct state;
  std::unique_ptr<state> state_;
};

class gzip_decoder {
 public:
  gzip_decoder();
  ~gzip_decoder();
  gzip_decoder(gzip_decoder&&) noexcept;
  // `out_bytes_max` is at least 1. Decodes from the front of `in` (advancing it) and appends at most
  // `out_bytes_max` bytes to `out`. Call again while `in` is not empty or the call filled its bound. Several
  // members in a row are one stream (RFC 1952 section 2.2).
  [[nodiscard]] result<void> decode(std::string_view& in, std::size_t out_bytes_max, std::string& out);
  // True after a complete member: the input may end here.
  [[nodiscard]] bool complete() const noexcept;

 private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace syncline::net
