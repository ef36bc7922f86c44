// Who holds a WebSocket of /v1/subscribe and does not behave: the settings that end it, and how it is told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include "tests/e2e/small_server.h"
#include "tests/e2e/websocket_client.h"

namespace syncline::e2e {
namespace {

constexpr const char* kOpen = R"(syncline_websocket_open{listener="public"})";

std::string timeouts(std::string_view of) {
  return fmt::format(R"(syncline_websocket_timeouts_total{{kind="{}",listener="public"}})", of);
}

TEST(SubscribeLimits, WhoAnswersNoPingIsDroppedAndWhoDoesStays) {
  const small_server server({"subscribe.ping_interval_ms=100", "subscribe.pong_timeout_ms=2000"});
  const websocket_client silent(server.port(), "/v1/subscribe");
  websocket_client lives(server.port(), "/v1/subscribe");
  ASSERT_EQ(server.metric(kOpen), 2);
  // Answers pings while it waits.
  EXPECT_TRUE(eventually(
      [&] {
        EXPECT_FALSE(lives.next_message(100).has_value());
        return server.metric(kOpen) < 2;
      },
      30'000));
  EXPECT_EQ(server.metric(timeouts("pong")), 1);
  EXPECT_EQ(lives.close_code(), 0);
  lives.send_text(R"({"op":"subscribe","id":1,"resources":"items"})");
  EXPECT_THAT(lives.next_message(10'000).value_or(""), ::testing::HasSubstr("subscribed"));
}

TEST(SubscribeLimits, NobodyIsPingedWhereTheIntervalIsZero) {
  const small_server server({"subscribe.ping_interval_ms=0", "subscribe.pong_timeout_ms=10"});
  websocket_client silent(server.port(), "/v1/subscribe");
  const double sent = server.metric(R"(syncline_websocket_sent_bytes_total{listener="public"})");
  EXPECT_FALSE(silent.next_message(500).has_value());
  EXPECT_EQ(silent.close_code(), 0);
  EXPECT_EQ(server.metric(R"(syncline_websocket_sent_bytes_total{listener="public"})"), sent);
}

TEST(SubscribeLimits, AMessageThatDoesNotEndInTimeClosesWith1008) {
  const small_server server({"subscribe.message_timeout_ms=300"});
  websocket_client client(server.port(), "/v1/subscribe");
  client.send_frame(1, R"({"op":"subscribe",)", false);
  EXPECT_FALSE(client.next_message(10'000).has_value());
  EXPECT_EQ(client.close_code(), 1008);
  EXPECT_EQ(client.close_reason(), "the message took too long");
  EXPECT_EQ(server.metric(timeouts("message")), 1);
}

// A burst of questions has answers of several times its size; with the smallest queue they do not fit. (Who
// only reads slowly is not read any more, and so never comes here.)
TEST(SubscribeLimits, WhoAsksForMoreThanItsQueueHoldsIsToldToComeBack) {
  const small_server server({"subscribe.send_queue_bytes_max=65536"});
  std::optional<websocket_client> client(std::in_place, server.port(), "/v1/subscribe");
  const std::vector<std::string> burst(1500, R"({"op":"unsubscribe","id":1})");
  std::size_t answers = 0;
  for (int i = 0; i < 50 && client->close_code() == 0; ++i) {
    client->send_texts(burst);
    for (std::size_t n = 0; n < burst.size() && client->next_message(10'000); ++n) ++answers;
  }
  EXPECT_GT(answers, 100U);
  EXPECT_EQ(client->close_code(), 1013);
  EXPECT_EQ(client->close_reason(), "answers are not read");
  EXPECT_GT(server.metric(R"(syncline_websocket_overloaded_total{listener="public"})"), 0);
  client.reset();
  EXPECT_TRUE(eventually([&] { return server.metric(kOpen) == 0; }));
}

}  // namespace
}  // namespace syncline::e2e
