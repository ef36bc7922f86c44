// Clients that send too much, too slowly or nonsense: each is refused or bounded, and the others are served.
#include <gtest/gtest.h>
#include <poll.h>

#include <string>
#include <thread>
#include <vector>

#include "tests/net/differential.h"
#include "tests/net/scripted_server.h"

namespace syncline::net::http {
namespace {

using testing::eventually;
using testing::get;
using testing::raw_client;
using testing::resident_bytes;
using testing::response;
using testing::scripted_server;

class HttpAbuse : public testing::over_each_form {};
INSTANTIATE_TEST_SUITE_P(Over, HttpAbuse,
                         ::testing::Values(testing::form::tcp, testing::form::unix_socket,
                                           testing::form::tls),
                         testing::form_name);

std::string post(const std::string& path, const std::string& line) {
  return "POST " + path + " HTTP/1.1\r\nHost: a\r\n" + line + "\r\n\r\n";
}

// The answers are about 17 MB. What the server holds of them is its output buffer; it must stop reading
// instead of collecting the rest, serve others meanwhile, and go on where it stopped when the client reads.
TEST_P(HttpAbuse, AHundredThousandPipelinedRequestsWithoutReadingAreBounded) {
  constexpr int kRequests = 100000;
  scripted_server s(quick_options(), 1);
  raw_client other = s.connect();
  EXPECT_EQ(other.ask(get("/fast")).body, "fast");
  std::string bytes;
  for (int i = 0; i < kRequests; ++i) bytes += get("/query?" + std::to_string(i));
  raw_client c = s.connect(4096);
  [[maybe_unused]] const std::size_t before = resident_bytes();
  const std::size_t taken = c.send_while_taken(bytes, std::chrono::milliseconds(300));
  // On the one core there is, so a turn of its own shows that the other one's endless work lets it have it.
  for (int i = 0; i < 50; ++i) ASSERT_EQ(other.ask(get("/fast")).body, "fast");
  EXPECT_LT(s.handles.requests, kRequests);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_LT(resident_bytes(), before + 10U * 1024U * 1024U);
#endif
  std::thread sender([&] { c.send(std::string_view(bytes).substr(taken)); });
  for (int i = 0; i < kRequests; ++i) {
    if (c.receive_response().body != std::to_string(i)) {
      ADD_FAILURE() << "answer " << i << " is another's";
      break;
    }
  }
  c.shut_down_writing();
  sender.join();
}

TEST_P(HttpAbuse, AGigabyteOfChunkExtensionIsRefusedLongBefore) {
  scripted_server s(quick_options());
  raw_client c = s.connect();
  const std::string piece(64 * 1024, 'x');
  c.send(post("/sink", "Transfer-Encoding: chunked") + "3;");
  std::size_t sent = 0;
  while (sent < (1U << 30U) && s.handles.last_error == errc::internal && c.send(piece)) sent += piece.size();
  EXPECT_EQ(c.receive_response().status, 400);
  EXPECT_EQ(s.handles.last_error.load(), errc::invalid);
  EXPECT_LT(sent, 64U * 1024U * 1024U);
  EXPECT_EQ(s.connect().ask(get("/fast")).status, 200);
}

TEST_P(HttpAbuse, ExtensionsOfManySmallChunksAreRefusedToo) {
  scripted_server s(quick_options());
  raw_client c = s.connect();
  std::string bytes = post("/sink", "Transfer-Encoding: chunked");
  for (int i = 0; i < 1000; ++i) bytes += "1;" + std::string(250, 'e') + "\r\nx\r\n";
  c.send(bytes);
  EXPECT_EQ(c.receive_response().status, 400);
}

TEST_P(HttpAbuse, TenThousandHeaderLinesWithinTheBytesAreRefusedByTheirNumber) {
  server_options options = quick_options();
  options.limit.header_bytes_max = 1024 * 1024;
  scripted_server s(options);
  raw_client c = s.connect();
  std::string bytes = "GET /fast HTTP/1.1\r\nHost: a\r\n";
  for (int i = 0; i < 10000; ++i) bytes += "X-" + std::to_string(i) + ": y\r\n";
  c.send(bytes + "\r\n");
  const response r = c.receive_response();
  EXPECT_EQ(r.status, 431);
  EXPECT_NE(r.body.find("/problems/too-many-headers"), std::string::npos);
  EXPECT_FALSE(c.was_reset());
}

TEST_P(HttpAbuse, GiantLengthsAreRefusedWithoutWaitingForThem) {
  scripted_server s(quick_options());
  const std::string most = "Content-Length: 9223372036854775807";
  for (const std::string path : {"/whole", "/sink"}) {
    EXPECT_EQ(s.connect().ask(post(path, most)).status, 413) << path;
  }
  const response unread = s.connect().ask(post("/fast", most));
  EXPECT_EQ(unread.status, 200);
  EXPECT_TRUE(unread.has("Connection: close"));
  for (const std::string length :
       {"-1", "-9223372036854775808", "18446744073709551615", "99999999999999999999", "1e9", "0x10"}) {
    EXPECT_EQ(s.connect().ask(post("/sink", "Content-Length: " + length)).status, 400) << length;
  }
}

TEST_P(HttpAbuse, GiantChunksAreRefusedByTheirSizeOrByTheLimit) {
  scripted_server s(quick_options());
  const std::string head = post("/sink", "Transfer-Encoding: chunked");
  for (const std::string size : {"ffffffffffffffff", "8000000000000000", "10000000000000000", "-1"}) {
    EXPECT_EQ(s.connect().ask(head + size + "\r\n").status, 400) << size;
  }
  raw_client large = s.connect();
  large.send(head + "7fffffffffffffff\r\n");
  std::thread sender([&] { large.send(std::string(2 * 1024 * 1024, 'x')); });
  EXPECT_EQ(large.receive_response().status, 413);
  sender.join();
}

// Each byte of a good request in turn becomes one that has no business there. The reference says whether what
// comes of it is refused, or a request nevertheless (a high byte in a value), or no whole request. A
// handshake costs twenty of these requests, so over TLS it is every twentieth place.
TEST_P(HttpAbuse, StrangeBytesAtEveryPlaceAreRefusedOrHarmless) {
  scripted_server s(quick_options());
  const std::string good =
      "POST /sink?a=b HTTP/1.1\r\nHost: a.example:80\r\nX-Text: some text\r\nTransfer-Encoding: "
      "chunked\r\n\r\n"
      "3;x=y\r\nabc\r\n0\r\nT: v\r\n\r\n";
  ASSERT_EQ(s.connect().ask(good).body, "3");
  const std::size_t step = s.tls ? 20 : 1;
  std::size_t refused = 0, harmless = 0;
  for (std::size_t at = 0; at < good.size(); at += step) {
    for (const char byte : {'\0', '\x01', '\x7f', '\x80', '\xff'}) {
      SCOPED_TRACE("byte " + std::to_string(static_cast<unsigned char>(byte)) + " at " + std::to_string(at));
      std::string bytes = good;
      bytes[at] = byte;
      const testing::conversation expected = testing::read_with_reference(bytes, limits());
      raw_client c = s.connect();
      c.send(bytes);
      c.shut_down_writing();
      const response r = c.receive_response();
      EXPECT_FALSE(c.was_reset());
      if (expected.refused != 0) {
        ++refused;
        EXPECT_EQ(r.status / 100, expected.refused);
      } else if (!expected.messages.empty() && expected.messages.front().body_complete) {
        ++harmless;
        EXPECT_EQ(r.status, 200);
        EXPECT_EQ(r.body, "3");
      } else {
        EXPECT_EQ(r.status, 0);
      }
    }
  }
  EXPECT_GT(refused * step, 300U);
  EXPECT_GT(harmless * step, 20U);
  EXPECT_EQ(s.connect().ask(good).body, "3");
}

// A hundred clients (twenty over TLS) that send one byte in turn, and one that wants an answer between the
// bytes.
TEST_P(HttpAbuse, TricklingClientsAreServedAndHoldNobodyUp) {
  scripted_server s(quick_options(), 1);
  raw_client quick = s.connect();
  std::vector<raw_client> slow;
  for (int i = 0; i < (s.tls ? 20 : 100); ++i) slow.push_back(s.connect());
  const std::string bytes = post("/sink", "Content-Length: 3") + "abc";
  for (const char byte : bytes) {
    for (raw_client& each : slow) ASSERT_TRUE(each.send(std::string_view(&byte, 1)));
    ASSERT_EQ(quick.ask(get("/fast")).body, "fast");
  }
  for (raw_client& each : slow) EXPECT_EQ(each.receive_response().body, "3");
}

}  // namespace
}  // namespace syncline::net::http
