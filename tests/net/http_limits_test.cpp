// What a broken, slow or hostile client sees, and that the server lives on.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <array>
#include <chrono>
#include <future>
#include <list>
#include <string>
#include <thread>
#include <vector>

#include "perf/log.h"
#include "perf/metrics.h"
#include "tests/net/bad_requests.h"
#include "tests/net/scripted_server.h"

namespace syncline::net::http {
namespace {

using testing::eventually;
using testing::get;
using testing::quick_options;
using testing::raw_client;
using testing::response;
using testing::scripted_server;

// What a smuggler wants the server to see as a request of its own.
const std::string kSmuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

class HttpLimits : public testing::over_each_form {};
INSTANTIATE_TEST_SUITE_P(Over, HttpLimits,
                         ::testing::Values(testing::form::tcp, testing::form::unix_socket,
                                           testing::form::tls),
                         testing::form_name);

TEST_P(HttpLimits, RefusesEveryBadRequestAndNothingBehindIt) {
  scripted_server s(quick_options());
  for (const testing::bad_request& bad : testing::all_bad_requests()) {
    SCOPED_TRACE(bad.name);
    raw_client c = s.connect();
    EXPECT_EQ(c.ask(get("/fast")).status, 200);
    c.send(bad.bytes + kSmuggled);
    const response r = c.receive_response();
    const parse_error_text& text = describe(bad.expected);
    EXPECT_EQ(r.status, text.status);
    EXPECT_TRUE(r.has("Content-Type: application/problem+json"));
    EXPECT_NE(r.body.find("/problems/" + std::string(text.label)), std::string::npos);
    EXPECT_TRUE(r.has("Connection: close"));
    c.shut_down_writing();
    EXPECT_TRUE(c.closed_in_order());
  }
  EXPECT_EQ(s.handles.requests, static_cast<int>(testing::all_bad_requests().size()));
}

TEST_P(HttpLimits, RefusesBrokenChunksAndNothingBehindThem) {
  scripted_server s(quick_options());
  for (const std::string body :
       {" 3\r\nabc\r\n0\r\n\r\n", "3 \r\nabc\r\n0\r\n\r\n", "3\r\nabcX\r\n0\r\n\r\n", "g\r\n"}) {
    raw_client c = s.connect();
    c.send("POST /sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body + kSmuggled);
    const response r = c.receive_response();
    EXPECT_EQ(r.status, 400);
    EXPECT_NE(r.body.find("/problems/bad-body"), std::string::npos);
    c.shut_down_writing();
    EXPECT_TRUE(c.closed_in_order());
  }
  EXPECT_EQ(s.handles.requests, 4);
}

TEST_P(HttpLimits, GiantChunkExtensionIsRefused) {
  scripted_server s(quick_options());
  raw_client c = s.connect();
  c.send("POST /sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;");
  c.send(std::string(1024 * 1024, 'x'));
  EXPECT_EQ(c.receive_response().status, 400);
}

TEST_P(HttpLimits, TenThousandHeaderLinesAreRefusedAndTheAnswerArrives) {
  scripted_server s(quick_options());
  raw_client c = s.connect();
  std::string bytes = "GET /fast HTTP/1.1\r\nHost: a\r\n";
  for (int i = 0; i < 10000; ++i) bytes += "X-" + std::to_string(i) + ": y\r\n";
  c.send(bytes + "\r\n");
  EXPECT_EQ(c.receive_response().status, 431);
  EXPECT_FALSE(c.was_reset());
}

TEST_P(HttpLimits, ALargeBodyNobodyReadsIsAnsweredAndClosed) {
  scripted_server s(quick_options());
  raw_client c = s.connect();
  c.send("POST /fast HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n" + std::string(500000, 'x'));
  const response r = c.receive_response();
  EXPECT_EQ(r.status, 200);
  EXPECT_TRUE(r.has("Connection: close"));
  c.shut_down_writing();
  EXPECT_TRUE(c.closed_in_order());
}

TEST_P(HttpLimits, ASmallBodyNobodyReadsIsSkipped) {
  scripted_server s(quick_options());
  raw_client c = s.connect();
  const std::string sixty_thousand(60000, 'x');
  for (const std::string path : {"/fast", "/slow"}) {
    EXPECT_EQ(c.ask("POST " + path + " HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n" + sixty_thousand)
                  .status,
              200);
    EXPECT_EQ(c.ask("POST " + path +
                    " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
                  .status,
              200);
  }
  EXPECT_EQ(c.ask(get("/fast")).status, 200);
}

TEST_P(HttpLimits, BodyOverItsLimitIs413) {
  scripted_server s(quick_options());
  raw_client known = s.connect();
  EXPECT_EQ(known.ask("POST /whole HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n").status, 413);
  raw_client unknown = s.connect();
  unknown.send("POST /whole HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" +
               std::string(1001, 'x') + "\r\n");
  EXPECT_EQ(unknown.receive_response().status, 413);
  raw_client fits = s.connect();
  EXPECT_EQ(
      fits.ask("POST /whole HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n" + std::string(1000, 'x'))
          .body.size(),
      1000U);
}

TEST_P(HttpLimits, SlowHeadIs408) {
  server_options options = quick_options();
  options.limit.header_timeout_ms = 100;
  scripted_server s(options);
  raw_client c = s.connect();
  const response r = c.ask("GET /fast HTTP/1.1\r\n");
  EXPECT_EQ(r.status, 408);
  c.shut_down_writing();
  EXPECT_TRUE(c.closed_in_order());
}

TEST_P(HttpLimits, AHeadThatTricklesIs408) {
  server_options options = quick_options();
  options.limit.header_timeout_ms = 150;
  scripted_server s(options);
  raw_client c = s.connect();
  c.send("GET /fast HTTP/1.1\r\nHost: a\r\nX: ");
  std::atomic<bool> stop{false};
  std::thread trickle([&] {
    while (!stop && c.send("x")) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  });
  EXPECT_EQ(c.receive_response().status, 408);
  stop = true;
  trickle.join();
}

TEST_P(HttpLimits, IdleConnectionIsClosed) {
  server_options options = quick_options();
  options.limit.idle_timeout_ms = 50;
  scripted_server s(options);
  raw_client silent = s.connect();
  EXPECT_TRUE(silent.closed_in_order());
  raw_client used = s.connect();
  EXPECT_EQ(used.ask(get("/fast")).status, 200);
  EXPECT_TRUE(used.closed_in_order());
}

TEST_P(HttpLimits, BodyThatStopsIs408) {
  server_options options = quick_options();
  options.limit.body_progress_timeout_ms = 100;
  scripted_server s(options);
  raw_client c = s.connect();
  EXPECT_EQ(c.ask("POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc").status, 408);
  EXPECT_EQ(s.handles.last_error.load(), errc::timed_out);
}

TEST_P(HttpLimits, BodyThatTricklesIs408) {
  server_options options = quick_options();
  options.limit.body_progress_timeout_ms = 100;
  options.limit.body_bytes_per_s_min = 100000;
  scripted_server s(options);
  raw_client c = s.connect();
  c.send("POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
  std::atomic<bool> stop{false};
  std::thread trickle([&] {
    while (!stop && c.send("x")) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  });
  EXPECT_EQ(c.receive_response().status, 408);
  stop = true;
  trickle.join();
}

TEST_P(HttpLimits, AReaderThatStopsIsClosed) {
  server_options options = quick_options();
  options.limit.write_progress_timeout_ms = 100;
  scripted_server s(options);
  raw_client stream = s.connect(4096), batch = s.connect(4096);
  stream.send(get("/endless"));
  std::string many;
  for (int i = 0; i < 200; ++i) many += get("/big");
  batch.send(many);
  ASSERT_TRUE(eventually([&] { return s.handles.sent > 0 && s.handles.requests > 1; }));
  EXPECT_TRUE(eventually([&] { return s.serves.connections() == 0; }));
  EXPECT_EQ(s.handles.last_error.load(), errc::timed_out);
}

// Its next request needs a task, which has a deadline of its own: the one of what is still to write is set
// again after it. How much the kernel takes before it blocks is its own affair, so several sizes are tried.
TEST_P(HttpLimits, AReaderThatStopsBeforeATaskIsClosed) {
  server_options options = quick_options();
  options.limit.write_progress_timeout_ms = 300;
  scripted_server s(options);
  std::list<raw_client> clients;
  for (std::size_t kib = 160; kib < 320; kib += 8) {
    s.handles.replace_big(kib * 1024);
    const int before = s.handles.requests;
    clients.push_back(s.connect(4096));
    clients.back().send(get("/big") + get("/slow", "Connection: close\r\n"));
    ASSERT_TRUE(eventually([&] { return s.handles.requests > before; }));
    std::this_thread::sleep_for(std::chrono::milliseconds(10));  // until it blocks
    clients.back().send("x");
  }
  EXPECT_TRUE(eventually([&] { return s.serves.connections() == 0; }));
}

TEST_P(HttpLimits, APeerThatDoesNotCloseAfterItsLastAnswerIsClosed) {
  server_options options = quick_options();
  options.limit.linger_timeout_ms = 100;
  scripted_server s(options);
  raw_client c = s.connect();
  // The rest of the body never comes.
  EXPECT_EQ(
      c.ask("POST /fast HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 100\r\n\r\nabc").status,
      200);
  EXPECT_TRUE(eventually([&] { return s.serves.connections() == 0; }));
}

TEST_P(HttpLimits, ABodyThatNobodyReadsAndThatStopsIsClosed) {
  server_options options = quick_options();
  options.limit.body_progress_timeout_ms = 100;
  scripted_server s(options);
  raw_client c = s.connect();
  EXPECT_EQ(c.ask("POST /fast HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc").status, 200);
  EXPECT_TRUE(eventually([&] { return s.serves.connections() == 0; }));
}

// What it sends is no sign that it takes anything: with TLS any byte wakes the writer.
TEST_P(HttpLimits, AReaderThatStopsButSendsIsClosed) {
  server_options options = quick_options();
  options.limit.write_progress_timeout_ms = 200;
  scripted_server s(options);
  raw_client c = s.connect(4096);
  c.send(get("/endless"));
  std::atomic<bool> stop{false};
  std::thread trickle([&] {
    while (!stop && c.send_raw("x")) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  });
  ASSERT_TRUE(eventually([&] { return s.handles.sent > 0; }));
  EXPECT_TRUE(eventually([&] { return s.serves.connections() == 0; }));
  EXPECT_EQ(s.handles.last_error.load(), errc::timed_out);
  stop = true;
  trickle.join();
}

TEST(HttpLimitsOverTls, ARecordThatTricklesDoesNotKeepAnIdleConnection) {
  server_options options = testing::quick_options(testing::form::tls);
  options.limit.idle_timeout_ms = 200;
  scripted_server s(options);
  raw_client c = s.connect();
  ASSERT_EQ(c.ask(get("/fast")).status, 200);
  ASSERT_TRUE(c.send_raw(std::string("\x17\x03\x03\x3f\x00", 5)));  // application data, 16,128 bytes
  std::atomic<bool> stop{false};
  std::thread trickle([&] {
    while (!stop && c.send_raw("x")) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  });
  EXPECT_TRUE(eventually([&] { return s.serves.connections() == 0; }));
  stop = true;
  trickle.join();
}

// A few KB a second, scaled down: within a timeout it takes less than what makes the kernel call the socket
// writable again (3/4 of a unix socket's buffer of 208 KiB), and a machine that is busy elsewhere for half of
// that time cuts nobody.
TEST_P(HttpLimits, AReaderThatIsOnlySlowLives) {
  constexpr std::chrono::milliseconds kTimeout{1500};
  server_options options = quick_options();
  options.limit.write_progress_timeout_ms = static_cast<std::uint32_t>(kTimeout.count());
  scripted_server s(options);
  raw_client stream = s.connect(4096), batch = s.connect(4096);
  stream.send(get("/endless"));
  std::string many;
  for (int i = 0; i < 200; ++i) many += get("/big");
  batch.send(many);
  ASSERT_TRUE(eventually([&] { return s.handles.sent > 0 && s.handles.requests > 1; }));
  const auto until = std::chrono::steady_clock::now() + 3 * kTimeout;
  for (int i = 0; std::chrono::steady_clock::now() < until; ++i) {
    ASSERT_TRUE(stream.receive_some(1024)) << "cut after " << i << " reads";
    ASSERT_TRUE(batch.receive_some(1024)) << "cut after " << i << " reads";
    std::this_thread::sleep_for(kTimeout / 100);
  }
  EXPECT_EQ(s.serves.connections(), 2U);
}

TEST_P(HttpLimits, ResetInEveryStateLeavesTheServerWhole) {
  scripted_server s(quick_options());
  const std::string post = "POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n";
  const std::vector<std::string> states{
      "",         "GET /fa",    get("/fast"),    get("/slow"),  get("/hold"),
      post,       post + "abc", get("/endless"), get("/watch"), get("/big") + get("/big"),
      "GET x\r\n"};
  for (const std::string& bytes : states) {
    for (const bool listen_first : {false, true}) {
      raw_client c = s.connect();
      c.send(bytes);
      if (listen_first && bytes.size() > 20 && bytes.find("/hold") == std::string::npos &&
          bytes.find("POST") != 0) {
        EXPECT_TRUE(c.receive_some());
      }
      c.reset();
    }
  }
  s.handles.released = true;
  EXPECT_TRUE(eventually([&] { return s.serves.connections() == 0; }));
  EXPECT_EQ(s.connect().ask(get("/fast")).status, 200);
}

TEST(HttpLimitsOverTcp, OneConnectionTooManyGets503) {
  server_options options = quick_options();
  options.limit.connections_max = 2;
  scripted_server s(options);
  raw_client one = s.connect(), two = s.connect();  // answered first: only then they are counted
  EXPECT_EQ(one.ask(get("/fast")).status, 200);
  EXPECT_EQ(two.ask(get("/fast")).status, 200);
  raw_client three = s.connect();
  const response r = three.ask(get("/fast"));
  EXPECT_EQ(r.status, 503);
  EXPECT_TRUE(r.body.ends_with("}\n"));
  three.shut_down_writing();
  EXPECT_TRUE(three.closed_in_order());
  one.close();
  ASSERT_TRUE(eventually([&] { return s.serves.connections() == 1; }));
  EXPECT_EQ(s.connect().ask(get("/fast")).status, 200);
}

// The limit of descriptors is lowered to what is open now, so the server cannot accept until it is raised
// again.
TEST(HttpLimitsOverTcp, AcceptingResumesAfterDescriptorsRanOut) {
  server_options options = quick_options();
  options.metrics_label = "descriptors";
  options.limit.accept_pause_ms = 500;
  scripted_server s(options, 1);
  EXPECT_EQ(s.connect().ask(get("/fast")).status, 200);
  ASSERT_TRUE(eventually([&] { return s.serves.connections() == 0; }));

  // UBSan's check of a virtual call opens a pipe the first time it sees a type; it must have seen those of
  // the log before.
  perf::log_warn("descriptors run out soon", {{"port", s.serves.port()}});
  const auto pauses = [] {
    const std::string mark = "syncline_http_accept_pauses_total{listener=\"descriptors\"} ";
    const std::string text = perf::metrics::scrape();
    const std::size_t at = text.find(mark);
    return at == std::string::npos ? 0 : std::stoi(text.substr(at + mark.size()));
  };
  const int pauses_before = pauses();
  raw_client first = s.connect(), waiting = s.connect();
  ASSERT_TRUE(eventually([&] { return s.serves.connections() == 2; }));
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  std::array<int, 40> clients{};
  for (int& each : clients) each = ::socket(AF_INET, SOCK_STREAM, 0);
  rlimit lowered = before;
  lowered.rlim_cur =
      static_cast<rlim_t>(clients.back()) + 1;  // the lowest free descriptor is above the limit
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &lowered), 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(s.serves.port());
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const auto began = std::chrono::steady_clock::now();
  int connected = 0, answered = 0;
  for (const int each : clients) {
    connected += ::connect(each, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0 ? 1 : 0;
    // Open connections are served meanwhile; and the core has seen this one come before the next.
    answered += first.ask(get("/fast")).status == 200 ? 1 : 0;
  }
  static_cast<void>(eventually([&] { return pauses() != pauses_before; }));
  const int paused = pauses() - pauses_before;
  const auto took = std::chrono::steady_clock::now() - began;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(connected, 40);
  EXPECT_EQ(answered, 40);
  EXPECT_GE(paused, 1);
  EXPECT_LE(paused, 1 + took / std::chrono::milliseconds(500))
      << "a connection that comes in a pause is none";
  EXPECT_TRUE(eventually([&] { return s.serves.connections() == 42; }));
  for (const int each : clients) ::close(each);
}

// The kernel has accepted them, so they may have sent what they want: a reset would lose it.
TEST(HttpLimitsOverTcp, WhoWaitsToBeAcceptedWhenADrainBeginsIsAnswered) {
  scripted_server s(quick_options(), 1);
  std::promise<void> go;
  s.group.at(0).post([held = go.get_future().share()] { held.wait(); });
  std::vector<raw_client> waiting;
  for (int i = 0; i < 200; ++i) {
    waiting.push_back(s.connect());
    if (i % 2 == 0) {
      EXPECT_TRUE(waiting.back().send(get("/fast")));
    }
  }
  std::future<bool> ended = std::async(std::launch::async, [&] { return s.serves.drain(20'000); });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));  // so that the core hears of both at once
  go.set_value();
  int answered = 0, in_order = 0;
  for (std::size_t i = 0; i < waiting.size(); ++i) {
    if (i % 2 == 0) answered += waiting[i].receive_response().status == 200 ? 1 : 0;
    waiting[i].shut_down_writing();
    in_order += waiting[i].closed_in_order() ? 1 : 0;
  }
  EXPECT_EQ(answered, 100);
  EXPECT_EQ(in_order, 200);
  EXPECT_TRUE(ended.get());
}

}  // namespace
}  // namespace syncline::net::http
