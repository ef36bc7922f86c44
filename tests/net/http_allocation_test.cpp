// The hit path of a request allocates nothing. Under a sanitizer only the answers are checked.
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "perf/log.h"
#include "tests/net/scripted_server.h"
#include "tests/net/watched_memory.h"
#include "tests/net/websocket_server.h"

namespace syncline::net::http {
namespace {

namespace memory = syncline::testing::memory;

TEST(HttpAllocation, AnAnswerFromTheFastPathAllocatesNothing) {
  testing::scripted_server s(testing::quick_options(), 1);
  testing::raw_client c = s.connect();
  const std::uint64_t before = memory::of_cores();
  const std::string one = "GET /fast HTTP/1.1\r\nHost: a\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n";
  std::string batch;
  for (int i = 0; i < 16; ++i) batch += one;
  for (const std::string* bytes : {&one, &std::as_const(batch)}) {
    for (const bool counted : {false, true}) {  // the first round fills buffers and registers metrics
      memory::count_cores(counted);
      for (int i = 0; i < 200; ++i) {
        c.send(*bytes);
        for (std::size_t answers = bytes->size() / one.size(); answers > 0; --answers) {
          ASSERT_EQ(c.receive_response().body, "fast");
        }
      }
      memory::count_cores(false);
    }
  }
  EXPECT_EQ(memory::of_cores(), before);
  if (!memory::counts()) return;
  memory::count_cores(true);  // a task does allocate, which shows that the count works
  EXPECT_EQ(c.ask("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").body, "slow");
  memory::count_cores(false);
  EXPECT_GT(memory::of_cores(), before);
}

TEST(HttpAllocation, ALineOfTheAccessLogAllocatesNothingOnTheCore) {
  perf::log_start(
      {.path = "/dev/null", .level = perf::log_level::warn, .access = true, .flush_interval_ms = 1});
  {
    testing::scripted_server s(testing::quick_options(), 1);
    testing::raw_client c = s.connect();
    const std::uint64_t before = memory::of_cores();
    for (const bool counted : {false, true}) {
      memory::count_cores(counted);
      for (int i = 0; i < 500; ++i) ASSERT_EQ(c.ask("GET /fast HTTP/1.1\r\nHost: a\r\n\r\n").body, "fast");
      memory::count_cores(false);
    }
    EXPECT_EQ(memory::of_cores(), before);
  }
  perf::log_start({.path = "/dev/null"});  // without it again
  perf::log_stop();
}

TEST(HttpAllocation, AWebsocketMessageAndItsEchoAllocateNothing) {
  websocket::testing::websocket_server s(testing::quick_options(),
                                         websocket::testing::quick_session_options(), 1);
  websocket::testing::client c = s.open("/echo");
  const std::string message(1000, 'm');
  std::string batch;
  for (int i = 0; i < 16; ++i) {
    batch += websocket::testing::frame({.op = websocket::opcode::text}, message);
    batch += websocket::testing::frame({.op = websocket::opcode::ping}, "p");
  }
  const std::uint64_t before = memory::of_cores();
  for (const bool counted : {false, true}) {
    memory::count_cores(counted);
    for (int round = 0; round < 50; ++round) {
      c.socket().send(batch);
      for (int i = 0; i < 32; ++i) ASSERT_FALSE(c.receive().bytes.empty());
    }
    memory::count_cores(false);
  }
  EXPECT_EQ(memory::of_cores(), before);
}

}  // namespace
}  // namespace syncline::net::http
