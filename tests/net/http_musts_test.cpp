// What RFC 9110 and RFC 9112 demand of a server's answers and connections, as far as no other test shows it;
// docs/http.md lists which test shows what.
#include <gtest/gtest.h>

#include <string>

#include "tests/net/scripted_server.h"

namespace syncline::net::http {
namespace {

using testing::get;
using testing::raw_client;
using testing::response;
using testing::scripted_server;

// RFC 9112 section 2.3: the version is the one the server conforms to, whatever the request's.
TEST(HttpMusts, EveryAnswerSaysHttp11) {
  scripted_server s;
  for (const std::string& bytes :
       {get("/fast"), std::string("GET /fast HTTP/1.0\r\n\r\n"), std::string("nonsense\r\n\r\n")}) {
    EXPECT_TRUE(s.connect().ask(bytes).head.starts_with("HTTP/1.1 ")) << bytes;
  }
}

// RFC 9112 section 9.6: after a request that says close nothing is processed.
TEST(HttpMusts, NothingBehindTheLastRequestIsProcessed) {
  scripted_server s;
  raw_client c = s.connect();
  c.send(get("/fast", "Connection: close\r\n") + get("/fast"));
  EXPECT_EQ(c.receive_response().status, 200);
  c.shut_down_writing();
  EXPECT_TRUE(c.closed_in_order());
  EXPECT_EQ(s.handles.requests, 1);
}

// RFC 9112 sections 6.1 and 6.2: one framing, and chunked only for those who know it.
TEST(HttpMusts, AStreamIsFramedInOneWay) {
  scripted_server s;
  const std::string lines = "Content-Length: 3\r\n\r\nabc";
  const response chunked = s.connect().ask("POST /echo HTTP/1.1\r\nHost: a\r\n" + lines);
  EXPECT_TRUE(chunked.has("Transfer-Encoding: chunked"));
  EXPECT_EQ(chunked.header("Content-Length"), "");
  EXPECT_EQ(chunked.body, "abc");
  const response closed = s.connect().ask("POST /echo HTTP/1.0\r\n" + lines);
  EXPECT_EQ(closed.header("Transfer-Encoding"), "");
  EXPECT_EQ(closed.header("Content-Length"), "");
  EXPECT_TRUE(closed.has("Connection: close"));
}

// RFC 9110 sections 8.6 and 15.3.5, RFC 9112 section 6.1.
TEST(HttpMusts, AnAnswerWithoutContentHasNoFraming) {
  scripted_server s;
  const response none = s.connect().ask(get("/no-content"));
  EXPECT_EQ(none.status, 204);
  EXPECT_EQ(none.header("Content-Length"), "");
  EXPECT_EQ(none.header("Transfer-Encoding"), "");
}

// RFC 9110 section 10.1.1: an HTTP/1.0 client knows no 100.
TEST(HttpMusts, AnExpectationOfHttp10IsIgnored) {
  scripted_server s;
  raw_client c = s.connect();
  c.send("POST /sink HTTP/1.0\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc");
  const response r = c.receive_response();
  EXPECT_EQ(r.status, 200);
  EXPECT_EQ(r.body, "3");
}

// RFC 9110 section 7.8: a protocol that the server does not know is ignored.
TEST(HttpMusts, AnUpgradeToAnUnknownProtocolIsIgnored) {
  scripted_server s;
  raw_client c = s.connect();
  EXPECT_EQ(c.ask(get("/fast", "Connection: Upgrade\r\nUpgrade: unknown/1\r\n")).body, "fast");
  EXPECT_EQ(c.ask(get("/fast")).body, "fast");
}

// RFC 9110 section 5.6.1.2: empty elements of a list are ignored.
TEST(HttpMusts, EmptyElementsOfAListAreIgnored) {
  scripted_server s;
  EXPECT_TRUE(s.connect().ask(get("/fast", "Connection: , ,close,\r\n")).has("Connection: close"));
}

// RFC 9112 section 7.1.1 and 7.1.2: extensions nobody knows are ignored, trailers are no headers.
TEST(HttpMusts, UnknownExtensionsAndTrailersChangeNothing) {
  scripted_server s;
  raw_client c = s.connect();
  EXPECT_EQ(
      c.ask("POST /sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b;c\r\nabc\r\n0;d\r\n"
            "Content-Length: 9\r\nConnection: close\r\n\r\n")
          .body,
      "3");
  EXPECT_EQ(c.ask(get("/fast")).body, "fast");
}

}  // namespace
}  // namespace syncline::net::http
