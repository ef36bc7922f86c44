// What bounds a WebSocket: its queue, its timeouts, the drain, and what a broadcast to many costs.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <thread>

#include "tests/net/websocket_server.h"

namespace syncline::net::websocket {
namespace {

using testing::client;
using testing::eventually;
using testing::frame;
using testing::quick_session_options;
using testing::seen;
using testing::test_socket;
using testing::websocket_server;

class WebsocketLimits : public testing::over_each_form {};
INSTANTIATE_TEST_SUITE_P(Over, WebsocketLimits,
                         ::testing::Values(testing::form::tcp, testing::form::unix_socket,
                                           testing::form::tls),
                         testing::form_name);

TEST_P(WebsocketLimits, ASlowReaderMeetsTheBoundAndIsToldWhenThereIsRoom) {
  session_options options = quick_session_options();
  options.send_queue_bytes_max = 300'000;
  websocket_server s(quick_options(), options);
  client c = s.open("/listen", false, 4096);
  const std::shared_ptr<test_socket> end = s.newest();
  const std::string message(10'000, 'm');
  int sent = 0;
  std::size_t queued_most = 0;
  int drained_before = 0;  // when it was full
  const auto push = [&] {
    bool full = false;
    EXPECT_TRUE(end->run([&](session& x) {
      for (int i = 0; i < 10 && !full; ++i) {
        const result<void> done = x.send(opcode::binary, message);
        full = done.has_error();
        if (full) {
          EXPECT_EQ(done.error().code, errc::overloaded);
          drained_before = end->drained;
        }
        sent += full ? 0 : 1;
        queued_most = std::max(queued_most, x.queued_bytes());
      }
    }));
    return full;
  };
  ASSERT_TRUE(eventually(push));
  EXPECT_LE(queued_most, 300'000U);
  for (int i = 0; i < sent; ++i) ASSERT_TRUE(c.receive().bytes == message) << i;
  EXPECT_TRUE(eventually([&] { return end->drained > drained_before; }));
  EXPECT_FALSE(push());
}

TEST_P(WebsocketLimits, APeerThatOnlyPingsWithoutReadingCostsNoMemory) {
  session_options options = quick_session_options();
  options.send_queue_bytes_max = 400'000;
  websocket_server s(quick_options(), options);
  client c = s.open("/listen", false, 4096);
  const std::shared_ptr<test_socket> end = s.newest();
  // First fill the way to the peer, so that no pong can leave.
  const std::string message(20'000, 'm');
  int sent = 0;
  std::size_t before = 0;
  ASSERT_TRUE(eventually([&] {
    static_cast<void>(end->run([&](session& x) {
      while (x.send(opcode::binary, message).has_value()) ++sent;
    }));
    // Two looks in a row that find it full: the kernel takes nothing more.
    const std::size_t was = before;
    static_cast<void>(end->run([&](session& x) { before = x.queued_bytes(); }));
    return was == before && before + message.size() > 400'000;
  }));
  ASSERT_TRUE(end->run([&](session& x) { before = x.queued_bytes(); }));
  std::string pings;
  for (int i = 0; i < 2000; ++i) pings += frame({.op = opcode::ping}, std::string(125, 'p'));
  c.socket().send_while_taken(pings, std::chrono::milliseconds(100));
  std::size_t after = 0;
  ASSERT_TRUE(end->run([&](session& x) { after = x.queued_bytes(); }));
  EXPECT_LE(after, before + 4096);
  EXPECT_EQ(end->closed, 0);
}

TEST_P(WebsocketLimits, WithRoomToReadOfPingsTheLatestIsAnsweredAfterAJam) {
  session_options options = quick_session_options();
  options.read_pause_bytes = 64 << 20;  // so that pings are read while the way out is jammed
  options.send_queue_bytes_max = 64 << 20;
  websocket_server s(quick_options(), options);
  client c = s.open("/listen", false, 4096);
  const std::shared_ptr<test_socket> end = s.newest();
  const std::string message(16 << 20, 'm');
  ASSERT_TRUE(end->run([&](session& x) { EXPECT_TRUE(x.send(opcode::binary, message).has_value()); }));
  std::size_t queued = 0;
  const auto look = [&] { static_cast<void>(end->run([&](session& x) { queued = x.queued_bytes(); })); };
  look();
  ASSERT_GT(queued, 1U << 20U);
  const std::uint64_t dropped = s.sockets.counts().pongs_dropped.value();
  std::string pings;
  for (int i = 0; i < 2000; ++i)
    pings += frame({.op = opcode::ping}, std::string(100, 'p') + std::to_string(i));
  c.socket().send(pings);
  EXPECT_TRUE(eventually([&] { return s.sockets.counts().pongs_dropped.value() > dropped + 1900; }));
  const std::size_t before = queued;
  look();
  EXPECT_LE(queued, before + 4096);
  EXPECT_TRUE(c.receive().bytes == message);
  std::string last;
  while (!last.ends_with("1999")) {
    const seen pong = c.receive();
    ASSERT_EQ(pong.what, event_kind::pong);
    last = pong.bytes;
  }
}

// DEFLATE makes up to a thousand bytes of one, and the others on the core wait meanwhile.
TEST_P(WebsocketLimits, OfAPeerThatCompressesLittleIsReadInOneTurn) {
  websocket_server s(quick_options(), quick_session_options(), 1);
  client c = s.open("/listen", true);
  const std::shared_ptr<test_socket> end = s.newest();
  std::string text;
  std::mt19937 random(1);
  while (text.size() < 512) text += static_cast<char>('a' + random() % 26);
  const std::string message = c.compressed(text);
  std::string all;
  while (all.size() < (1U << 20U)) all += frame({.op = opcode::text, .compressed = true}, message);
  const int count = static_cast<int>(all.size() / frame({.op = opcode::text}, message).size());
  ASSERT_TRUE(c.socket().send(all));
  ASSERT_TRUE(eventually([&] { return end->messages == count; }));
  EXPECT_LE(static_cast<std::size_t>(end->most_in_a_turn) * message.size(), 20'000U);
}

TEST_P(WebsocketLimits, APeerThatTakesNothingIsDropped) {
  session_options options = quick_session_options();
  options.send_queue_bytes_max = 64 << 20;
  options.write_timeout_ms = 100;
  websocket_server s(quick_options(), options);
  client c = s.open("/listen", false, 4096);
  const std::shared_ptr<test_socket> end = s.newest();
  const std::uint64_t before = s.sockets.counts().timeouts[1].value();
  ASSERT_TRUE(end->run(
      [&](session& x) { EXPECT_TRUE(x.send(opcode::binary, std::string(32 << 20, 'm')).has_value()); }));
  ASSERT_TRUE(eventually([&] { return end->closed != 0; }));
  EXPECT_EQ(end->code, 1006);
  EXPECT_EQ(s.sockets.counts().timeouts[1].value(), before + 1);
  EXPECT_TRUE(eventually([&] { return s.serves->connections() == 0; }));
}

TEST_P(WebsocketLimits, ASilentPeerIsPingedAndDroppedWithoutAPong) {
  session_options options = quick_session_options();
  options.ping_interval_ms = 50;
  options.pong_timeout_ms = 100;
  websocket_server s(quick_options(), options);
  client c = s.open("/listen");
  const std::shared_ptr<test_socket> end = s.newest();
  EXPECT_EQ(c.receive().what, event_kind::ping);
  c.send(opcode::pong, {});
  EXPECT_EQ(c.receive().what, event_kind::ping);  // it was let live
  EXPECT_EQ(end->closed, 0);
  ASSERT_TRUE(eventually([&] { return end->closed != 0; }));
  EXPECT_EQ(end->code, 1006);
  EXPECT_GE(end->pongs, 1);
}

// A message that never ends would hold its inflater for good, and a core has a bounded number of them.
TEST_P(WebsocketLimits, AMessageThatDoesNotEndGivesItsInflaterBack) {
  session_options options = quick_session_options();
  options.message_timeout_ms = 200;
  options.deflate_pool.streams_max = 1;
  websocket_server s(quick_options(), options, 1);
  const auto& timeouts = s.sockets.counts().timeouts[static_cast<std::size_t>(session_timeout::message)];
  const std::uint64_t before = timeouts.value();
  client stuck = s.open("/echo", true);
  const std::shared_ptr<test_socket> end = s.newest();
  // The first fragment of a compressed message; then nothing but pings, which are signs of life.
  ASSERT_TRUE(stuck.socket().send(frame({.op = opcode::text, .final = false, .compressed = true}, "")));
  ASSERT_TRUE(eventually([&] {
    stuck.send(opcode::ping, "here");
    return end->closed != 0;
  }));
  EXPECT_EQ(end->code, 1008);
  seen last;
  while ((last = stuck.receive()).what == event_kind::pong) {
  }
  EXPECT_EQ(last.what, event_kind::close);
  EXPECT_EQ(last.code, 1008);
  EXPECT_EQ(last.bytes, "the message took too long");
  EXPECT_TRUE(stuck.ends());
  EXPECT_EQ(timeouts.value(), before + 1);
  client next = s.open("/echo", true);
  ASSERT_TRUE(next.send_compressed(opcode::text, "the one inflater is free again"));
  EXPECT_EQ(next.receive().bytes, "the one inflater is free again");
}

TEST_P(WebsocketLimits, MessagesThatEndInTimeAreNoConcernOfTheirDeadline) {
  session_options options = quick_session_options();
  options.message_timeout_ms = 300;
  websocket_server s(quick_options(), options);
  client c = s.open("/echo");
  const std::shared_ptr<test_socket> end = s.newest();
  // Each begins in the packet in which the one before ends, so the reader is never between messages.
  const std::string whole = frame({.op = opcode::text}, "tick");
  ASSERT_TRUE(c.socket().send(whole.substr(0, 3)));
  for (int i = 0; i < 12; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    ASSERT_TRUE(c.socket().send(whole.substr(3) + whole.substr(0, 3)));
    EXPECT_EQ(c.receive().bytes, "tick");
  }
  EXPECT_EQ(end->closed, 0);
}

TEST_P(WebsocketLimits, APeerThatDoesNotAnswerOurCloseIsDropped) {
  session_options options = quick_session_options();
  options.close_timeout_ms = 50;
  websocket_server s(quick_options(), options);
  client c = s.open("/close");
  const std::shared_ptr<test_socket> end = s.newest();
  c.send(opcode::text, "now");
  EXPECT_EQ(c.receive().code, 1008);
  EXPECT_EQ(c.receive().what, event_kind::need_more);
  ASSERT_TRUE(eventually([&] { return end->closed != 0; }));
  EXPECT_EQ(end->code, 1008);
}

TEST_P(WebsocketLimits, ACloseHandshakeDoesNotWaitForThePongThatWasDue) {
  session_options options = quick_session_options();
  options.ping_interval_ms = 50;
  options.pong_timeout_ms = 600'000;
  options.close_timeout_ms = 50;
  websocket_server s(quick_options(), options);
  client c = s.open("/listen");
  const std::shared_ptr<test_socket> end = s.newest();
  ASSERT_EQ(c.receive().what, event_kind::ping);
  ASSERT_TRUE(end->run([](session& x) { x.close(close_code::policy, "enough"); }));
  EXPECT_EQ(c.receive().code, 1008);
  EXPECT_TRUE(eventually([&] { return end->closed != 0; })) << "it had the time that a pong has";
  EXPECT_EQ(end->code, 1008);
}

TEST_P(WebsocketLimits, ADrainSaysGoingAwayAndWaitsForTheAnswer) {
  websocket_server s(quick_options());
  client c = s.open("/listen");
  const std::shared_ptr<test_socket> end = s.newest();
  bool all_ended = false;
  std::thread stops([&] { all_ended = s.serves->drain(20'000); });
  EXPECT_EQ(c.receive().code, 1001);
  c.send_close(1001);
  EXPECT_TRUE(c.ends());
  stops.join();
  EXPECT_TRUE(all_ended);
  EXPECT_EQ(end->code, 1001);
}

TEST_P(WebsocketLimits, ADrainCutsOffWhoDoesNotCloseAtItsDeadline) {
  websocket_server s(quick_options());
  client c = s.open("/stubborn");
  const std::shared_ptr<test_socket> end = s.newest();
  EXPECT_FALSE(s.serves->drain(50));
  EXPECT_EQ(s.serves->connections(), 0U);
  EXPECT_EQ(end->closed, 1);
}

// What this process's epoll sets watch: descriptors by inode.
std::map<std::string, int> watched() {
  std::map<std::string, int> out;
  for (const auto& each : std::filesystem::directory_iterator("/proc/self/fdinfo")) {
    std::ifstream in(each.path());
    for (std::string word; in >> word;) {
      if (word != "tfd:") continue;
      int descriptor = -1;
      in >> descriptor;
      while (in >> word && !word.starts_with("ino:")) {
      }
      out[word] = descriptor;
    }
  }
  return out;
}

// A process that was forked a moment ago still has a copy of the descriptor, and the kernel forgets what is
// watched with the last one: else events would come for a session that was deleted.
TEST_P(WebsocketLimits, AClosedSocketIsNotWatchedThoughAnotherProcessHasACopy) {
  websocket_server s(quick_options());
  const std::map<std::string, int> before = watched();
  client c = s.open("/stubborn");
  const std::shared_ptr<test_socket> end = s.newest();
  std::map<std::string, int> its = watched();
  for (const auto& [inode, descriptor] : before) its.erase(inode);
  ASSERT_EQ(its.size(), 1U);
  const std::string inode = its.begin()->first;
  const int copy = ::dup(its.begin()->second);
  ASSERT_GE(copy, 0);
  EXPECT_FALSE(s.serves->drain(50));
  EXPECT_EQ(end->closed, 1);
  EXPECT_TRUE(eventually([&] { return !watched().contains(inode); }));
  ::close(copy);
}

TEST_P(WebsocketLimits, AServerThatIsDestroyedEndsItsWebsockets) {
  websocket_server s(quick_options());
  client c = s.open("/listen");
  const std::shared_ptr<test_socket> end = s.newest();
  s.serves.reset();
  EXPECT_EQ(end->closed, 1);
  EXPECT_EQ(c.receive().what, event_kind::need_more);
}

TEST_P(WebsocketLimits, UpgradedConnectionsCountAsConnections) {
  http::server_options http_options = quick_options();
  http_options.limit.connections_max = 1;
  websocket_server s(http_options);
  {
    client c = s.open("/listen");
    EXPECT_EQ(s.serves->connections(), 1U);
    if (s.tls) {
      EXPECT_FALSE(http::testing::raw_client(s.serves->port()).start_tls());
    } else {
      EXPECT_EQ(s.connect().receive_response().status, 503);
    }
  }
  EXPECT_TRUE(eventually([&] { return s.serves->connections() == 0; }));
  EXPECT_EQ(s.open("/greet").receive().bytes, "hello");
}

}  // namespace
}  // namespace syncline::net::websocket
