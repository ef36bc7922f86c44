// A JSON answer that can be asked for again: ETag, If-None-Match, the feed position it is true at.
//
// Thread: the core of the exchange. The cached form allocates nothing: its header lines are made on the
// stack, a large body is sent by reference. `position` is a feed position that the answer contains: a client
// that wrote up to P is sure to see its write when position >= P.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cache/l1.h"
#include "net/http/exchange.h"
#include "server/services.h"

namespace syncline::server {

// Compressed forms: a stored one is sent as it is; answer_json() makes one of bodies of at least
// `rest.gzip_bytes_min`, large ones on a blocking thread.
//
// A row as L1 holds it; 304 when the client has it, 404 for a negative entry.
void answer_cached(net::http::exchange& x, const cache::value_ptr& row, std::int64_t position);
// Made for this request; its ETag is that of its bytes. `links` is a whole Link field value or empty.
[[nodiscard]] net::task<void> answer_json(const services& with, net::http::exchange& x, std::string body,
                                          std::int64_t position, std::string links = {});
// Row after a write: ETag and position, `more` are further header lines. No condition is looked at.
void answer_written(net::http::exchange& x, int status, std::string_view row, std::int64_t position,
                    std::string_view more);

}  // namespace syncline::server
