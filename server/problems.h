// How failures look to a client: one table from our errors to RFC 9457 problems, documented in docs/api.md.
//
// Thread: pure functions on the core of the exchange. Every answered problem is counted by type
// (syncline_problems_total{type}).
#pragma once

#include <string>
#include <string_view>

#include "net/core/error.h"
#include "net/http/exchange.h"
#include "net/http/server.h"

namespace syncline::server {

// By the error's code: invalid 400, not_found 404, conflict 409, precondition_failed 412, too_large 413,
// overloaded and locked 503 with Retry-After, timed_out 504, down and schema_mismatch 503, disk_full 507,
// corrupt and internal 500, unsupported 501, cancelled and closed: no answer, just the end. The detail of a
// 500 stays in the log: it may quote stored bytes or SQL.
void answer_error(net::http::exchange& x, const net::error& failure);
// The members of the same problem for a place that is no HTTP answer, without braces; `request` names what
// failed in the log.
void append_problem_members(const net::error& failure, std::string_view request, std::string& out);
// A particular problem: `type` is the last part of "/problems/<type>".
void answer_problem(net::http::exchange& x, int status, std::string_view type, std::string_view title,
                    std::string detail, std::string extra = {});
void answer_not_found(net::http::exchange& x, std::string_view what);
void answer_method_not_allowed(net::http::exchange& x, std::string_view allow);
// A request that cannot become a WebSocket; `lines` are header lines with their CRLF, or empty.
void answer_refused_upgrade(net::http::exchange& x, int status, std::string_view detail,
                            std::string_view lines);
// 415; `header` is Accept or Accept-Patch and `wanted` the media types it lists.
void answer_unsupported_media_type(net::http::exchange& x, std::string_view header, std::string_view wanted);

}  // namespace syncline::server
