// The addresses of a host.
//
// Numeric ones and "localhost" without asking anybody; names on a blocking thread, since getaddrinfo() blocks
// for seconds when a name server is down. Thread: a core. Bound: kAddressesMax. Failure: errc::down when the
// name has no address now, errc::invalid when it is a name and there is no thread to ask on.
#pragma once

#include <string>
#include <vector>

#include "net/core/request_context.h"
#include "net/core/task.h"

namespace syncline::net {
class blocking_threads;
}

namespace syncline::storage::mysql {

inline constexpr std::size_t kAddressesMax = 8;

[[nodiscard]] net::task<net::result<std::vector<std::string>>> resolve(net::request_context& context,
                                                                       std::string host,
                                                                       net::blocking_threads* on);

}  // namespace syncline::storage::mysql
