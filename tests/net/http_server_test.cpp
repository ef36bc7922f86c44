// What a well-behaved client sees.
#include "net/http/server.h"

#include <gtest/gtest.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <string>
#include <thread>

#include "perf/metrics.h"
#include "tests/net/core_writes.h"
#include "tests/net/scripted_server.h"

namespace syncline::net::http {
namespace {

using testing::eventually;
using testing::get;
using testing::quick_options;
using testing::raw_client;
using testing::response;
using testing::scripted_server;

class HttpServer : public testing::over_each_form {};
INSTANTIATE_TEST_SUITE_P(Over, HttpServer,
                         ::testing::Values(testing::form::tcp, testing::form::unix_socket,
                                           testing::form::tls),
                         testing::form_name);

TEST_P(HttpServer, AnswersWithTheStandardLines) {
  scripted_server s(quick_options());
  raw_client c = s.connect();
  const response r = c.ask(get("/fast"));
  EXPECT_EQ(r.status, 200);
  EXPECT_EQ(r.body, "fast");
  EXPECT_TRUE(r.has("Server: syncline"));
  EXPECT_TRUE(r.has("Content-Type: text/plain"));
  EXPECT_TRUE(r.has("Content-Length: 4"));
  EXPECT_EQ(r.header("Date").size(), std::string("Sun, 06 Nov 1994 08:49:37 GMT").size());
  EXPECT_EQ(r.header("X-Request-Id").size(), 13U);
  EXPECT_EQ(r.header("Connection"), "");
}

TEST_P(HttpServer, TellsTheDateOfEachSecond) {
  scripted_server s(quick_options());
  raw_client c = s.connect();
  const auto told = [&] {
    std::tm parts{};
    const std::string text = c.ask(get("/fast")).header("Date");
    const char* const end = ::strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
    EXPECT_TRUE(end != nullptr && *end == '\0') << text;
    return ::timegm(&parts);
  };
  const std::time_t first = told();
  EXPECT_LE(std::abs(std::time(nullptr) - first), 2);
  EXPECT_TRUE(eventually([&] { return told() > first; }));
}

TEST_P(HttpServer, WritesAPipelinedBatchWithOneCall) {
  scripted_server s(quick_options());
  raw_client c = s.connect();
  ASSERT_EQ(c.ask(get("/fast")).status, 200);
  std::string batch;
  for (int i = 0; i < 16; ++i) batch += get("/fast");
  const std::uint64_t before = net::testing::core_writes();
  c.send(batch);
  for (int i = 0; i < 16; ++i) EXPECT_EQ(c.receive_response().body, "fast");
  EXPECT_EQ(net::testing::core_writes() - before, SYNCLINE_COUNTS_CALLS ? 1U : 0U);
}

TEST(HttpServerOverTcp, DoesNotWaitForMoreToSend) {
  scripted_server s;
  raw_client c = s.connect();
  ASSERT_EQ(c.ask(get("/fast")).status, 200);
  int accepted = 0;
  for (int descriptor = 3; descriptor < 1024; ++descriptor) {
    sockaddr_in at{}, from{};
    socklen_t at_size = sizeof at, from_size = sizeof from;
    if (::getsockname(descriptor, reinterpret_cast<sockaddr*>(&at), &at_size) != 0 ||
        at.sin_family != AF_INET ||
        ::getpeername(descriptor, reinterpret_cast<sockaddr*>(&from), &from_size) != 0 ||
        ntohs(at.sin_port) != s.serves.port()) {
      continue;
    }
    ++accepted;
    int on = 0;
    socklen_t size = sizeof on;
    EXPECT_EQ(::getsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, &size), 0);
    EXPECT_NE(on, 0);
  }
  EXPECT_EQ(accepted, 1);
}

TEST_P(HttpServer, KeepsAConnectionForFastAndSlowRequests) {
  scripted_server s(quick_options());
  raw_client c = s.connect();
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(c.ask(get("/fast")).body, "fast");
    EXPECT_EQ(c.ask(get("/slow")).body, "slow");
  }
  EXPECT_EQ(s.serves.connections(), 1U);
}

TEST_P(HttpServer, AnswersAThousandPipelinedRequestsInOrder) {
  scripted_server s(quick_options());
  raw_client c = s.connect();
  std::string bytes;
  for (int i = 0; i < 1000; ++i) bytes += i % 7 == 0 ? get("/slow") : get("/query?" + std::to_string(i));
  std::thread sender([&] { c.send(bytes); });
  for (int i = 0; i < 1000; ++i) {
    const response r = c.receive_response();
    ASSERT_EQ(r.body, i % 7 == 0 ? "slow" : std::to_string(i)) << i;
  }
  sender.join();
}

TEST_P(HttpServer, AnAnswerDoesNotWaitForTheRequestBehindIt) {
  scripted_server s(quick_options());
  raw_client c = s.connect();
  c.send(get("/fast") + get("/slow") + get("/hold"));
  EXPECT_EQ(c.receive_response().body, "fast");
  EXPECT_EQ(c.receive_response().body, "slow");
  s.handles.released = true;
  EXPECT_EQ(c.receive_response().body, "held");
}

TEST_P(HttpServer, AnswersPipelinedLargeBodiesWhole) {
  scripted_server s(quick_options());
  raw_client c = s.connect();
  std::string bytes;
  for (int i = 0; i < 20; ++i) bytes += get("/big") + get("/fast");
  c.send(bytes);
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(c.receive_response().body, *s.handles.big) << i;
    ASSERT_EQ(c.receive_response().body, "fast") << i;
  }
}

TEST_P(HttpServer, TakesARequestByteByByte) {
  scripted_server s(quick_options());
  raw_client c = s.connect();
  for (const std::string& bytes : {get("/fast"), get("/slow")}) {
    for (const char byte : bytes) c.send(std::string_view(&byte, 1));
    EXPECT_EQ(c.receive_response().status, 200);
  }
}

TEST_P(HttpServer, SendsNoBodyForHead204And304) {
  scripted_server s(quick_options());
  raw_client c = s.connect();
  c.send("HEAD /fast HTTP/1.1\r\nHost: a\r\n\r\n");
  const response head = c.receive_response(true);
  EXPECT_TRUE(head.has("Content-Length: 4"));
  const response none = c.ask(get("/no-content"));
  EXPECT_EQ(none.status, 204);
  EXPECT_EQ(none.header("Content-Length"), "");
  const response same = c.ask(get("/not-modified"));
  EXPECT_EQ(same.status, 304);
  EXPECT_TRUE(same.has("ETag: \"1\""));
  EXPECT_EQ(c.ask(get("/fast")).body, "fast");
}

TEST_P(HttpServer, StreamsNoBodyForHead) {
  scripted_server s(quick_options());
  raw_client c = s.connect();
  c.send("HEAD /echo HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(c.receive_response(true).status, 200);
  EXPECT_EQ(c.ask(get("/fast")).body, "fast");
}

TEST_P(HttpServer, AnswersServerWideOptionsItself) {
  scripted_server s(quick_options());
  raw_client c = s.connect();
  const response r = c.ask("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(r.status, 204);
  EXPECT_NE(r.header("Allow").find("PATCH"), std::string::npos);
  EXPECT_EQ(s.handles.requests, 0);
}

TEST_P(HttpServer, ClosesWhenTheClientAsks) {
  scripted_server s(quick_options());
  raw_client c = s.connect();
  const response r = c.ask(get("/fast", "Connection: close\r\n"));
  EXPECT_TRUE(r.has("Connection: close"));
  EXPECT_TRUE(c.closed_in_order());
}

TEST_P(HttpServer, SpeaksHttp10) {
  scripted_server s(quick_options());
  raw_client once = s.connect();
  EXPECT_TRUE(once.ask("GET /fast HTTP/1.0\r\n\r\n").has("Connection: close"));
  EXPECT_TRUE(once.closed_in_order());
  raw_client stays = s.connect();
  EXPECT_TRUE(
      stays.ask("GET /fast HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").has("Connection: keep-alive"));
  EXPECT_EQ(stays.ask("GET /fast HTTP/1.0\r\n\r\n").body, "fast");
  raw_client stream = s.connect();
  const response r = stream.ask("POST /echo HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc");
  EXPECT_EQ(r.header("Transfer-Encoding"), "");
  EXPECT_EQ(r.body, "abc");
}

TEST_P(HttpServer, GivesBackASaneRequestIdAndReplacesAnother) {
  scripted_server s(quick_options());
  raw_client c = s.connect();
  EXPECT_EQ(c.ask(get("/fast", "X-Request-Id: phone-17\r\n")).header("X-Request-Id"), "phone-17");
  EXPECT_EQ(
      c.ask(get("/fast", "X-Request-Id: " + std::string(65, 'x') + "\r\n")).header("X-Request-Id").size(),
      13U);
  EXPECT_EQ(c.ask(get("/fast", "X-Request-Id: a b\r\n")).header("X-Request-Id").size(), 13U);
}

TEST_P(HttpServer, HalfClosedClientStillGetsItsAnswers) {
  scripted_server s(quick_options());
  for (const std::string path : {"/fast", "/slow", "/hold"}) {
    s.handles.released = false;
    raw_client c = s.connect();
    c.send(get(path));
    c.shut_down_writing();
    if (path == "/hold") {
      ASSERT_TRUE(eventually([&] { return s.handles.waiting == 1; }));
    }
    s.handles.released = true;
    EXPECT_EQ(c.receive_response().status, 200) << path;
    EXPECT_TRUE(c.closed_in_order()) << path;
  }
}

TEST_P(HttpServer, AHandlerThatThrowsIsA500AndTheConnectionLives) {
  scripted_server s(quick_options());
  raw_client c = s.connect();
  const response r = c.ask(get("/throw"));
  EXPECT_EQ(r.status, 500);
  EXPECT_TRUE(r.has("Content-Type: application/problem+json"));
  EXPECT_EQ(r.body.find("boom"), std::string::npos);
  EXPECT_EQ(c.ask(get("/nothing")).status, 500);
  EXPECT_EQ(c.ask(get("/silent")).status, 500);
  EXPECT_EQ(c.ask(get("/fast")).status, 200);
}

TEST_P(HttpServer, AStreamThatBreaksHasNoLastChunk) {
  scripted_server s(quick_options());
  raw_client c = s.connect();
  c.send(get("/throw-late"));
  const std::string all = c.receive_all();
  EXPECT_NE(all.find("4\r\nsome\r\n"), std::string::npos);
  EXPECT_EQ(all.find("0\r\n\r\n"), std::string::npos);
}

TEST(HttpServerOverTcp, ListensOnAUnixSocketAndReplacesAStaleOne) {
  const std::string path = ::testing::TempDir() + "syncline-http-" + std::to_string(::getpid()) + ".sock";
  server_options options = quick_options();
  options.address = "unix:" + path;
  for (int round = 0; round < 2; ++round) {
    scripted_server s(options);
    raw_client c(path);
    ASSERT_TRUE(c.connected());
    EXPECT_EQ(c.ask(get("/fast")).body, "fast");
    EXPECT_EQ(c.ask(get("/slow")).body, "slow");
  }
  raw_client gone(path);
  EXPECT_FALSE(gone.connected());
}

// A restart: the old server still drains when the new one takes its path.
TEST(HttpServerOverTcp, OneThatEndsLeavesTheUnixSocketToItsSuccessor) {
  const server_options options = quick_options(testing::form::unix_socket);
  auto old = std::make_unique<scripted_server>(options);
  raw_client held = old->connect();
  held.send(get("/hold"));
  ASSERT_TRUE(eventually([&] { return old->handles.waiting == 1; }));
  std::thread drainer([&] { EXPECT_TRUE(old->serves.drain(60000)); });
  const std::string path = options.address.substr(std::string("unix:").size());
  EXPECT_TRUE(eventually([&] { return !raw_client(path).connected(); }));
  scripted_server successor(options);
  old->handles.released = true;
  drainer.join();
  EXPECT_EQ(held.receive_response().body, "held");
  old.reset();
  EXPECT_EQ(successor.connect().ask(get("/fast")).body, "fast");
}

TEST(HttpServerOverTcp, SaysWhichAddressIsTaken) {
  scripted_server s;
  server_options same = quick_options();
  same.port = s.serves.port();
  server second(s.group, s.handles, same);
  const result<void> started = second.start();
  ASSERT_TRUE(started.has_error());
  EXPECT_EQ(started.error().code, errc::down);
  EXPECT_NE(started.error().detail.find(std::to_string(same.port)), std::string::npos);
}

TEST_P(HttpServer, DrainLetsRequestsFinishAndTellsStreams) {
  scripted_server s(quick_options());
  raw_client idle = s.connect(), held = s.connect(), stream = s.connect();
  EXPECT_EQ(idle.ask(get("/fast")).status, 200);
  held.send(get("/hold"));
  stream.send(get("/watch"));
  ASSERT_TRUE(eventually([&] { return s.handles.waiting == 2; }));
  bool ended = false;
  std::thread drainer([&] { ended = s.serves.drain(10000); });
  EXPECT_TRUE(idle.closed_in_order());
  EXPECT_EQ(stream.receive_response().body, "line\ndraining\n");
  s.handles.released = true;
  const response last = held.receive_response();
  EXPECT_EQ(last.body, "held");
  EXPECT_TRUE(last.has("Connection: close"));
  drainer.join();
  EXPECT_TRUE(ended);
  EXPECT_FALSE(s.connect().connected());
}

TEST_P(HttpServer, DrainEndsWhatIsLeftAtItsDeadline) {
  scripted_server s(quick_options());
  raw_client held = s.connect();
  held.send(get("/hold"));
  ASSERT_TRUE(eventually([&] { return s.handles.waiting == 1; }));
  EXPECT_FALSE(s.serves.drain(50));
  EXPECT_EQ(s.serves.connections(), 0U);
}

TEST(HttpServerOverTcp, CountsRequestsByRouteAndStatus) {
  server_options options = quick_options();
  options.metrics_label = "counted";
  scripted_server s(options);
  raw_client c = s.connect();
  EXPECT_EQ(c.ask(get("/fast")).status, 200);
  EXPECT_EQ(c.ask(get("/throw")).status, 500);
  const std::string text = perf::metrics::scrape();
  EXPECT_NE(text.find("syncline_http_requests_total{listener=\"counted\",route=\"test\",status=\"2xx\"} 1"),
            std::string::npos);
  EXPECT_NE(text.find("syncline_http_requests_total{listener=\"counted\",route=\"test\",status=\"5xx\"} 1"),
            std::string::npos);
  EXPECT_NE(text.find("syncline_http_request_seconds_count{listener=\"counted\",route=\"test\"} 2"),
            std::string::npos);
  EXPECT_NE(text.find("syncline_http_connections{listener=\"counted\"} 1"), std::string::npos);
}

TEST(HeaderBlock, DropsWhatWouldSplitTheResponse) {
  header_block lines;
  lines.add("A", "b").add("X", "a\r\nSet-Cookie: c").add("B\r\nC", "d").add("", "e");
  EXPECT_EQ(lines.text(), "A: b\r\n");
}

}  // namespace
}  // namespace syncline::net::http
