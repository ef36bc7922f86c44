// Addresses that take no connection: the first of two that says nothing, a unix socket that is full.
//
// The C library's resolver is asked for such a name through a getaddrinfo() of this program's own, since no
// name of a test machine has two addresses.
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "net/core/blocking_threads.h"
#include "tests/storage/mysql/mysql_fixture.h"

namespace {

constexpr const char* kTwoAddresses = "two-addresses.syncline.test";
constexpr const char* kSilent = "127.0.0.2";

int numeric(const char* address, const char* service, const addrinfo* hints, addrinfo** out) {
  using function = int (*)(const char*, const char*, const addrinfo*, addrinfo**);
  static const auto real = reinterpret_cast<function>(::dlsym(RTLD_NEXT, "getaddrinfo"));
  return real(address, service, hints, out);
}

}  // namespace

// NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name)
extern "C" int getaddrinfo(const char* name, const char* service, const addrinfo* hints, addrinfo** out) {
  if (name == nullptr || std::strcmp(name, kTwoAddresses) != 0) return numeric(name, service, hints, out);
  if (const int failed = numeric(kSilent, service, hints, out); failed != 0) return failed;
  addrinfo* last = *out;
  while (last->ai_next != nullptr) last = last->ai_next;
  return numeric("127.0.0.1", service, hints, &last->ai_next);
}

namespace syncline::storage::mysql {
namespace {

using namespace testing;

// Listens and accepts nobody; once its queue is full the kernel drops what comes.
class deaf_listener {
 public:
  explicit deaf_listener(std::uint16_t port) {
    at_.sin_family = AF_INET;
    at_.sin_port = htons(port);
    ::inet_pton(AF_INET, kSilent, &at_.sin_addr);
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const auto* const address = reinterpret_cast<const sockaddr*>(&at_);
    EXPECT_EQ(::bind(listener_, address, sizeof at_), 0);
    EXPECT_EQ(::listen(listener_, 0), 0);
    for (int& each : waiting_) {
      each = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
      static_cast<void>(::connect(each, address, sizeof at_));
    }
  }
  ~deaf_listener() {
    for (const int each : waiting_) ::close(each);
    ::close(listener_);
  }
  deaf_listener(const deaf_listener&) = delete;
  deaf_listener& operator=(const deaf_listener&) = delete;

 private:
  sockaddr_in at_{};
  int listener_ = -1;
  std::array<int, 4> waiting_{};
};

class MysqlAddresses : public mysql_test {};

TEST_F(MysqlAddresses, ASilentOneLeavesTimeForTheNext) {
  net::blocking_threads names({});
  const deaf_listener silent(port_);
  run([&]() -> task<void> {
    request_context context(on_);
    auto options = tcp_options();
    options->host = kTwoAddresses;
    options->resolver = &names;
    options->connect_timeout_ms = 4000;
    auto with = co_await opened(context, options);
    EXPECT_EQ(co_await one(context, *with, "SELECT 1"), "1");
    // Where all are silent, the whole time is what was allowed.
    options = std::make_shared<session_options>(*options);
    options->host = kSilent;
    options->connect_timeout_ms = 300;
    const auto made = co_await session::open(context, options);
    EXPECT_EQ(made.error().text(),
              std::string("MySQL cannot be reached in time: ") + kSilent + ":" + std::to_string(port_));
  });
}

// One that is out of places says so at once, and never more.
TEST_F(MysqlAddresses, AUnixSocketWhoseServerAcceptsNobodyIsDownAtOnce) {
  const std::string path = ::testing::TempDir() + unique("full");
  sockaddr_un at{};
  at.sun_family = AF_UNIX;
  ASSERT_LT(path.size(), sizeof at.sun_path);
  path.copy(at.sun_path, path.size());
  const auto* const there = reinterpret_cast<const sockaddr*>(&at);
  const int server = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(::bind(server, there, sizeof at), 0);
  ASSERT_EQ(::listen(server, 0), 0);
  std::vector<int> others;
  do {
    others.push_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
  } while (others.size() < 100 && ::connect(others.back(), there, sizeof at) == 0);
  run([&]() -> task<void> {
    request_context context(on_);
    auto options = unix_options();
    options->socket_path = path;
    options->connect_timeout_ms = 60'000;
    const auto made = co_await session::open(context, options);
    EXPECT_EQ(made.error().text(), "MySQL cannot be reached: " + path + ": Resource temporarily unavailable");
  });
  for (const int each : others) ::close(each);
  ::close(server);
  ::unlink(path.c_str());
}

}  // namespace
}  // namespace syncline::storage::mysql
