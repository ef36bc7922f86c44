// Whether a client is given gzip, by the rules of RFC 9110 section 12.5.3 (q-values, `*`, `identity;q=0`):
// when it takes gzip and does not weigh `identity` higher.
//
// Thread: pure functions. An item that cannot be parsed counts as absent.
#pragma once

#include <string_view>

#include "net/http/request.h"

namespace syncline::server {

[[nodiscard]] bool accepts_gzip(std::string_view accept_encoding) noexcept;
// All Accept-Encoding lines together (RFC 9110 section 5.3).
[[nodiscard]] bool accepts_gzip(const net::http::request_head& head) noexcept;

}  // namespace syncline::server
