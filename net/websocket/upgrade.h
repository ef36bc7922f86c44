// The way from an HTTP request to a session, inside an HTTP handler.
//
// The folders for HTTP and WebSocket do not know each other, so the request comes as a template parameter:
// anything with the members of http::exchange that are used here. Thread: the request's core. Failure: the
// answer names what is wrong with the request; the caller answers describe(error): its status, its header
// lines, its detail.
//
//     const upgrade_error wrong = upgrade(exchange, endpoint, std::make_shared<my_handler>());
//     if (wrong != upgrade_error::none) { ... answer describe(wrong) ... }   // else return: "101" goes out
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "net/websocket/endpoint.h"
#include "net/websocket/handshake.h"
#include "net/websocket/header_list.h"
#include "net/websocket/session.h"

namespace syncline::net::websocket {

// The values of a header's lines, joined by commas (RFC 9110 section 5.3).
template <class Head>
[[nodiscard]] std::string joined_header(const Head& head, std::string_view name) {
  std::string out;
  for (const auto& field : head.headers) {
    if (!equals_ignoring_case(field.name, name)) continue;
    if (!out.empty()) out.append(", ");
    out.append(field.value);
  }
  return out;
}

// Checks the request, and when it is a good one answers 101 and lets a session with `handler` follow. Of the
// client's subprotocols the first one that is in `protocols` is chosen.
template <class Exchange>
[[nodiscard]] upgrade_error upgrade(Exchange& x, endpoint& at, std::shared_ptr<session_handler> handler,
                                    std::span<const std::string_view> protocols = {}) {
  const auto& head = x.head();
  const std::string upgrade_to = joined_header(head, "upgrade");
  const std::string connection = joined_header(head, "connection");
  const std::string key = joined_header(head, "sec-websocket-key");
  const std::string version = joined_header(head, "sec-websocket-version");
  const std::string offered = joined_header(head, "sec-websocket-protocol");
  const std::string extensions = joined_header(head, "sec-websocket-extensions");
  upgrade_request asked;
  asked.method = head.method_text;
  asked.http_1_1 = head.minor >= 1;
  asked.upgrade = upgrade_to;
  asked.connection = connection;
  asked.key = key;
  asked.version = version;
  asked.protocols = offered;
  asked.extensions = extensions;
  const upgrade_answer answer = check_upgrade(asked, protocols, at.options().deflate);
  if (answer.error != upgrade_error::none) return answer.error;
  if (head.has_body()) return upgrade_error::has_body;
  if (x.draining()) return upgrade_error::stopping;
  std::string lines;
  append_upgrade_lines(asked, answer, lines);
  auto next = std::make_unique<session>(at.here(), answer.deflate, std::move(handler));
  const auto done = x.upgrade(lines, std::move(next));
  return done.has_error() ? upgrade_error::stopping : upgrade_error::none;
}

}  // namespace syncline::net::websocket
