// A WebSocket that we end is gone in bounded time, whatever its peer does: says nothing, sends on, reads
// nothing.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "tests/net/websocket_server.h"

namespace syncline::net::websocket {
namespace {

using testing::client;
using testing::eventually;
using testing::frame;
using testing::from_bytes;
using testing::raw_client;
using testing::test_socket;
using testing::websocket_server;

// Sends `bytes` again and again until the server takes no more.
class sender {
 public:
  sender(raw_client& to, std::string bytes, std::chrono::milliseconds pause)
      : thread_([this, &to, pause, each = std::move(bytes)] {
          while (!stop_ && to.send_raw(each)) std::this_thread::sleep_for(pause);
        }) {}
  ~sender() {
    stop_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

class WebsocketEnd : public testing::over_each_form {
 protected:
  static std::uint64_t timeouts(const websocket_server& s, session_timeout kind) {
    return s.sockets.counts().timeouts[static_cast<std::size_t>(kind)].value();
  }
  static bool nothing_is_left(const websocket_server& s) {
    return eventually([&] { return s.serves->connections() == 0 && s.sockets.counts().open.value() == 0; });
  }
  // A client that broke a rule, has its answer and has seen that we shut our side down.
  static void break_a_rule(client& c) {
    c.socket().send(from_bytes({0x83, 0x80, 0, 0, 0, 0}));
    EXPECT_EQ(c.receive().code, 1002);
    EXPECT_EQ(c.receive().what, event_kind::need_more);
  }
};
INSTANTIATE_TEST_SUITE_P(Over, WebsocketEnd,
                         ::testing::Values(testing::form::tcp, testing::form::unix_socket,
                                           testing::form::tls),
                         testing::form_name);

TEST_P(WebsocketEnd, APeerThatSendsOnInsteadOfAnsweringOurCloseIsDropped) {
  session_options options = testing::patient_session_options();
  options.close_timeout_ms = 200;
  websocket_server s(quick_options(), options);
  const std::uint64_t before = timeouts(s, session_timeout::close);
  client c = s.open("/close");
  const std::shared_ptr<test_socket> end = s.newest();
  c.send(opcode::text, "now");
  EXPECT_EQ(c.receive().code, 1008);
  ASSERT_TRUE(eventually([&] {
    c.send(opcode::text, "more");
    c.send(opcode::ping, "here");
    return end->closed != 0;
  }));
  EXPECT_EQ(end->code, 1008);
  EXPECT_EQ(end->messages, 1);
  EXPECT_TRUE(nothing_is_left(s));
  EXPECT_EQ(timeouts(s, session_timeout::close), before + 1);
}

TEST_P(WebsocketEnd, AfterOurCloseAPeerThatTakesNothingIsDropped) {
  session_options options = testing::patient_session_options();
  options.write_timeout_ms = 200;
  websocket_server s(quick_options(), options);
  const std::uint64_t before = timeouts(s, session_timeout::write);
  client c = s.open("/listen", false, 4096);
  const std::shared_ptr<test_socket> end = s.newest();
  ASSERT_TRUE(end->run([](session& x) {
    EXPECT_TRUE(x.send(opcode::binary, std::string(32 << 20, 'm')).has_value());
    x.close(close_code::policy, "enough");
  }));
  EXPECT_TRUE(nothing_is_left(s));
  EXPECT_EQ(end->code, 1008);
  EXPECT_EQ(timeouts(s, session_timeout::write), before + 1);
}

TEST_P(WebsocketEnd, APeerThatDoesNotCloseAfterItsFailureIsDropped) {
  session_options options = testing::patient_session_options();
  options.linger_timeout_ms = 200;
  websocket_server s(quick_options(), options);
  const std::uint64_t before = timeouts(s, session_timeout::linger);
  client c = s.open("/listen");
  break_a_rule(c);
  EXPECT_TRUE(nothing_is_left(s));
  EXPECT_EQ(timeouts(s, session_timeout::linger), before + 1);
  EXPECT_EQ(s.newest()->closed, 1);
}

TEST_P(WebsocketEnd, APeerThatSendsOnAfterItsFailureIsDropped) {
  for (const std::size_t size : {std::size_t{1}, std::size_t{1} << 20U}) {
    session_options options = testing::patient_session_options();
    options.linger_timeout_ms = 200;
    websocket_server s(quick_options(), options);
    const std::uint64_t before = timeouts(s, session_timeout::linger);
    client c = s.open("/listen");
    break_a_rule(c);
    const sender sends(c.socket(), std::string(size, 'x'), std::chrono::milliseconds(size == 1 ? 10 : 0));
    EXPECT_TRUE(nothing_is_left(s)) << size;
    EXPECT_EQ(timeouts(s, session_timeout::linger), before + 1);
  }
}

}  // namespace
}  // namespace syncline::net::websocket
