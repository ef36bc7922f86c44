// A client that always has more to ask gets its turns and no more than those.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "tests/net/scripted_server.h"

namespace syncline::net::http {
namespace {

using testing::eventually;
using testing::get;
using testing::quick_options;
using testing::raw_client;
using testing::scripted_server;

// Keeps the only core busy while clients send, so that everything is there when it looks.
class held_core {
 public:
  explicit held_core(core& on) {
    on.post([this] {
      holds_ = true;
      while (!released_) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    });
    EXPECT_TRUE(eventually([this] { return holds_.load(); }));
  }
  ~held_core() { release(); }
  held_core(const held_core&) = delete;
  held_core& operator=(const held_core&) = delete;
  void release() { released_ = true; }

 private:
  std::atomic<bool> holds_{false}, released_{false};
};

// How many requests were answered before another client's only one, which came behind a heap of them.
int answered_before_another(const std::string& request, int count) {
  server_options options = quick_options();
  options.limit.body_bytes_max = 1ULL << 40U;
  scripted_server s(options, 1);
  raw_client greedy = s.connect(), other = s.connect();
  // The kernel gives a connection room for what it has seen it take: much.
  const std::string much(16 * 1024 * 1024, 'x');
  EXPECT_EQ(greedy
                .ask("POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(much.size()) +
                     "\r\n\r\n" + much)
                .status,
            200);
  EXPECT_EQ(other.ask(get("/fast")).status, 200);
  {
    held_core held(s.group.at(0));
    std::string heap;
    for (int i = 0; i < count; ++i) heap += request;
    EXPECT_EQ(greedy.send_while_taken(heap, std::chrono::milliseconds(100)), heap.size());
    other.send(get("/mark"));
    held.release();
    EXPECT_EQ(other.receive_response().status, 200);
  }
  for (int i = 0; i < count; ++i) EXPECT_EQ(greedy.receive_response().status, 200);
  return s.handles.requests_at_mark - 3;
}

TEST(HttpFairness, LongPipelinedRequestsTakeTurns) {
  const std::string request = "GET /fast HTTP/1.1\r\nHost: a\r\nX: " + std::string(2000, 'x') + "\r\n\r\n";
  EXPECT_LT(answered_before_another(request, 400), 200);
}

TEST(HttpFairness, BodiesThatNobodyReadsTakeTurns) {
  const std::string request =
      "POST /fast HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n" + std::string(20000, 'x');
  EXPECT_LT(answered_before_another(request, 60), 30);
}

TEST(HttpFairness, AClientThatNeverPausesIsNotIdle) {
  server_options options = quick_options();
  options.limit.idle_timeout_ms = options.limit.header_timeout_ms = 300;
  options.limit.pipeline_requests_max = 4;
  scripted_server s(options, 1);
  raw_client c = s.connect();
  std::atomic<bool> stop{false};
  std::thread asks([&] {
    std::string many;
    for (int i = 0; i < 1000; ++i) many += get("/fast");
    while (!stop && c.send(many)) {
    }
  });
  // Reading goes on until the writer has seen that it is to stop.
  std::atomic<bool> ended{false};
  std::atomic<bool> cut{false};
  std::thread reads([&] {
    while (!ended) {
      if (c.receive_some()) {
        c.take_buffered();
      } else {
        cut = !ended;
        return;
      }
    }
  });
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(1500);
  while (!cut && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_FALSE(cut);
  stop = true;
  asks.join();
  ended = true;
  c.shut_down_writing();
  reads.join();
}

}  // namespace
}  // namespace syncline::net::http
