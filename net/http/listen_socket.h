// Opening the sockets a server listens on.
//
// Thread: start-up, no core: it may resolve names. Failure: errc::down with the address and the system's
// reason.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "net/core/error.h"
#include "net/http/server.h"

namespace syncline::net::http {

struct listen_sockets {
  std::vector<int> descriptors;  // one per core, non-blocking, listening; the caller closes them
  std::uint16_t port = 0;
};

// For TCP each core gets its own socket (SO_REUSEPORT), for "unix:/path" a copy of the same one.
[[nodiscard]] result<listen_sockets> open_listen_sockets(const server_options& options, std::size_t cores);

// The path of a "unix:/path" address; empty for TCP.
[[nodiscard]] std::string unix_path(const std::string& address);

}  // namespace syncline::net::http
