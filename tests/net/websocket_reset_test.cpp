// Peers that leave, by a reset or by a close without a close frame, in each state a WebSocket can be in.
// There are no timeouts here, so a socket that ends has noticed it by itself.
#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "tests/net/run_task.h"
#include "tests/net/websocket_server.h"

namespace syncline::net::websocket {
namespace {

using testing::client;
using testing::eventually;
using testing::frame;
using testing::raw_client;
using testing::some_rows;
using testing::test_socket;
using testing::upgrade_text;
using testing::websocket_server;

session_options with_context() {
  session_options out = testing::patient_session_options();
  out.deflate.server_no_context_takeover = out.deflate.client_no_context_takeover = false;
  return out;
}

http::server_options patient_http(testing::form over) {
  http::server_options out = testing::quick_options(over);
  out.limit.header_timeout_ms = out.limit.idle_timeout_ms = out.limit.linger_timeout_ms = 600'000;
  out.limit.write_progress_timeout_ms = 600'000;
  // So that a request behind an answer that blocks is taken.
  out.limit.output_buffer_bytes = 64 << 20;
  out.limit.pipeline_requests_max = 1 << 20;
  return out;
}

// The streams that the core's sockets hold.
std::size_t borrowed(websocket_server& s) {
  std::size_t out = 0;
  net::testing::run_on(s.group.at(0), [&] { out = s.sockets.here()->streams().borrowed(); });
  return out;
}

struct state {
  const char* name;
  // A client in the state.
  std::function<std::optional<raw_client>(websocket_server&)> reach;
};

std::optional<raw_client> with_a_blocked_switch(websocket_server& s) {
  raw_client c = s.connect(4096);
  c.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n" + upgrade_text("/listen"));
  EXPECT_TRUE(eventually([&] { return s.handles.newest() != nullptr; }));
  EXPECT_FALSE(s.handles.newest()->opened);
  return c;
}

std::optional<raw_client> with_an_unread_switch(websocket_server& s) {
  raw_client c = s.connect();
  c.send(upgrade_text("/greet"));
  EXPECT_NE(s.newest(), nullptr);
  return c;
}

std::optional<raw_client> with_a_blocked_queue(websocket_server& s) {
  client c = s.open("/listen", false, 4096);
  std::size_t queued = 0;
  EXPECT_TRUE(s.newest()->run([](session& x) {
    EXPECT_TRUE(x.send(opcode::binary, std::string(16 << 20, 'm')).has_value());
    EXPECT_TRUE(x.send(broadcast_message(opcode::binary, std::string(100'000, 'b'))).has_value());
  }));
  EXPECT_TRUE(s.newest()->run([&](session& x) { queued = x.queued_bytes(); }));
  EXPECT_GT(queued, 1U << 20U);
  return std::move(c.socket());
}

// Three of four bytes of it are there, and history from a message before.
std::optional<raw_client> in_a_compressed_message(websocket_server& s) {
  client c = s.open("/echo", true);
  const std::string text = some_rows(1000), packed = c.compressed(text);
  c.send_compressed(opcode::text, text);
  EXPECT_EQ(c.receive().bytes, text);
  const std::string_view part = std::string_view(packed).substr(0, packed.size() * 3 / 4);
  c.socket().send(frame({.op = opcode::text, .final = false, .compressed = true}, part) +
                  frame({.op = opcode::ping}, "p"));
  EXPECT_EQ(c.receive().bytes, "p");
  EXPECT_EQ(borrowed(s), 2U);  // its inflater and its compressor
  return std::move(c.socket());
}

std::optional<raw_client> in_a_frame(websocket_server& s) {
  client c = s.open("/echo");
  c.socket().send(frame({.op = opcode::ping}, "p") +
                  frame({.op = opcode::text}, some_rows(1000)).substr(0, 100));
  EXPECT_EQ(c.receive().bytes, "p");
  return std::move(c.socket());
}

std::optional<raw_client> after_our_close(websocket_server& s) {
  client c = s.open("/close");
  c.send(opcode::text, "now");
  EXPECT_EQ(c.receive().code, 1008);
  return std::move(c.socket());
}

using form_and_state = std::tuple<testing::form, state>;

class WebsocketStates : public ::testing::TestWithParam<form_and_state> {
 protected:
  void leave(void (raw_client::*how)()) {
    std::optional<raw_client> c = std::get<state>(GetParam()).reach(s);
    ASSERT_FALSE(HasFailure());
    ASSERT_EQ(s.serves->connections(), 1U);
    const std::shared_ptr<test_socket> end = s.handles.newest();
    const bool opened = end->opened;
    ((*c).*how)();
    EXPECT_TRUE(eventually(
        [&] { return s.serves->connections() == 0 && end.use_count() == 2; }));  // ours and the server's list
    EXPECT_EQ(end->opened, opened);
    EXPECT_EQ(end->closed, opened ? 1 : 0) << "on_closed() is called once, and not without on_open()";
    EXPECT_EQ(s.sockets.counts().open.value(), 0);
    EXPECT_EQ(borrowed(s), 0U);
    client next = s.open("/echo", true);
    next.send_compressed(opcode::text, some_rows(1000));
    EXPECT_EQ(next.receive().bytes, some_rows(1000));
  }
  websocket_server s{patient_http(std::get<testing::form>(GetParam())), with_context(), 1};
};

TEST_P(WebsocketStates, AResetEndsTheSocketAndNothingElse) {
  leave(&raw_client::reset);
}

TEST_P(WebsocketStates, ACloseEndsTheSocketAndNothingElse) {
  leave(&raw_client::close);
}

std::string form_and_state_name(const ::testing::TestParamInfo<form_and_state>& of) {
  const auto& [over, reached] = of.param;
  return std::string(reached.name) + testing::form_name({over, of.index});
}

INSTANTIATE_TEST_SUITE_P(
    Over, WebsocketStates,
    ::testing::Combine(::testing::Values(testing::form::tcp, testing::form::unix_socket, testing::form::tls),
                       ::testing::Values(state{"SwitchBlocked", with_a_blocked_switch},
                                         state{"SwitchUnread", with_an_unread_switch},
                                         state{"QueueBlocked", with_a_blocked_queue},
                                         state{"CompressedMessage", in_a_compressed_message},
                                         state{"Frame", in_a_frame}, state{"OurClose", after_our_close})),
    form_and_state_name);

}  // namespace
}  // namespace syncline::net::websocket
