// What many WebSockets cost: calls of the kernel and bytes of a broadcast, memory of an idle socket. The
// calls that write are counted by standing in for the C library's; under a sanitizer, which does the same,
// only what arrives is checked.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <future>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "net/websocket/broadcast_log.h"
#include "tests/net/core_writes.h"
#include "tests/net/idle_clients.h"
#include "tests/net/run_task.h"
#include "tests/net/watched_memory.h"
#include "tests/net/websocket_server.h"

namespace syncline::net::websocket {
namespace {

using testing::client;
using testing::eventually;
using testing::test_socket;
using testing::websocket_server;

// Sockets on one core.
struct crowd {
  crowd(std::size_t n, const session_options& options, bool deflate)
      : server(testing::quick_options(), options, 1) {
    for (std::size_t i = 0; i < n; ++i) {
      clients.push_back(std::unique_ptr<client>(new client(server.open("/listen", deflate))));
      ends.push_back(server.newest());
    }
  }
  // Runs `what` on the core, with all sessions.
  void run(const std::function<void(const std::vector<session*>&)>& what) {
    ASSERT_TRUE(ends.front()->run([&](session&) {
      std::vector<session*> all;
      for (const auto& end : ends) {
        if (end->on_core() != nullptr) all.push_back(end->on_core());
      }
      what(all);
    }));
  }
  websocket_server server;
  std::vector<std::unique_ptr<client>> clients;
  std::vector<std::shared_ptr<test_socket>> ends;
};

std::uint64_t writes_until(crowd& c, std::uint64_t before, std::uint64_t expected) {
  // One more round through the core: what was asked for before is done.
  c.run([](const std::vector<session*>&) {});
  EXPECT_TRUE(!SYNCLINE_COUNTS_CALLS ||
              eventually([&] { return net::testing::core_writes() - before >= expected; }));
  return net::testing::core_writes() - before;
}

TEST(WebsocketBroadcast, SixteenMessagesToAThousandSocketsAreOneCallEach) {
  crowd c(1000, testing::quick_session_options(), false);
  std::vector<std::string> texts;
  for (int i = 0; i < 16; ++i) texts.push_back("message " + std::to_string(i) + std::string(190, 'x'));
  for (const bool by_socket : {false, true}) {
    const std::uint64_t before = net::testing::core_writes();
    c.run([&](const std::vector<session*>& all) {
      std::vector<broadcast_message> messages;
      for (const std::string& text : texts) messages.emplace_back(opcode::text, text);
      if (by_socket) {
        for (session* each : all) {
          for (const broadcast_message& m : messages) EXPECT_TRUE(each->send(m).has_value());
        }
      } else {
        for (const broadcast_message& m : messages) {
          for (session* each : all) EXPECT_TRUE(each->send(m).has_value());
        }
      }
    });
    for (const auto& each : c.clients) {
      for (const std::string& text : texts) ASSERT_EQ(each->receive().bytes, text);
    }
    const std::uint64_t expected = SYNCLINE_COUNTS_CALLS ? 1000 : 0;
    EXPECT_EQ(writes_until(c, before, expected), expected);
  }
}

TEST(WebsocketBroadcast, MixedWithOwnMessagesLongOnesAndCompressionTheOrderIsKept) {
  session_options options = testing::quick_session_options();
  options.send_queue_bytes_max = 64 << 20;
  for (const bool deflate : {false, true}) {
    crowd c(5, options, deflate);
    std::vector<std::vector<std::string>> expected(5);
    deflate_pool pool;
    c.run([&](const std::vector<session*>& all) {
      for (std::size_t i = 0; i < 300; ++i) {
        const std::string text(i % 7 == 0 ? 20'000 : i % 5 == 0 ? 900 : 40, static_cast<char>('a' + i % 26));
        const broadcast_message m(opcode::text, text, deflate ? &pool : nullptr);
        for (std::size_t to = 0; to < all.size(); ++to) {
          if (i % 11 == to) continue;  // ranges with holes
          if (i % 13 == to) {
            EXPECT_TRUE(all[to]->send(opcode::text, "own " + std::to_string(i)).has_value());
            expected[to].push_back("own " + std::to_string(i));
          }
          EXPECT_TRUE(all[to]->send(m).has_value());
          expected[to].push_back(text);
        }
      }
    });
    for (std::size_t to = 0; to < expected.size(); ++to) {
      for (const std::string& text : expected[to]) ASSERT_TRUE(c.clients[to]->receive().bytes == text);
    }
  }
}

TEST(WebsocketBroadcast, ASlowSocketKeepsItsPartAndLosesNothingWhileOthersGoOn) {
  session_options options = testing::quick_session_options();
  options.send_queue_bytes_max = 64 << 20;
  websocket_server s(testing::quick_options(), options, 1);
  client slow = s.open("/listen", false, 4096);
  const std::shared_ptr<test_socket> slow_end = s.newest();
  client fast = s.open("/listen");
  const std::shared_ptr<test_socket> fast_end = s.newest();
  constexpr int kRounds = 200;
  for (int round = 0; round < kRounds; ++round) {
    ASSERT_TRUE(slow_end->run([&](session& x) {
      const std::string text(round % 2 == 0 ? 60'000 : 3'000, static_cast<char>('a' + round % 26));
      const broadcast_message m(opcode::binary, text);
      EXPECT_TRUE(x.send(m).has_value());
      EXPECT_TRUE(fast_end->on_core()->send(m).has_value());
    }));
    const std::string got = fast.receive().bytes;
    ASSERT_EQ(got.front(), 'a' + round % 26);
  }
  std::size_t queued = 0;
  ASSERT_TRUE(slow_end->run([&](session& x) { queued = x.queued_bytes(); }));
  EXPECT_GT(queued, 0U);
  for (int round = 0; round < kRounds; ++round) {
    const std::string text(round % 2 == 0 ? 60'000 : 3'000, static_cast<char>('a' + round % 26));
    ASSERT_TRUE(slow.receive().bytes == text) << round;
  }
}

class quiet_handler final : public session_handler {
  void on_message(session&, opcode, std::string_view) override {}
  void on_closed(close_code, std::string_view) override {}
};
class quiet_server final : public http::handler {
 public:
  explicit quiet_server(endpoint& at) : at_(at) {}
  http::tried try_answer(http::exchange& x) override {
    static_cast<void>(upgrade(x, at_, std::make_shared<quiet_handler>()));
    return http::tried::answered;
  }
  task<void> answer(http::exchange&) override { co_return; }

 private:
  endpoint& at_;
};

TEST(WebsocketBroadcast, AFrameForWhichThereIsNoMemoryLeavesNothingInTheLog) {
  core_group group(core_group_options{1, false});
  group.start();
  broadcast_log log;
  log.hold();
  const auto short_frame = std::make_shared<const std::string>(100, 's');
  const auto refused = [&] {
    bool out = false;
    net::testing::run_on(group.at(0), [&] {
      syncline::testing::memory::fail_on_cores(1);
      try {
        static_cast<void>(log.find_or_append(short_frame, broadcast_log::kNone));
      } catch (const std::bad_alloc&) {
        out = true;
      }
      syncline::testing::memory::fail_on_cores(0);
    });
    return out;
  };
  EXPECT_TRUE(refused()) << "no room for an entry";
  // Long frames are entries alone, so now there is room for an entry and none for bytes.
  for (int i = 0; i < 5; ++i) {
    const auto long_frame = std::make_shared<const std::string>(broadcast_log::kCopyBytesMax + 1, 'l');
    static_cast<void>(log.find_or_append(long_frame, broadcast_log::kNone));
  }
  EXPECT_TRUE(refused()) << "no room for its bytes";
  const std::uint32_t at = log.find_or_append(short_frame, broadcast_log::kNone);
  EXPECT_EQ(at, 5U);
  EXPECT_EQ(log.bytes(at, at + 1), 100U);
  std::array<iovec, 4> parts{};
  ASSERT_EQ(log.gather(at, at + 1, parts), 1U);
  EXPECT_EQ(std::string_view(static_cast<const char*>(parts[0].iov_base), parts[0].iov_len), *short_frame);
  log.release();
}

TEST(WebsocketBroadcast, AnIdleWebsocketCostsLessThanAKilobyte) {
  const std::size_t count = http::testing::idle_clients_allowed(http::testing::kIdleClients);
  http::testing::idle_clients clients(count, testing::upgrade_text("/listen"),
                                      [](testing::raw_client& c) { c.receive_response(true); });
  core_group group(core_group_options{1, false});
  endpoint sockets(group, testing::quick_session_options());
  quiet_server handles(sockets);
  http::server serves(group, handles, testing::quick_options());
  group.start();
  ASSERT_TRUE(serves.start().has_value());
  const std::int64_t open_before = sockets.counts().open.value();
  [[maybe_unused]] const std::size_t before = http::testing::allocated_bytes();
  ASSERT_TRUE(clients.connect_to(serves.port()));
  ASSERT_TRUE(eventually(
      [&] { return sockets.counts().open.value() - open_before == static_cast<std::int64_t>(count); }));
#if SYNCLINE_COUNTS_CALLS
  const std::size_t bytes = (http::testing::allocated_bytes() - before) / count;
  RecordProperty("bytes_per_idle_websocket", static_cast<int>(bytes));
  EXPECT_LE(bytes, 1024U);
  EXPECT_GE(bytes, sizeof(session));
#endif
}

}  // namespace
}  // namespace syncline::net::websocket
