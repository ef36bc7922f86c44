// The decoder of chunked bodies (RFC 9112 section 7.1), strict, in place, fed with whatever has arrived.
//
// Use it on the bytes after the head. Trailer fields are checked and dropped: merging them into headers is
// how requests are smuggled. Thread: a value of one connection. Bounds: below; nothing is buffered here.
// Failure: `failed` with error(); the framing is lost then, so the connection must close.
//
// Invariants
//  1. The decoded bytes and the outcome do not depend on how the input was split.
//  2. Bytes after the last chunk's trailer are never touched.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace syncline::net::http {

inline constexpr std::uint32_t kChunkExtensionBytesMax = 256;    // of one chunk
inline constexpr std::uint32_t kExtensionBytesFree = 16 * 1024;  // of one body, plus an eighth of its data
inline constexpr std::uint32_t kTrailerBytesMax = 8 * 1024;
inline constexpr std::uint32_t kChunkSizeDigitsMax = 16;

enum class chunk_error : std::uint8_t {
  none,
  bad_size,
  size_overflow,
  bad_extension,
  extension_too_long,
  missing_crlf,
  bad_trailer,
  trailer_too_long
};
[[nodiscard]] std::string_view to_string(chunk_error e) noexcept;

enum class chunk_status : std::uint8_t { need_more, done, failed };

class chunked_decoder {
 public:
  struct step {
    chunk_status status;
    std::size_t consumed;  // bytes of the input used up
    std::size_t produced;  // decoded bytes, now at the front of the input
  };
  // Decodes as much as is there; the decoded bytes are moved together to the front of [bytes, bytes + size).
  [[nodiscard]] step decode(char* bytes, std::size_t size) noexcept;
  [[nodiscard]] chunk_error error() const noexcept { return error_; }

 private:
  enum class at : std::uint8_t {
    size_first,
    size,
    extension,
    size_lf,
    bytes,
    bytes_cr,
    bytes_lf,
    trailer_first,
    trailer_name,
    trailer_value,
    trailer_lf,
    last_lf,
    done,
    failed
  };
  void take(char c) noexcept;
  void take_size(char c) noexcept;
  void take_trailer(char c) noexcept;
  void fail(chunk_error e) noexcept {
    error_ = e;
    at_ = at::failed;
  }

  std::uint64_t left_ = 0;  // of the current chunk
  std::uint64_t decoded_ = 0;
  std::uint64_t extension_bytes_ = 0;
  std::uint32_t line_extension_bytes_ = 0;
  std::uint32_t trailer_bytes_ = 0;
  std::uint8_t digits_ = 0;
  at at_ = at::size_first;
  chunk_error error_ = chunk_error::none;
};

}  // namespace syncline::net::http
