// Without memory the server refuses or closes, lives on, and serves again when it has some.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <list>
#include <stdexcept>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "tests/e2e/small_server.h"

namespace syncline::e2e {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kCanBeLimited = false;  // a sanitizer ends the process when the kernel gives it no memory
#else
constexpr bool kCanBeLimited = true;
#endif
// A head that never ends keeps about 32 KB of the server's memory.
constexpr std::size_t kHeadBytes = 15000;
constexpr int kClientsMax = 3000;  // about 90 MB
constexpr std::uint64_t kMoreBytes = 4 * 1024 * 1024;

std::uint64_t address_space_bytes(pid_t pid) {
  std::ifstream in(fmt::format("/proc/{}/status", pid));
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("VmSize:")) return std::stoull(line.substr(7)) * 1024;
  }
  return 0;
}

// True when it was answered; false when the connection was closed or refused. Anything but these two is
// wrong.
bool answered(const small_server& server) {
  try {
    const answer got = server.get("/v1/items/1");
    EXPECT_TRUE(got.status == 200 || got.status == 500 || got.status == 503) << got.status << got.body;
    return got.status == 200;
  } catch (const std::runtime_error&) {
    return false;
  }
}

// What is answered by a plain function and not from bytes that are there already: what they allocate may
// fail.
void ask_for_everything_else(const small_server& server) {
  const std::pair<const char*, const char*> asked[] = {
      {"GET", "/nothing"}, {"DELETE", "/v1/sync"}, {"OPTIONS", "/v1/items/1"}, {"GET", "/v1/items/404"}};
  for (const auto& [verb, path] : asked) {
    try {
      static_cast<void>(server.send(verb, path, ""));
    } catch (const std::runtime_error&) {  // closed or refused
    }
  }
  try {
    static_cast<void>(server.metrics());
  } catch (const std::runtime_error&) {
  }
}

TEST(MemoryPressure, AServerWithoutMemoryClosesOrRefusesAndServesAgainLater) {
  rlimit files{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &files), 0);
  files.rlim_cur = std::min<rlim_t>(files.rlim_max, kClientsMax + 500);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &files), 0);
  small_server server({"cores.count=1"});
  ASSERT_EQ(server.send("POST", "/v1/items", R"({"id":1,"owner":1,"note":"n"})").status, 201);
  ASSERT_TRUE(answered(server));
  const pid_t pid = server.process->pid();
  rlimit before{};
  ASSERT_EQ(::prlimit(pid, RLIMIT_AS, nullptr, &before), 0);
  const rlimit little{address_space_bytes(pid) + kMoreBytes, before.rlim_max};
  if (kCanBeLimited) {
    ASSERT_EQ(::prlimit(pid, RLIMIT_AS, &little, nullptr), 0);
  }

  const std::string endless = "GET /v1/items/1 HTTP/1.1\r\nHost: a\r\nX-A: " + std::string(kHeadBytes, 'a');
  std::list<http_client> greedy;
  const auto closed_for_memory = [&] {
    return server.process->log().find("for lack of memory") != std::string::npos;
  };
  int refused = 0;
  for (int i = 0; i < kClientsMax && server.process->running(); ++i) {
    try {
      greedy.emplace_back(server.port());
      greedy.back().send_raw(endless);
    } catch (const std::runtime_error&) {  // closed while we sent
    }
    if (i % 50 != 49) continue;
    ask_for_everything_else(server);
    if (!answered(server)) ++refused;
    if (refused > 3 && closed_for_memory()) break;
  }
  ASSERT_TRUE(server.process->running()) << server.process->log();
  if (kCanBeLimited) {
    EXPECT_TRUE(eventually(closed_for_memory)) << server.process->log();
  }

  greedy.clear();
  ASSERT_EQ(::prlimit(pid, RLIMIT_AS, &before, nullptr), 0);
  EXPECT_TRUE(eventually([&] { return answered(server); })) << server.process->log();
  EXPECT_EQ(server.send("POST", "/v1/items", R"({"id":2,"owner":1,"note":"n"})").status, 201);
  EXPECT_EQ(sync_once(server.port(), "resources=items").empty(), false);
  server.process->signal(SIGTERM);
  EXPECT_EQ(server.process->wait_for_exit(20000), 0);
}

}  // namespace
}  // namespace syncline::e2e
