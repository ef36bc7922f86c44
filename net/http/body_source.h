// The body of one request, taken from what has been read and decoded in place.
//
// It starts behind the head in the connection's input buffer; when that is used up the connection fills
// `more`, so that the head stays where its views point. Thread: the core. Bound: `more` holds one read.
//
// Invariants
//  1. Bytes after the end of the body are left for the next request: finish() moves them to the front of the
//  input buffer.
//  2. next() returns views that are valid until the next call of next() or room().
#pragma once

#include <cstdint>
#include <string_view>

#include "net/core/byte_buffer.h"
#include "net/http/chunked.h"
#include "net/http/request.h"

namespace syncline::net::http {

inline constexpr std::size_t kBodyReadBytes = 64 * 1024;

class body_source {
 public:
  enum class state : std::uint8_t { piece, need_more, done, failed };

  // `head_bytes` are at the front of the input buffer and are not touched.
  void start(const request_head& head, std::size_t head_bytes) noexcept;
  [[nodiscard]] state next(byte_buffer& input, std::string_view& piece) noexcept;
  // After need_more: where to read into; then filled().
  [[nodiscard]] char* room();
  void filled(std::size_t n) noexcept { more_.commit(n); }
  // Removes head and body from the input. Only after done().
  void finish(byte_buffer& input) noexcept;
  void release() noexcept { more_.release(); }

  [[nodiscard]] bool done() const noexcept { return kind_ == kind::none; }
  [[nodiscard]] bool untouched() const noexcept { return received_ == 0 && !moved_; }
  [[nodiscard]] std::uint64_t received() const noexcept { return received_; }
  // What is known to be missing; 0 for chunked.
  [[nodiscard]] std::uint64_t left() const noexcept { return kind_ == kind::length ? left_ : 0; }
  [[nodiscard]] chunk_error error() const noexcept { return decoder_.error(); }

 private:
  enum class kind : std::uint8_t { none, length, chunked };
  kind kind_ = kind::none;
  bool moved_ = false;    // reading from more_
  std::size_t used_ = 0;  // bytes of head and body used from the input buffer
  std::uint64_t left_ = 0;
  std::uint64_t received_ = 0;  // decoded
  chunked_decoder decoder_;
  byte_buffer more_;
};

}  // namespace syncline::net::http
