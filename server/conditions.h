// Conditional requests (RFC 9110 section 13): If-Match and If-None-Match against a representation's ETag.
//
// Thread: pure functions over a request head. Bound: the head's own limits. Failure: errc::invalid for a
// field that is no `*` and no list of entity tags.
#pragma once

#include <string>
#include <string_view>

#include "net/core/error.h"
#include "net/http/request.h"
#include "storage/store.h"

namespace syncline::server {

// A compressed answer is another representation, so its ETag has a mark inside the quotes (RFC 9110 section
// 8.8.3.3). Conditions are about the row: the mark is taken off what clients send.
inline constexpr std::string_view kGzipTagEnd = "-gz\"";

// Whether If-None-Match names `etag` (weak comparison) or is `*`: a GET then answers 304, with the tag of the
// form that the client has. Allocates nothing; a malformed field matches nothing.
enum class known_form : std::uint8_t { none, any, plain, gzip };
[[nodiscard]] known_form known_to_client(const net::http::request_head& head, std::string_view etag) noexcept;

// What a write must find, for the store to compare inside its transaction. If-Match compares strongly: a weak
// tag is kept in the list as it was sent and equals no ETag of ours.
[[nodiscard]] net::result<storage::write_condition> read_write_condition(const net::http::request_head& head);

}  // namespace syncline::server
