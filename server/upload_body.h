// The decoded bytes of an upload: the request's body, gunzipped when it says Content-Encoding: gzip.
//
// Thread: the core of the exchange. Memory: one piece of at most `kPieceBytes` and the decoder's window.
// Bound: `bytes_max` decoded bytes, so that a compression bomb ends with errc::too_large. Failure: what
// read_body() gives, errc::invalid for bytes that are no gzip or end within a member.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "net/core/gzip.h"
#include "net/http/exchange.h"

namespace syncline::server {

class upload_body {
 public:
  static constexpr std::size_t kPieceBytes = 64 * 1024;

  upload_body(net::http::exchange& x, bool gzip, std::uint64_t bytes_max);
  // The next piece, valid until the next call; empty at the end.
  [[nodiscard]] net::task<net::result<std::string_view>> next();
  // The same without waiting: nothing when the client must send more first.
  [[nodiscard]] std::optional<net::result<std::string_view>> try_next();

 private:
  net::http::exchange* x_;
  std::optional<net::gzip_decoder> decoder_;
  std::string_view packed_;
  bool packed_end_ = false;
  std::string piece_;
  std::uint64_t left_bytes_;
};

}  // namespace syncline::server
