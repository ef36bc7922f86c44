// Live gzip streams over time: what they hold while they are quiet, and that they go on as the same gzip
// member.
#include <gtest/gtest.h>

#include "tests/e2e/small_server.h"

namespace syncline::e2e {
namespace {

TEST(GzipStream, AQuietStreamGivesItsDeflateStateBackAndGoesOn) {
  small_server server({"cores.count=1", "sync.keep_alive_s=1"});
  constexpr std::size_t kStreams = 30;
  constexpr double kStateBytes = 70 * 1024;
  std::vector<http_client> streams;
  for (std::size_t i = 0; i < kStreams; ++i) {
    streams.emplace_back(server.port());
    ASSERT_EQ(streams.back().open_stream("/v1/sync?resources=items&live=1", {"Accept-Encoding: gzip"}), 200);
    ASSERT_EQ(streams.back().last_head().header("content-encoding"), "gzip");
    read_until_up_to_date(streams.back());
  }
  for (int round = 1; round <= 2; ++round) {
    // What is left are spare states of the core; thirty streams would hold thirty.
    EXPECT_TRUE(eventually([&] { return server.metric("syncline_deflate_bytes") <= 8 * kStateBytes; }))
        << round;
    const answer written = server.send("PUT", "/v1/items/1",
                                       R"({"id":1,"owner":1,"note":"round )" + std::to_string(round) + "\"}");
    ASSERT_EQ(written.status / 100, 2) << written.body;
    for (http_client& each : streams) {
      const auto news = next_news(each);  // inflated by zlib, which ends at the end of a member
      ASSERT_TRUE(news);
      EXPECT_NE(news->find("round " + std::to_string(round)), std::string::npos) << *news;
      read_until_up_to_date(each);
    }
  }
}

}  // namespace
}  // namespace syncline::e2e
