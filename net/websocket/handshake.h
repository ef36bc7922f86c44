// The opening handshake (RFC 6455 section 4) as values: is this request an upgrade, and what is answered.
//
// Use it between an HTTP stack and message_reader; it knows neither. Thread: any. Bound: linear in the
// headers. Failure: a refusal carries the status to answer with. What an HTTP server checks anyway (one valid
// Host, header syntax) is not checked again. Values of a header that came in several lines are joined by
// commas, absent is empty.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "net/websocket/deflate_offer.h"

namespace syncline::net::websocket {

struct upgrade_request {
  std::string_view method;
  bool http_1_1 = true;  // or a later minor version
  std::string_view upgrade;
  std::string_view connection;
  std::string_view key;         // Sec-WebSocket-Key
  std::string_view version;     // Sec-WebSocket-Version
  std::string_view protocols;   // Sec-WebSocket-Protocol
  std::string_view extensions;  // Sec-WebSocket-Extensions
};

enum class upgrade_error : std::uint8_t {
  none,
  not_get,
  old_http,
  not_websocket,
  no_connection_upgrade,
  other_version,
  bad_key,
  bad_protocols,
  bad_extensions,
  has_body,  // found by who knows the whole request
  stopping,  // the server drains
};
struct upgrade_error_text {
  int status;
  std::string_view header_line;  // goes into the answer, with its CRLF; may be empty
  std::string_view detail;
};
[[nodiscard]] const upgrade_error_text& describe(upgrade_error e) noexcept;

struct upgrade_answer {
  upgrade_error error = upgrade_error::none;
  std::string_view protocol;  // the chosen one, a view into what is allowed; empty: none
  std::optional<deflate_agreement> deflate;
};

// Checks the request (section 4.2.1) and chooses: of the client's subprotocols the first that is allowed, of
// its deflate offers the first that we can meet.
[[nodiscard]] upgrade_answer check_upgrade(const upgrade_request& request,
                                           std::span<const std::string_view> allowed_protocols,
                                           const deflate_options& deflate);

// The header lines of the 101 answer, each with its CRLF, without the empty line after them.
void append_upgrade_lines(const upgrade_request& request, const upgrade_answer& answer, std::string& out);

// base64(SHA-1(key + GUID)), section 4.2.2.
[[nodiscard]] std::string accept_key(std::string_view key);

// For clients in tools and tests.
[[nodiscard]] std::string make_key(std::span<const std::uint8_t, 16> random);
struct upgrade_response {
  int status = 0;
  std::string_view upgrade;
  std::string_view connection;
  std::string_view accept;      // Sec-WebSocket-Accept
  std::string_view protocol;    // Sec-WebSocket-Protocol
  std::string_view extensions;  // Sec-WebSocket-Extensions
};
// Checks the answer to a request with `key`, these subprotocols and, if `offered_deflate`, the offer
// "permessage-deflate; client_max_window_bits" (section 4.1). Empty: the client must give up.
struct upgraded {
  std::optional<deflate_agreement> deflate;
};
[[nodiscard]] std::optional<upgraded> check_upgrade_response(const upgrade_response& response,
                                                             std::string_view key, std::string_view protocols,
                                                             bool offered_deflate);

}  // namespace syncline::net::websocket
