#include "net/core/gzip.h"
#include "tests/server/rest_fixture.h"

namespace syncline::server::testing {
namespace {

std::string plain(std::string_view packed) {
  net::gzip_decoder decoder;
  std::string out;
  while (!packed.empty()) {
    const auto done = decoder.decode(packed, 1 << 20, out);
    EXPECT_TRUE(done.has_value());
    if (!done) return out;
  }
  EXPECT_TRUE(decoder.complete());
  return out;
}

class RestGzipTest : public RestTest {
 protected:
  void SetUp() override {
    RestTest::SetUp();
    long_name_ = std::string(2000, 'x');
    ASSERT_EQ(send("PUT", "/v1/users/70", "{\"name\":\"" + long_name_ + "\"}").status, 201);
  }
  std::string long_name_;
};

TEST_F(RestGzipTest, AStoredCompressedFormIsServedToWhoTakesIt) {
  const answer whole = get("/v1/users/70");
  ASSERT_EQ(whole.status, 200);
  EXPECT_EQ(whole.header("Content-Encoding"), "");
  EXPECT_EQ(whole.header("Vary"), "Accept-Encoding");
  const answer packed = get("/v1/users/70", {{"Accept-Encoding", "br;q=1, gzip;q=0.5"}});
  EXPECT_FALSE(packed.was_task);
  EXPECT_EQ(packed.header("Content-Encoding"), "gzip");
  EXPECT_EQ(packed.header("Vary"), "Accept-Encoding");
  EXPECT_LT(packed.body.size(), whole.body.size() / 4);
  EXPECT_EQ(plain(packed.body), whole.body);
  EXPECT_NE(packed.header("ETag"), whole.header("ETag"));
  const answer refused = get("/v1/users/70", {{"Accept-Encoding", "gzip;q=0, *"}});
  EXPECT_EQ(refused.body, whole.body);
}

TEST_F(RestGzipTest, EitherETagIsKnownAndMayCondition) {
  const std::string of_whole = get("/v1/users/70").header("ETag");
  const std::string of_packed = get("/v1/users/70", {{"Accept-Encoding", "gzip"}}).header("ETag");
  ASSERT_NE(of_packed, "");
  for (const std::string& sent : {of_whole, of_packed}) {
    const answer a = get("/v1/users/70", {{"If-None-Match", sent}, {"Accept-Encoding", "gzip"}});
    EXPECT_EQ(a.status, 304);
    EXPECT_EQ(a.header("ETag"), sent) << "the form that the client has";
    EXPECT_EQ(a.header("Content-Encoding"), "");
  }
  EXPECT_EQ(send("PATCH", "/v1/users/70", R"({"age":5})", {{"If-Match", "\"other-gz\""}}).status, 412);
  EXPECT_EQ(send("PATCH", "/v1/users/70", R"({"age":5})", {{"If-Match", of_packed}}).status, 200);
}

TEST_F(RestGzipTest, PagesAreCompressedWhenTheyAreMade) {
  const answer whole = get("/v1/users?limit=50");
  const answer packed = get("/v1/users?limit=50", {{"Accept-Encoding", "gzip"}});
  EXPECT_EQ(packed.header("Content-Encoding"), "gzip");
  EXPECT_EQ(plain(packed.body), whole.body);
  EXPECT_EQ(packed.header("Link"), whole.header("Link"));
  const answer known =
      get("/v1/users?limit=50", {{"Accept-Encoding", "gzip"}, {"If-None-Match", packed.header("ETag")}});
  EXPECT_EQ(known.status, 304);
}

TEST_F(RestGzipTest, SmallAnswersAreLeftAsTheyAre) {
  const answer a = get("/v1/users/1", {{"Accept-Encoding", "gzip"}});
  EXPECT_EQ(a.header("Content-Encoding"), "");
  EXPECT_EQ(a.header("Vary"), "");
}

TEST_F(RestGzipTest, AWriteChangesBothForms) {
  ASSERT_EQ(get("/v1/users/70", {{"Accept-Encoding", "gzip"}}).status, 200);
  ASSERT_EQ(send("PATCH", "/v1/users/70", R"({"age":41})").status, 200);
  const answer packed = get("/v1/users/70", {{"Accept-Encoding", "gzip"}});
  EXPECT_NE(plain(packed.body).find("\"age\":41"), std::string::npos);
}

}  // namespace
}  // namespace syncline::server::testing
