// gzip (RFC 1952) for streams: an encoder that can flush at a line, a decoder that is safe against bombs.
//
// Thread: one at a time; not tied to a core. Memory: about 256 KB an encoder (window and hash), 40 KB a
// decoder, given back by reset/destruction. Failure: errc::corrupt for bytes that are no gzip, and for every
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
