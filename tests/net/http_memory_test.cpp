// A server that gets no memory closes the connections it cannot serve, and lives.
//
// operator new fails on the cores, every n-th call or all of them (watched_memory.h). The server runs in a
// process of its own, so that one that would die takes no other test with it.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "tests/net/scripted_server.h"
#include "tests/net/watched_memory.h"

namespace syncline::net::http {
namespace {

using testing::eventually;
using testing::get;
using testing::quick_options;
using testing::raw_client;
using testing::scripted_server;

const std::vector<std::string>& requests() {
  static const std::vector<std::string> all{
      get("/fast"),
      get("/fast") + get("/fast"),
      get("/slow"),
      get("/throw"),
      "GET nonsense\r\n\r\n",
      "GET /fast HTTP/1.1\r\nHost: a\r\nX: " + std::string(12000, 'x') + "\r\n\r\n",
      "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
      "POST /whole HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
      "POST /fast HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
      "GET /fast HTTP/1.1\r\nHo",
  };
  return all;
}

// 0 when the server answers as ever after all of it.
int serve_without_memory(unsigned every) {
  server_options options = quick_options();
  options.limit.header_timeout_ms = options.limit.idle_timeout_ms = 50;  // deadlines need memory too
  scripted_server s(options);
  if (s.connect().ask(get("/fast")).status != 200) return 2;
  syncline::testing::memory::fail_on_cores(every);
  for (int round = 0; round < 30; ++round) {
    for (const std::string& bytes : requests()) {
      raw_client c = s.connect();
      c.send(bytes);
      c.shut_down_writing();
      c.receive_all();  // an answer or none: it ends
    }
    raw_client late = s.connect();  // its deadline passes while memory is short
    late.send("GET /fast HTTP/1.1\r\nHo");
    late.receive_all();
  }
  syncline::testing::memory::fail_on_cores(0);
  if (syncline::testing::memory::failed() == 0) return 3;
  if (!eventually([&] { return s.serves.connections() == 0; })) return 4;
  for (const std::string path : {"/fast", "/slow"}) {
    if (s.connect().ask(get(path)).status != 200) return 5;
  }
  return 0;
}

class HttpMemory : public ::testing::TestWithParam<unsigned> {};

TEST_P(HttpMemory, AServerWithoutMemoryClosesConnectionsAndLives) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(std::_Exit(serve_without_memory(GetParam())), ::testing::ExitedWithCode(0), "");
}

INSTANTIATE_TEST_SUITE_P(Http, HttpMemory, ::testing::Values(1U, 2U, 3U, 5U, 17U),
                         [](const auto& param) { return "EveryNth" + std::to_string(param.param); });

}  // namespace
}  // namespace syncline::net::http
