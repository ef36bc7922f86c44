// What many are sent is written from the one place where it is: the kernel gets pointers into it, not into a
// copy. Under a sanitizer only what arrives is checked.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/net/core_writes.h"
#include "tests/net/websocket_server.h"

namespace syncline::net {
namespace {

using http::testing::get;
using http::testing::raw_client;
using websocket::testing::client;
using websocket::testing::eventually;
using websocket::testing::test_socket;

// Until the write that sent the last of it has been noted.
void expect_written_from_there(std::uint64_t bytes) {
  if (!SYNCLINE_COUNTS_CALLS) return;
  EXPECT_TRUE(eventually([&] { return testing::written_from_there() >= bytes; }));
  EXPECT_EQ(testing::written_from_there(), bytes);
}

class SharedWrites : public ::testing::TestWithParam<http::testing::form> {};
INSTANTIATE_TEST_SUITE_P(Over, SharedWrites,
                         ::testing::Values(http::testing::form::tcp, http::testing::form::unix_socket),
                         http::testing::form_name);

// Above 16 KB; the first two times, before a file of it is sent, and between answers that are copied.
TEST_P(SharedWrites, ALargeBodyIsSentFromItsOwnMemory) {
  for (const std::size_t size : {std::size_t{17} * 1024, std::size_t{3} * 1024 * 1024}) {
    http::testing::scripted_server s(http::testing::quick_options(GetParam()), 1);
    s.handles.replace_big(size);
    testing::watch_writes_of(*s.handles.big);
    raw_client c = s.connect();
    c.send(get("/fast") + get("/big") + get("/fast") + get("/big"));
    EXPECT_EQ(c.receive_response().body, "fast");
    EXPECT_TRUE(c.receive_response().body == *s.handles.big);
    EXPECT_EQ(c.receive_response().body, "fast");
    EXPECT_TRUE(c.receive_response().body == *s.handles.big);
    expect_written_from_there(2 * size);
  }
}

// Also to one that has something else queued, and to one that reads late.
TEST_P(SharedWrites, ABroadcastFrameIsSentToAllFromItsOwnMemory) {
  websocket::session_options options = websocket::testing::quick_session_options();
  options.send_queue_bytes_max = 64 << 20;
  for (const std::size_t size : {std::size_t{5'000}, std::size_t{900'000}}) {
    websocket::testing::websocket_server s(http::testing::quick_options(GetParam()), options, 1);
    std::vector<std::unique_ptr<client>> clients;
    std::vector<std::shared_ptr<test_socket>> ends;
    for (int i = 0; i < 5; ++i) {
      clients.push_back(std::unique_ptr<client>(new client(s.open("/listen"))));
      ends.push_back(s.newest());
    }
    const std::string text(size, 'm');
    const websocket::broadcast_message message(websocket::opcode::text, text);
    testing::watch_writes_of(*message.plain());
    ASSERT_TRUE(ends.front()->run([&](websocket::session& first) {
      EXPECT_TRUE(first.send(websocket::opcode::text, "own").has_value());
      for (const auto& each : ends) EXPECT_TRUE(each->on_core()->send(message).has_value());
    }));
    EXPECT_EQ(clients.front()->receive().bytes, "own");
    for (const auto& each : clients) EXPECT_TRUE(each->receive().bytes == text);
    expect_written_from_there(ends.size() * message.plain()->size());
  }
}

}  // namespace
}  // namespace syncline::net
