// Many clients that ask for one thing and then stay, in a process of their own, so that this one's memory is
// the server's and each of the two has descriptors for all.
//
// Use it so: make it before the server has threads (it forks), then connect_to() its port.
#pragma once

#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tests/net/raw_client.h"

namespace syncline::net::http::testing {

// Under a sanitizer memory is not counted, and each connection costs more than ten times the time.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr std::size_t kIdleClients = 2'000;
#else
inline constexpr std::size_t kIdleClients = 10'000;
#endif

// As many of `wanted` as the limit of descriptors allows, which is raised for that as far as may be.
inline std::size_t idle_clients_allowed(std::size_t wanted) {
  constexpr std::size_t kOthers = 500;  // descriptors that are no connection
  rlimit files{};
  EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &files), 0);
  files.rlim_cur = files.rlim_max;
  EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &files), 0);
  return std::min<std::size_t>(wanted, files.rlim_cur - kOthers);
}

// What malloc has given out.
inline std::size_t allocated_bytes() {
  const struct mallinfo2 now = ::mallinfo2();
  return now.uordblks + now.hblkhd;
}

class idle_clients {
 public:
  // Each sends `requests`; `answered` receives what comes of it.
  idle_clients(std::size_t n, const std::string& requests, const std::function<void(raw_client&)>& answered) {
    EXPECT_EQ(::pipe(to_child_), 0);
    EXPECT_EQ(::pipe(from_child_), 0);
    child_ = ::fork();
    if (child_ == 0) run(n, requests, answered);
    ::close(std::exchange(from_child_[1], -1));
  }
  idle_clients(const idle_clients&) = delete;
  idle_clients& operator=(const idle_clients&) = delete;
  ~idle_clients() {
    ::close(to_child_[1]);
    ::waitpid(child_, nullptr, 0);
    for (const int each : {to_child_[0], from_child_[0]}) ::close(each);
  }
  // Returns when all have their answer; false when one could not connect.
  [[nodiscard]] bool connect_to(std::uint16_t port) {
    char byte = 0;
    return ::write(to_child_[1], &port, sizeof port) == static_cast<ssize_t>(sizeof port) &&
           ::read(from_child_[0], &byte, 1) == 1;
  }

 private:
  [[noreturn]] void run(std::size_t n, const std::string& requests,
                        const std::function<void(raw_client&)>& answered) {
    constexpr std::size_t kAtATime = 100;  // fewer than a backlog, more than a switch of threads each
    ::close(to_child_[1]);
    std::uint16_t port = 0;
    if (::read(to_child_[0], &port, sizeof port) != static_cast<ssize_t>(sizeof port)) ::_exit(1);
    std::vector<raw_client> all;
    all.reserve(n);
    while (all.size() < n) {
      const std::size_t first = all.size();
      while (all.size() < std::min(n, first + kAtATime)) {
        all.emplace_back(port);
        if (!all.back().connected() || !all.back().send(requests)) ::_exit(1);
      }
      for (std::size_t i = first; i < all.size(); ++i) answered(all[i]);
    }
    char byte = 0;
    if (::write(from_child_[1], &byte, 1) != 1) ::_exit(1);
    static_cast<void>(::read(to_child_[0], &byte, 1));  // until the test ends
    ::_exit(0);
  }
  int to_child_[2]{}, from_child_[2]{};
  pid_t child_ = -1;
};

}  // namespace syncline::net::http::testing
