// The negotiation of permessage-deflate (RFC 7692 section 7.1): what the client offers, what we agree to.
//
// Thread: any. Bound: linear in the header, allocates nothing but the answer's text. Failure: an offer that
// is unknown, or has an unknown, repeated or invalid parameter, or one we cannot meet, is declined and the
// next one is looked at (section 5.1); text that is not the grammar is `malformed`, and the handshake must
// fail (RFC 6455 section 9.1).
//
// Window bits of 8: zlib's raw deflate cannot be told to keep within 256 bytes (deflateInit2 refuses it), so
// an offer of server_max_window_bits=8 is declined rather than answered with a promise we cannot prove.
// client_max_window_bits=8 is fine: it is the client's window, and we inflate with at least 9 because older
// zlib clients that agree to 8 use 9.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace syncline::net::websocket {

struct deflate_options {
  bool enabled = true;
  // Without context takeover an idle socket holds no zlib state and a broadcast is compressed once for all;
  // with it small similar messages become smaller (rows of 400 bytes 5.1 to 1
  // instead of 3.1 to 1, perf/bench/websocket_bench.cpp).
  bool server_no_context_takeover = true;
  bool client_no_context_takeover = true;
  std::uint8_t server_max_window_bits = 15;  // 9..15
  std::uint8_t client_max_window_bits = 15;  // 8..15
};

// What both ends will do. `server` is our compressor's side, `client` the peer's (our inflater's).
struct deflate_agreement {
  std::uint8_t server_window_bits = 15;
  std::uint8_t client_window_bits = 15;
  bool server_no_context_takeover = false;
  bool client_no_context_takeover = false;
  bool says_server_bits = false;  // whether the answer names them
  bool says_client_bits = false;
  bool operator==(const deflate_agreement&) const = default;
};

struct deflate_choice {
  bool malformed = false;
  std::optional<deflate_agreement> agreed;
};

// `offers` is the value of Sec-WebSocket-Extensions, several lines joined by commas. The first offer that we
// can meet is taken: they are in the client's order of preference.
[[nodiscard]] deflate_choice choose_deflate(std::string_view offers, const deflate_options& options) noexcept;

// The value of the answer's Sec-WebSocket-Extensions.
void append_answer(const deflate_agreement& agreed, std::string& out);

// For clients in tools and tests: reads that answer. Empty when it is none we can have offered
// ("permessage-deflate; client_max_window_bits").
[[nodiscard]] std::optional<deflate_agreement> read_deflate_answer(std::string_view answer) noexcept;

}  // namespace syncline::net::websocket
