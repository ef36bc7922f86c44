// Opens a connection to MySQL and logs in: address, TLS, authentication.
//
// Use it below `session`. What is tried, in this order (the table of what a server takes is in
// docs/mysql.md):
//   unix socket, TLS   PLAIN; SHA256_MEMORY when asked for, then PLAIN if the server has not cached the
//   account plain TCP          SHA256_MEMORY; when it is refused, one login by PLAIN over TLS that puts the
//   account
//                      into the server's cache, and SHA256_MEMORY again
// Compression is agreed on after TLS and before the login, the only moment the protocol has for it.
// The password is never sent by PLAIN over a connection that others can read, and for the detour only to a
// server whose certificate was checked, or on loopback, or when the settings say so.
//
// Thread: a core. Bound: connect_timeout_ms for everything. Failure: errc::down, timed_out, cancelled;
// invalid and unsupported for what cannot work however often it is tried.
#pragma once

#include <memory>
#include <utility>

#include "net/core/request_context.h"
#include "net/core/task.h"
#include "storage/mysql/link.h"
#include "storage/mysql/session_options.h"

namespace syncline::storage::mysql {

struct opened_link {
  opened_link(std::shared_ptr<link> l, const server_notes& s, bool c) noexcept
      : over(std::move(l)), server(s), compressed(c) {}
  std::shared_ptr<link> over;
  server_notes server;      // what it said while it let us in
  bool compressed = false;  // messages may be packed, both ways
};

// What can be said before anything is tried: unsupported, invalid.
[[nodiscard]] net::result<void> check_options(const session_options& options);
[[nodiscard]] net::task<net::result<opened_link>> open_link(net::request_context& context,
                                                            const session_options& options);

}  // namespace syncline::storage::mysql
