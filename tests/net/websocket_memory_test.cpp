// Whichever allocation fails while a WebSocket is opened, speaks and ends,
// that connection is answered or closed, the next one is as ever, and nothing stays behind (under ASan a leak
// fails).
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/net/run_task.h"
#include "tests/net/watched_memory.h"
#include "tests/net/websocket_server.h"

namespace syncline::net::websocket {
namespace {

namespace memory = syncline::testing::memory;

using testing::client;
using testing::eventually;
using testing::frame;
using testing::from_bytes;
using testing::raw_client;
using testing::some_rows;
using testing::test_socket;
using testing::upgrade_text;
using testing::websocket_server;

// Everything a client may say, at once and with its end.
std::string whole_life(std::string_view path) {
  const std::string text = some_rows(2000);
  std::string packed;
  deflate_pool streams;
  streams.borrow_compressor(15)->run(text, true, packed);
  const std::size_t half = packed.size() / 2;
  return upgrade_text(path, "Sec-WebSocket-Extensions: permessage-deflate\r\n") +
         frame({.op = opcode::text}, some_rows(20)) + frame({.op = opcode::ping}, "p") +
         frame({.op = opcode::text, .final = false, .compressed = true}, packed.substr(0, half)) +
         frame({.op = opcode::pong}, "unasked") + frame({.op = opcode::continuation}, packed.substr(half)) +
         frame({.op = opcode::binary, .final = false}, "one ") +
         frame({.op = opcode::continuation}, std::string(70'000, 'x')) +
         frame({.op = opcode::close}, "\x03\xe8 bye");
}

class WebsocketMemory : public ::testing::TestWithParam<bool> {
 protected:
  ~WebsocketMemory() override { memory::fail_nth({}, 0); }
};
INSTANTIATE_TEST_SUITE_P(Over, WebsocketMemory, ::testing::Values(false, true),
                         [](const auto& of) { return of.param ? "WithTakeover" : "WithoutTakeover"; });

TEST_P(WebsocketMemory, WhicheverAllocationFailsTheSocketEndsAndTheNextOneIsServed) {
  session_options options = testing::quick_session_options();
  options.deflate.server_no_context_takeover = options.deflate.client_no_context_takeover = !GetParam();
  const std::string text = some_rows(2000);
  int cut_off = 0;
  for (const std::string_view path : {"/echo", "/task"}) {
    const std::string life = whole_life(path);
    std::uint64_t nth = 0;
    for (bool more = true; more;) {
      SCOPED_TRACE(++nth);
      websocket_server s(testing::quick_options(), options, 1);
      std::string all;
      {
        raw_client c = s.connect();
        memory::fail_nth("core-", nth);
        c.send(life);
        all = c.receive_all();
      }
      EXPECT_TRUE(eventually([&] { return s.serves->connections() == 0; }));
      more = memory::nth_failed();
      memory::fail_nth({}, 0);
      if (!all.ends_with(from_bytes({0x88, 0x02, 0x03, 0xe8}))) ++cut_off;  // the answer to its close frame

      const std::shared_ptr<test_socket> end = s.handles.newest();
      if (end != nullptr) {
        EXPECT_EQ(end->closed, end->opened ? 1 : 0);
      }
      EXPECT_EQ(s.sockets.counts().open.value(), 0);
      std::size_t borrowed = 1;
      net::testing::run_on(s.group.at(0), [&] { borrowed = s.sockets.here()->streams().borrowed(); });
      EXPECT_EQ(borrowed, 0U);
      client next = s.open("/echo", true);
      next.send_compressed(opcode::text, text);
      EXPECT_TRUE(next.receive().bytes == text);
      if (HasFailure()) return;
    }
    EXPECT_GT(nth, 20U) << "hardly anything was refused: the test proves nothing";
  }
  EXPECT_GT(cut_off, 10);
}

}  // namespace
}  // namespace syncline::net::websocket
