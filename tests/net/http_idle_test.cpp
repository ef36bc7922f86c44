// What an idle keep-alive connection costs in memory: its own state, and no buffer.
#include <gtest/gtest.h>

#include <string>

#include "net/http/connection.h"
#include "tests/net/core_writes.h"
#include "tests/net/idle_clients.h"
#include "tests/net/scripted_server.h"

namespace syncline::net::http {
namespace {

using testing::get;

// After a plain answer, a task that read a body and a stream: each has other things it might leave behind.
TEST(HttpIdle, AKeptConnectionCostsAtMostSixHundredBytes) {
  const std::size_t count = testing::idle_clients_allowed(testing::kIdleClients);
  const std::string body = " HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
  testing::idle_clients clients(count, get("/fast") + "POST /sink" + body + "POST /echo" + body,
                                [](testing::raw_client& c) {
                                  for (int i = 0; i < 3; ++i) c.receive_response();
                                });
  testing::scripted_server s(testing::quick_options(), 1);
  [[maybe_unused]] const std::size_t before = testing::allocated_bytes();
  ASSERT_TRUE(clients.connect_to(s.serves.port()));
  EXPECT_EQ(s.serves.connections(), count);
#if SYNCLINE_COUNTS_CALLS
  const std::size_t bytes = (testing::allocated_bytes() - before) / count;
  RecordProperty("bytes_per_idle_connection", static_cast<int>(bytes));
  EXPECT_LE(bytes, 600U);
  EXPECT_GE(bytes, sizeof(connection));
#endif
}

}  // namespace
}  // namespace syncline::net::http
