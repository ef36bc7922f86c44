// The request handlers, one function each; the router parses the path and calls them.
//
// Thread: the core of the exchange. Each answers exactly once, problems included; a `false`/closed exchange
// ends silently. Work class, deadline and route label are set by the router before the call.
#pragma once

#include <string>
#include <string_view>

#include "net/core/task.h"
#include "net/http/exchange.h"
#include "server/services.h"

namespace syncline::server {

// GET /v1/{resource}/{key}: answered from L1 as a plain function when it can be (rest_read.cpp).
[[nodiscard]] net::http::tried try_read_row(const services& with, net::http::exchange& x,
                                            const storage::resource& of, std::string_view key_segment);
[[nodiscard]] net::task<void> read_row(const services& with, net::http::exchange& x,
                                       const storage::resource& of, std::string key_segment);
// GET /v1/{resource}: pages, ?ids=, ?q=, ?fields=, ?scope=, ?names=short, ?merge=.
[[nodiscard]] net::task<void> list_rows(const services& with, net::http::exchange& x,
                                        const storage::resource& of);
// GET /v1/{resource}/{key}/{merge}.
[[nodiscard]] net::task<void> read_merge(const services& with, net::http::exchange& x,
                                         const storage::merge& what, std::string key_segment);
// POST /v1/{resource}; PUT, PATCH, DELETE /v1/{resource}/{key} (rest_write.cpp).
[[nodiscard]] net::task<void> create_row(const services& with, net::http::exchange& x,
                                         const storage::resource& of);
[[nodiscard]] net::task<void> write_row(const services& with, net::http::exchange& x,
                                        const storage::resource& of, std::string key_segment);
// POST /v1/{resource}/bulk (bulk_upload.cpp).
[[nodiscard]] net::task<void> bulk_upload(const services& with, net::http::exchange& x,
                                          const storage::resource& of);
// GET /v1/sync (sync_stream.cpp).
[[nodiscard]] net::task<void> sync_stream(const services& with, net::http::exchange& x);

// GET /v1/subscribe: a WebSocket (subscribe.cpp).
void subscribe(const services& with, net::http::exchange& x);

}  // namespace syncline::server
