// Bodies that stream in and out.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <thread>

#include "tests/net/scripted_server.h"

namespace syncline::net::http {
namespace {

using testing::eventually;
using testing::get;
using testing::raw_client;
using testing::resident_bytes;
using testing::response;
using testing::scripted_server;

class HttpStream : public testing::over_each_form {};
INSTANTIATE_TEST_SUITE_P(Over, HttpStream,
                         ::testing::Values(testing::form::tcp, testing::form::unix_socket,
                                           testing::form::tls),
                         testing::form_name);

TEST_P(HttpStream, EchoesAChunkedUploadOfAHundredMegabytesInFlatMemory) {
  scripted_server s(quick_options());
  raw_client c = s.connect();
  constexpr std::size_t kChunk = 100000, kChunks = 1000;
  c.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
  EXPECT_NE(c.receive_until("\r\n\r\n").find("200 OK"), std::string::npos);
  const std::string chunk = "186a0\r\n" + std::string(kChunk, 'z') + "\r\n";
  [[maybe_unused]] const std::size_t before = resident_bytes();
  std::thread sender([&] {
    for (std::size_t i = 0; i < kChunks; ++i) ASSERT_TRUE(c.send(chunk));
    c.send("0\r\n\r\n");
  });
  // Counted in a buffer of its own, so that only the server could make memory grow.
  std::size_t received = 0, most = 0;
  std::string last;
  for (std::string_view piece = c.receive_piece(); !piece.empty(); piece = c.receive_piece()) {
    received += static_cast<std::size_t>(std::count(piece.begin(), piece.end(), 'z'));
    last.append(piece.substr(piece.size() - std::min<std::size_t>(piece.size(), 7)));
    last.erase(0, last.size() - std::min<std::size_t>(last.size(), 7));
    most = std::max(most, resident_bytes());
  }
  sender.join();
  EXPECT_EQ(received, kChunk * kChunks);
  EXPECT_EQ(last, "\r\n0\r\n\r\n");
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  // A sanitizer keeps freed memory in quarantine, so its resident set says nothing about the server's.
  EXPECT_LT(most, before + 20U * 1024U * 1024U);
#endif
}

// The client sends without reading: the server must stop reading instead of collecting what it cannot send,
// so soon the kernel takes no more of the client's bytes. Then the client reads, and everything comes.
TEST_P(HttpStream, StopsReadingWhileThePeerDoesNotRead) {
  scripted_server s(quick_options());
  raw_client c = s.connect(4096);
  constexpr std::size_t kBytes = 50'000'000;
  c.send("POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: " + std::to_string(kBytes) +
         "\r\n\r\n");
  const std::string body(kBytes, 'q');
  const std::size_t taken = c.send_while_taken(body, std::chrono::milliseconds(300));
  EXPECT_LT(taken, kBytes / 2);
  std::thread sender([&] { c.send(std::string_view(body).substr(taken)); });
  EXPECT_NE(c.receive_until("\r\n\r\n").find("200 OK"), std::string::npos);
  const response rest = c.receive_chunks();
  sender.join();
  EXPECT_EQ(rest.body.size(), kBytes);
  EXPECT_EQ(rest.body, body);
}

TEST_P(HttpStream, SendsContinueOnlyWhenTheBodyIsWanted) {
  scripted_server s(quick_options());
  raw_client wanted = s.connect();
  wanted.send("POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(wanted.receive_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_EQ(wanted.ask("abc").body, "3");
  EXPECT_EQ(wanted.ask(get("/fast")).status, 200);

  raw_client unwanted = s.connect();
  const response r =
      unwanted.ask("POST /fast HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(r.status, 200);
  EXPECT_TRUE(r.has("Connection: close"));

  raw_client eager = s.connect();
  EXPECT_EQ(
      eager.ask("POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc")
          .body,
      "3");
}

TEST_P(HttpStream, PipelinesRequestsBehindBodies) {
  scripted_server s(quick_options());
  raw_client c = s.connect();
  std::string bytes;
  for (int i = 0; i < 100; ++i) {
    bytes += "POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n" + std::string(5000, 'x');
    bytes +=
        "POST /sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
        "chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    bytes += get("/fast");
  }
  std::thread sender([&] { c.send(bytes); });
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(c.receive_response().body, "5000") << i;
    ASSERT_EQ(c.receive_response().body, "5") << i;
    ASSERT_EQ(c.receive_response().body, "fast") << i;
  }
  sender.join();
}

TEST_P(HttpStream, ReadsABodyThatArrivesByteByByte) {
  scripted_server s(quick_options());
  raw_client c = s.connect();
  const std::string bytes =
      "POST /sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nT: v\r\n\r\n" +
      get("/fast");
  for (const char byte : bytes) c.send(std::string_view(&byte, 1));
  EXPECT_EQ(c.receive_response().body, "3");
  EXPECT_EQ(c.receive_response().body, "fast");
}

TEST_P(HttpStream, TellsAWaitingStreamThatItsPeerIsGone) {
  scripted_server s(quick_options());
  for (const bool by_reset : {false, true}) {
    const int before = s.handles.cancelled;
    raw_client c = s.connect();
    c.send(get("/watch"));
    EXPECT_NE(c.receive_until("line\n").find("line"), std::string::npos);
    ASSERT_TRUE(eventually([&] { return s.handles.waiting == 1; }));
    by_reset ? c.reset() : c.close();
    EXPECT_TRUE(eventually([&] { return s.handles.cancelled == before + 1; }));
  }
  EXPECT_TRUE(eventually([&] { return s.serves.connections() == 0; }));
}

TEST_P(HttpStream, NoticesAGonePeerBehindUnreadBytes) {
  scripted_server s(quick_options());
  raw_client c = s.connect();
  c.send(get("/watch") + get("/fast"));
  ASSERT_TRUE(eventually([&] { return s.handles.waiting == 1; }));
  c.close();
  EXPECT_TRUE(eventually([&] { return s.handles.cancelled == 1; }));
}

TEST_P(HttpStream, ResetCancelsAPlainRequestThatWaits) {
  scripted_server s(quick_options());
  raw_client c = s.connect();
  c.send(get("/hold"));
  ASSERT_TRUE(eventually([&] { return s.handles.waiting == 1; }));
  c.reset();
  EXPECT_TRUE(eventually([&] { return s.handles.waiting == 0; }));
}

TEST_P(HttpStream, EndsABodyReaderWhosePeerLeaves) {
  scripted_server s(quick_options());
  raw_client c = s.connect();
  c.send("POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc");
  ASSERT_TRUE(eventually([&] { return s.handles.received == 3; }));
  c.close();
  EXPECT_TRUE(eventually([&] { return s.handles.last_error == errc::closed; }));
  EXPECT_TRUE(eventually([&] { return s.serves.connections() == 0; }));
}

TEST_P(HttpStream, ServerMayDieWhileStreamsRun) {
  for (int round = 0; round < 3; ++round) {
    scripted_server s(quick_options());
    raw_client endless = s.connect(), watch = s.connect(), sink = s.connect();
    endless.send(get("/endless"));
    watch.send(get("/watch"));
    sink.send("POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc");
    ASSERT_TRUE(eventually([&] { return s.handles.tasks == 3; }));
  }
}

TEST_P(HttpStream, CoresMayEndBeforeTheServer) {
  testing::scripted_server s(quick_options());
  raw_client watch = s.connect(), idle = s.connect();
  EXPECT_EQ(idle.ask(get("/fast")).status, 200);
  watch.send(get("/watch"));
  ASSERT_TRUE(eventually([&] { return s.handles.waiting == 1; }));
  s.group.stop();
}

}  // namespace
}  // namespace syncline::net::http
