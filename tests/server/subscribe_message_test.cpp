#include "server/subscribe_message.h"

#include <gmock/gmock.h>

namespace syncline::server {
namespace {

using ::testing::HasSubstr;

std::string refusal_of(std::string_view text) {
  const auto read = parse_subscribe_message(text);
  if (read) return "accepted";
  EXPECT_EQ(read.error().code, net::errc::invalid);
  return read.error().detail;
}

TEST(SubscribeMessage, ReadsListsInBothForms) {
  const auto a = parse_subscribe_message(
      R"({"op":"subscribe","id":"home","scope":"user:17,team:4","resources":["users","follows"],"since":"c"})");
  ASSERT_TRUE(a.has_value());
  EXPECT_EQ(a->op, subscribe_message::kind::subscribe);
  EXPECT_EQ(a->id, "\"home\"");
  EXPECT_EQ(a->scope, "user:17,team:4");
  EXPECT_EQ(a->resources, "users,follows");
  EXPECT_EQ(a->since, "c");
  const auto b = parse_subscribe_message(R"({"id":7,"op":"unsubscribe"})");
  ASSERT_TRUE(b.has_value());
  EXPECT_EQ(b->op, subscribe_message::kind::unsubscribe);
  EXPECT_EQ(b->id, "7");
}

TEST(SubscribeMessage, TheIdIsEchoedAsJson) {
  const auto read = parse_subscribe_message(R"({"op":"unsubscribe","id":"a\"b\u0001"})");
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->id, R"("a\"b\u0001")");
}

TEST(SubscribeMessage, SaysWhatItDoesNotUnderstand) {
  EXPECT_THAT(refusal_of("no"), HasSubstr("no JSON"));
  EXPECT_THAT(refusal_of("[]"), HasSubstr("no JSON object"));
  EXPECT_THAT(refusal_of("{}"), HasSubstr("`op` is missing"));
  EXPECT_THAT(refusal_of(R"({"op":"subscribe"})"), HasSubstr("`id` is missing"));
  EXPECT_THAT(refusal_of(R"({"op":"listen","id":1})"), HasSubstr("`op` must be"));
  EXPECT_THAT(refusal_of(R"({"op":"subscribe","id":1.5})"), HasSubstr("`id` must be"));
  EXPECT_THAT(refusal_of(R"({"op":"subscribe","id":""})"), HasSubstr("`id` must be"));
  EXPECT_THAT(refusal_of(R"({"op":"subscribe","id":")" + std::string(65, 'a') + "\"}"),
              HasSubstr("`id` must be"));
  EXPECT_THAT(refusal_of(R"({"op":"subscribe","id":1,"scope":[1]})"), HasSubstr("`scope` must be"));
  EXPECT_THAT(refusal_of(R"({"op":"subscribe","id":1,"resources":{}})"), HasSubstr("`resources` must be"));
  EXPECT_THAT(refusal_of(R"({"op":"subscribe","id":1,"since":5})"), HasSubstr("`since` must be"));
  EXPECT_THAT(refusal_of(R"({"op":"subscribe","id":1,"live":1})"), HasSubstr("`live` is not known"));
  EXPECT_THAT(refusal_of(R"({"op":"unsubscribe","id":1,"scope":"a:1"})"), HasSubstr("nothing else"));
  EXPECT_THAT(refusal_of(R"({"op":[[[[[[1]]]]]],"id":1})"), HasSubstr("no JSON"));
}

}  // namespace
}  // namespace syncline::server
