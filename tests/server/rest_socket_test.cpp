// Reads and writes of rows through real connections, and what a row from L1 costs there: no allocation, from
// the socket to the socket (not counted under a sanitizer).
#include <string>

#include "net/http/server.h"
#include "tests/net/raw_client.h"
#include "tests/net/watched_memory.h"
#include "tests/server/rest_fixture.h"

namespace syncline::server::testing {
namespace {

namespace memory = syncline::testing::memory;
using net::http::testing::raw_client;
using net::http::testing::response;

class RestSocketTest : public RestTest {
 protected:
  void SetUp() override {
    RestTest::SetUp();
    listener_ = std::make_unique<net::http::server>(cores_, *router_, net::http::server_options{});
    const auto started = listener_->start();
    ASSERT_TRUE(started) << started.error().text();
  }
  void TearDown() override {
    EXPECT_TRUE(!listener_ || listener_->drain(5000));
    listener_.reset();
    RestTest::TearDown();
  }
  [[nodiscard]] raw_client connect() const { return raw_client(listener_->port()); }
  static std::string request(const std::string& line, const std::string& headers = {},
                             const std::string& body = {}) {
    std::string out = line + " HTTP/1.1\r\nHost: a\r\n" + headers;
    if (!body.empty()) out += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    return out + "\r\n" + body;
  }

  std::unique_ptr<net::http::server> listener_;
};

TEST_F(RestSocketTest, RowsAreReadAndWrittenOverOneConnection) {
  raw_client c = connect();
  const response first = c.ask(request("GET /v1/users/1"));
  EXPECT_EQ(first.status, 200);
  EXPECT_EQ(first.header("Content-Type"), "application/json");
  const response same = c.ask(request("GET /v1/users/1", "If-None-Match: " + first.header("ETag") + "\r\n"));
  EXPECT_EQ(same.status, 304);
  EXPECT_EQ(same.body, "");
  const response created =
      c.ask(request("POST /v1/users", "Content-Type: application/json\r\n", R"({"id":70,"name":"S"})"));
  EXPECT_EQ(created.status, 201);
  EXPECT_EQ(created.header("Location"), "/v1/users/70");
  EXPECT_EQ(c.ask(request("DELETE /v1/users/70")).status, 204);
  EXPECT_EQ(c.ask(request("GET /v1/users/70")).status, 404);
  EXPECT_EQ(c.ask(request("GET /v1/users/2/profile")).status, 200);
}

TEST_F(RestSocketTest, PipelinedReadsAreAnsweredInOrder) {
  raw_client c = connect();
  const std::string both = request("GET /v1/users/1?fields=id") + request("GET /v1/users/99") +
                           request("GET /v1/users/3?fields=id");
  c.send(both);
  EXPECT_EQ(c.receive_response().body, R"({"id":1})");
  EXPECT_EQ(c.receive_response().status, 404);
  EXPECT_EQ(c.receive_response().body, R"({"id":3})");
}

TEST_F(RestSocketTest, ABodyOverTheLimitIsRefused) {
  raw_client c = connect();
  const std::string body = R"({"name":")" + std::string(5000, 'x') + "\"}";
  const response refused = c.ask(request("POST /v1/users", "Content-Type: application/json\r\n", body));
  EXPECT_EQ(refused.status, 413);
  EXPECT_EQ(refused.header("Content-Type"), "application/problem+json");
  EXPECT_EQ(watched_->writes, 0);
}

TEST_F(RestSocketTest, AHitOfL1AllocatesNothing) {
  raw_client c = connect();
  const response row = c.ask(request("GET /v1/users/1"));
  const std::string whole = request("GET /v1/users/1");
  const std::string known = request("GET /v1/users/1", "If-None-Match: " + row.header("ETag") + "\r\n");
  const std::string several = request("GET /v1/follows/1,2");
  EXPECT_EQ(c.ask(several).status, 200);
  const std::uint64_t before = memory::of_cores();
  for (const bool counted : {false, true}) {  // the first round fills buffers and registers metrics
    memory::count_cores(counted);
    for (int i = 0; i < 100; ++i) {
      ASSERT_EQ(c.ask(whole).status, 200);
      ASSERT_EQ(c.ask(known).status, 304);
      ASSERT_EQ(c.ask(several).status, 200);
    }
    memory::count_cores(false);
  }
  EXPECT_EQ(memory::of_cores(), before);
  if (!memory::counts()) return;
  memory::count_cores(true);  // a task does allocate, which shows that the count works
  EXPECT_EQ(c.ask(request("GET /v1/users/1?refresh=1")).status, 200);
  memory::count_cores(false);
  EXPECT_GT(memory::of_cores(), before);
}

}  // namespace
}  // namespace syncline::server::testing
