// The four forms of a request target (RFC 9112 section 3.2) and the authority in them.
//
// Thread: any; plain functions over views.
#pragma once

#include <string_view>

#include "net/http/parser.h"
#include "net/http/request.h"

namespace syncline::net::http {

// host [":" port] without user information (RFC 9110 section 4.2.4 asks servers to refuse it).
[[nodiscard]] bool valid_authority(std::string_view text) noexcept;

// Fills path, query and (for absolute-form) host from `out.target`, which holds target characters only.
[[nodiscard]] parse_error split_target(request_head& out) noexcept;

}  // namespace syncline::net::http
