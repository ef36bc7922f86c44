// WebSockets on real connections: handshake, messages, control frames and both ends of the close handshake,
// over TCP, a unix socket and TLS.
#include <gtest/gtest.h>

#include <array>
#include <thread>

#include "tests/net/websocket_server.h"

namespace syncline::net::websocket {
namespace {

using testing::client;
using testing::eventually;
using testing::frame;
using testing::from_bytes;
using testing::raw_client;
using testing::seen;

using testing::test_socket;
using testing::upgrade_text;
using testing::websocket_server;

session_options large_options() {
  session_options out = testing::quick_session_options();
  out.message_bytes_max = 16 << 20;
  out.send_queue_bytes_max = 64 << 20;
  return out;
}

class WebsocketSession : public testing::over_each_form {};
INSTANTIATE_TEST_SUITE_P(Over, WebsocketSession,
                         ::testing::Values(testing::form::tcp, testing::form::unix_socket,
                                           testing::form::tls),
                         testing::form_name);

TEST_P(WebsocketSession, EchoesMessagesOfAllSizesUpTo16MiB) {
  websocket_server s(quick_options(), large_options());
  client c = s.open("/echo");
  for (const std::size_t size : {0UL, 1UL, 125UL, 126UL, 127UL, 65535UL, 65536UL, 300000UL, 16UL << 20U}) {
    const std::string text(size, 'm');
    for (const opcode op : {opcode::text, opcode::binary}) {
      std::thread sender([&] { c.socket().send(frame({.op = op}, text)); });
      const seen got = c.receive();
      sender.join();
      EXPECT_EQ(got.what, op == opcode::text ? event_kind::text : event_kind::binary);
      EXPECT_TRUE(got.bytes == text) << size;
    }
  }
}

TEST_P(WebsocketSession, FramesThatComeTogetherWithTheUpgradeRequestAreRead) {
  websocket_server s(quick_options());
  for (const std::string_view path : {"/echo", "/task"}) {
    raw_client socket = s.connect();
    const std::string frames = frame({.op = opcode::text}, "early") + frame({.op = opcode::ping}, "p");
    socket.send(upgrade_text(path) + frames);
    EXPECT_EQ(socket.receive_response(true).status, 101);
    client c(std::move(socket));
    if (path == "/echo") {
      EXPECT_EQ(c.receive().bytes, "early");
    }
    EXPECT_EQ(c.receive().bytes, "p");
  }
}

TEST_P(WebsocketSession, TheUpgradeMayFollowPipelinedRequests) {
  websocket_server s(quick_options());
  raw_client socket = s.connect();
  const std::string plain = "GET /plain HTTP/1.1\r\nHost: a\r\n\r\n";
  socket.send(plain + plain + upgrade_text("/greet"));
  EXPECT_EQ(socket.receive_response().body, "plain");
  EXPECT_EQ(socket.receive_response().body, "plain");
  EXPECT_EQ(socket.receive_response(true).status, 101);
  EXPECT_EQ(socket.receive_bytes(7), "\x81\x05hello");
  EXPECT_EQ(s.serves->connections(), 1U);
}

TEST_P(WebsocketSession, AHandlerMaySendBeforeAnythingIsAsked) {
  websocket_server s(quick_options());
  client c = s.open("/greet");
  const seen got = c.receive();
  EXPECT_EQ(got.what, event_kind::text);
  EXPECT_EQ(got.bytes, "hello");
}

TEST_P(WebsocketSession, FragmentsWithControlFramesBetweenAreOneMessage) {
  websocket_server s(quick_options());
  client c = s.open("/echo");
  c.socket().send(frame({.op = opcode::text, .final = false}, "one ") + frame({.op = opcode::ping}, "p1") +
                  frame({.op = opcode::continuation, .final = false}, "two ") +
                  frame({.op = opcode::ping}, "p2") + frame({.op = opcode::pong}, "unasked") +
                  frame({.op = opcode::continuation}, "three"));
  const seen first = c.receive(), second = c.receive(), third = c.receive();
  EXPECT_EQ(first.what, event_kind::pong);
  EXPECT_EQ(first.bytes, "p1");
  EXPECT_EQ(second.bytes, "p2");
  EXPECT_EQ(third.what, event_kind::text);
  EXPECT_EQ(third.bytes, "one two three");
  EXPECT_EQ(s.newest()->pongs, 1);
}

TEST_P(WebsocketSession, ByteByByteIsTheSame) {
  websocket_server s(quick_options());
  client c = s.open("/echo");
  for (const char byte : frame({.op = opcode::text}, "slowly") + frame({.op = opcode::close}, "\x03\xe8")) {
    c.socket().send({&byte, 1});
  }
  EXPECT_EQ(c.receive().bytes, "slowly");
  EXPECT_EQ(c.receive().code, 1000);
  EXPECT_TRUE(c.ends());
}

TEST_P(WebsocketSession, EveryPingIsAnsweredInOrderWhileThePeerReads) {
  websocket_server s(quick_options());
  client c = s.open("/echo");
  std::string pings;
  for (int i = 0; i < 10; ++i) pings += frame({.op = opcode::ping}, std::to_string(i));
  c.socket().send(pings);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(c.receive().bytes, std::to_string(i));
}

TEST_P(WebsocketSession, ThePeersCloseIsAnsweredWithItsCode) {
  websocket_server s(quick_options());
  for (const std::uint16_t code : std::to_array<std::uint16_t>({1000, 1001, 1011, 3000, 4999})) {
    client c = s.open("/listen");
    const std::shared_ptr<test_socket> end = s.newest();
    c.send_close(code, "bye");
    const seen got = c.receive();
    EXPECT_EQ(got.what, event_kind::close);
    EXPECT_EQ(got.code, code);
    EXPECT_TRUE(c.ends());
    ASSERT_TRUE(eventually([&] { return end->closed != 0; }));
    EXPECT_EQ(end->code, code);
    EXPECT_EQ(end->reason(), "bye");
  }
  EXPECT_TRUE(eventually([&] { return s.serves->connections() == 0; }));
}

TEST_P(WebsocketSession, AnEmptyCloseIsAnsweredEmpty) {
  websocket_server s(quick_options());
  client c = s.open("/listen");
  c.send(opcode::close, {});
  const seen got = c.receive();
  EXPECT_EQ(got.what, event_kind::close);
  EXPECT_EQ(got.code, 1005);
  EXPECT_TRUE(c.ends());
  EXPECT_EQ(s.newest()->code, 1005);
}

TEST_P(WebsocketSession, WhatComesAfterThePeersCloseIsIgnored) {
  websocket_server s(quick_options());
  client c = s.open("/echo");
  c.socket().send(frame({.op = opcode::text}, "before") + frame({.op = opcode::close}, "\x03\xe8") +
                  frame({.op = opcode::text}, "after") + frame({.op = opcode::ping}, "after"));
  EXPECT_EQ(c.receive().bytes, "before");
  EXPECT_EQ(c.receive().code, 1000);
  EXPECT_TRUE(c.ends());
  EXPECT_EQ(s.newest()->messages, 1);
}

TEST_P(WebsocketSession, OurCloseWaitsForThePeersAndDropsMessagesMeanwhile) {
  websocket_server s(quick_options());
  client c = s.open("/close");
  const std::shared_ptr<test_socket> end = s.newest();
  c.send(opcode::text, "now");
  const seen got = c.receive();
  EXPECT_EQ(got.what, event_kind::close);
  EXPECT_EQ(got.code, 1008);
  EXPECT_EQ(got.bytes, "enough");
  c.send(opcode::text, "dropped");
  EXPECT_EQ(end->closed, 0);
  c.send_close(1008);
  EXPECT_TRUE(c.ends());
  ASSERT_TRUE(eventually([&] { return end->closed != 0; }));
  EXPECT_EQ(end->code, 1008);
  EXPECT_EQ(end->messages, 1);
}

TEST_P(WebsocketSession, NothingIsSentAfterAClose) {
  websocket_server s(quick_options());
  client c = s.open("/listen");
  const std::shared_ptr<test_socket> end = s.newest();
  errc after = errc::internal;
  ASSERT_TRUE(end->run([&](session& x) {
    EXPECT_TRUE(x.send(opcode::text, "last").has_value());
    x.close(close_code::normal, "done");
    after = x.send(opcode::text, "too late").error().code;
    x.ping("too late");
    x.close(close_code::policy, "again");
    EXPECT_TRUE(x.send(broadcast_message(opcode::text, "too late")).has_error());
  }));
  EXPECT_EQ(after, errc::closed);
  EXPECT_EQ(c.receive().bytes, "last");
  EXPECT_EQ(c.receive().code, 1000);
  c.send(opcode::ping, "no pong");
  c.send_close(1000);
  EXPECT_TRUE(c.ends());
}

TEST_P(WebsocketSession, AHandlerThatThrowsClosesWith1011) {
  websocket_server s(quick_options());
  client c = s.open("/throw");
  c.send(opcode::text, "x");
  const seen got = c.receive();
  EXPECT_EQ(got.code, 1011);
  EXPECT_TRUE(c.ends());
  EXPECT_EQ(s.newest()->closed, 1);
}

struct bad_bytes {
  const char* name;
  std::string bytes;
  std::uint16_t code;
};

TEST_P(WebsocketSession, ABrokenRuleIsNamedAndNothingAfterItIsRead) {
  const bad_bytes cases[] = {
      {"reserved bit", frame({.op = opcode::text, .compressed = true}, "x"), 1002},
      {"reserved opcode", from_bytes({0x83, 0x80, 0, 0, 0, 0}), 1002},
      {"not masked", from_bytes({0x81, 0x01, 'x'}), 1002},
      {"long control", from_bytes({0x89, 0xfe, 0, 126, 0, 0, 0, 0}), 1002},
      {"fragmented control", frame({.op = opcode::ping, .final = false}, "x"), 1002},
      {"lone continuation", frame({.op = opcode::continuation}, "x"), 1002},
      {"interrupted", frame({.op = opcode::text, .final = false}, "x") + frame({.op = opcode::text}, "y"),
       1002},
      {"close of one byte", frame({.op = opcode::close}, "x"), 1002},
      {"close code", frame({.op = opcode::close}, from_bytes({0x03, 0xED})), 1002},
      {"close reason", frame({.op = opcode::close}, from_bytes({0x03, 0xE8, 0xFF})), 1007},
      {"text", frame({.op = opcode::text}, from_bytes({'a', 0xC0})), 1007},
      {"too big", frame({.op = opcode::binary}, std::string((1 << 20) + 1, 'x')), 1009},
  };
  websocket_server s(quick_options());
  for (const bad_bytes& bad : cases) {
    SCOPED_TRACE(bad.name);
    client c = s.open("/echo");
    const std::shared_ptr<test_socket> end = s.newest();
    // The peer may not be able to send all of it: we stop reading it for good.
    c.socket().send(frame({.op = opcode::text}, "good") + bad.bytes + frame({.op = opcode::text}, "behind"));
    EXPECT_EQ(c.receive().bytes, "good");
    const seen got = c.receive();
    EXPECT_EQ(got.what, event_kind::close);
    EXPECT_EQ(got.code, bad.code);
    EXPECT_TRUE(c.ends());
    ASSERT_TRUE(eventually([&] { return end->closed != 0; }));
    EXPECT_EQ(end->code, bad.code);
    EXPECT_EQ(end->messages, 1);
  }
}

TEST_P(WebsocketSession, HalfCloseWithoutACloseFrameIsAnAbnormalEndThatStillSends) {
  websocket_server s(quick_options());
  client c = s.open("/echo");
  const std::shared_ptr<test_socket> end = s.newest();
  c.socket().send(frame({.op = opcode::text}, "last words"));
  c.socket().shut_down_writing();
  EXPECT_EQ(c.receive().bytes, "last words");
  EXPECT_TRUE(c.ends());
  ASSERT_TRUE(eventually([&] { return end->closed != 0; }));
  EXPECT_EQ(end->code, 1006);
  EXPECT_TRUE(eventually([&] { return s.serves->connections() == 0; }));
}

TEST_P(WebsocketSession, HalfCloseInsteadOfAnAnswerToOurCloseFrameEndsWithOurCode) {
  websocket_server s(quick_options());
  client c = s.open("/close");
  const std::shared_ptr<test_socket> end = s.newest();
  c.send(opcode::text, "now");
  EXPECT_EQ(c.receive().code, 1008);
  c.socket().shut_down_writing();
  EXPECT_TRUE(c.ends());
  ASSERT_TRUE(eventually([&] { return end->closed != 0; }));
  EXPECT_EQ(end->code, 1008);
}

TEST_P(WebsocketSession, AConnectionThatBreaksInAnyStateEndsOnce) {
  websocket_server s(quick_options());
  const std::string states[] = {"",
                                frame({.op = opcode::text}, "x").substr(0, 3),
                                frame({.op = opcode::text, .final = false}, "x"),
                                frame({.op = opcode::text}, std::string(100000, 'x')),
                                frame({.op = opcode::close}, "\x03\xe8"),
                                frame({.op = opcode::ping}, "p")};
  for (const std::string& state : states) {
    client c = s.open("/echo");
    const std::shared_ptr<test_socket> end = s.newest();
    c.socket().send(state);
    c.socket().reset();
    ASSERT_TRUE(eventually([&] { return end->closed != 0; }));
    EXPECT_EQ(end->closed, 1);
  }
  // While ours is on its way.
  client c = s.open("/close");
  const std::shared_ptr<test_socket> end = s.newest();
  c.send(opcode::text, "close");
  EXPECT_EQ(c.receive().code, 1008);
  c.socket().reset();
  ASSERT_TRUE(eventually([&] { return end->closed != 0; }));
  EXPECT_EQ(end->code, 1008);
  EXPECT_TRUE(eventually([&] { return s.serves->connections() == 0; }));
  EXPECT_EQ(s.sockets.counts().open.value(), 0);
}

TEST_P(WebsocketSession, WrongHandshakesAreRefusedAsHttp) {
  websocket_server s(quick_options());
  raw_client socket = s.connect();
  const std::string plain = "GET /echo HTTP/1.1\r\nHost: a\r\n";
  const auto status = [&](const std::string& lines) { return socket.ask(plain + lines + "\r\n"); };
  const std::string key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  const std::string to = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n";
  EXPECT_EQ(status("").status, 426);
  const http::testing::response old = status(to + key + "Sec-WebSocket-Version: 8\r\n");
  EXPECT_EQ(old.status, 426);
  EXPECT_TRUE(old.has("Sec-WebSocket-Version: 13"));
  EXPECT_EQ(status(to + "Sec-WebSocket-Version: 13\r\n").status, 400);
  EXPECT_EQ(status("Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" + key).status, 400);
  EXPECT_EQ(status(to + key + "Sec-WebSocket-Version: 13\r\nContent-Length: 1\r\n\r\nx").status, 400);
  raw_client other = s.connect();
  EXPECT_EQ(other.ask("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n" + to + key + "\r\n").status,
            405);
  EXPECT_EQ(other.ask(upgrade_text("/echo", "Sec-WebSocket-Extensions: a b\r\n")).status, 400);
  other.send(upgrade_text("/echo", "Sec-WebSocket-Protocol: unknown, rows\r\n"));
  const http::testing::response good = other.receive_response(true);
  EXPECT_EQ(good.status, 101);
  EXPECT_TRUE(good.has("Sec-WebSocket-Protocol: rows"));
  EXPECT_TRUE(good.has("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
}

TEST_P(WebsocketSession, CompressesWithAndWithoutContextTakeover) {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "row " + std::to_string(i * 7919) + ";";
  std::array<std::uint64_t, 2> sent{};
  for (const bool takeover : {false, true}) {
    session_options options = large_options();
    options.deflate.server_no_context_takeover = !takeover;
    options.deflate.client_no_context_takeover = !takeover;
    websocket_server s(quick_options(), options);
    client c = s.open("/echo", true);
    const std::uint64_t before = s.sockets.counts().bytes_out.value();
    for (int i = 0; i < 5; ++i) {
      c.send_compressed(opcode::text, text);
      EXPECT_TRUE(c.receive().bytes == text);
    }
    c.send(opcode::text, "not compressed");
    EXPECT_EQ(c.receive().bytes, "not compressed");
    sent[takeover ? 1 : 0] = s.sockets.counts().bytes_out.value() - before;
  }
  EXPECT_LT(sent[0], 5 * text.size() / 2);
  EXPECT_LT(sent[1], sent[0] / 2);  // the second message is nearly all history
}

TEST_P(WebsocketSession, ACompressionBombEndsAtTheLimitWith1009) {
  websocket_server s(quick_options());
  client c = s.open("/echo", true);
  c.send_compressed(opcode::binary, std::string(20 << 20, '\0'));
  const seen got = c.receive();
  EXPECT_EQ(got.what, event_kind::close);
  EXPECT_EQ(got.code, 1009);
  EXPECT_TRUE(c.ends());
  EXPECT_EQ(s.newest()->messages, 0);
}

}  // namespace
}  // namespace syncline::net::websocket
