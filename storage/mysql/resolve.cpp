#include "storage/mysql/resolve.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>

#include <array>
#include <functional>
#include <memory>
#include <utility>

#include "net/core/blocking_threads.h"

namespace syncline::storage::mysql {

namespace {

using net::errc;
using net::error;

struct lookup {
  std::string host;
  std::vector<std::string> addresses;
  int failure = 0;
};

// The job owns what it uses: it goes on when nobody waits any more.
void look_up(lookup& of) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  of.failure = ::getaddrinfo(of.host.c_str(), nullptr, &hints, &found);
  if (of.failure != 0) return;
  std::array<char, NI_MAXHOST> text{};
  for (const addrinfo* each = found; each != nullptr && of.addresses.size() < kAddressesMax;
       each = each->ai_next) {
    if (::getnameinfo(each->ai_addr, each->ai_addrlen, text.data(), text.size(), nullptr, 0,
                      NI_NUMERICHOST) == 0)
      of.addresses.emplace_back(text.data());
  }
  ::freeaddrinfo(found);
}

[[nodiscard]] bool numeric(const std::string& host) {
  std::array<unsigned char, 16> binary{};
  return ::inet_pton(AF_INET, host.c_str(), binary.data()) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), binary.data()) == 1;
}

}  // namespace

net::task<net::result<std::vector<std::string>>> resolve(net::request_context& context, std::string host,
                                                         net::blocking_threads* on) {
  std::vector<std::string> out;
  if (numeric(host)) {
    out.push_back(std::move(host));
    co_return out;
  }
  if (host == "localhost") {
    out.emplace_back("127.0.0.1");
    out.emplace_back("::1");
    co_return out;
  }
  if (on == nullptr) co_return error(errc::invalid, "MySQL's host must be a numeric address here", host);
  auto work = std::make_shared<lookup>();
  work->host = host;
  std::function<void()> job = [work] { look_up(*work); };
  const net::result<void> ran = co_await on->run(context, std::move(job));
  if (ran.has_error()) co_return ran.error();
  if (work->failure != 0 || work->addresses.empty()) {
    std::string detail = host + ": " + ::gai_strerror(work->failure);
    co_return error(errc::down, "MySQL's host name has no address", std::move(detail));
  }
  out = std::move(work->addresses);
  co_return out;
}

}  // namespace syncline::storage::mysql
