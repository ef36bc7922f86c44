#include "server/query.h"

#include <gtest/gtest.h>

namespace syncline::server {
namespace {

using net::errc;

TEST(Query, DecodesPercentAndPlus) {
  const auto q = query::parse("q=gr%C3%BCn+tea%2B1&limit=10", {"q", "limit"});
  ASSERT_TRUE(q);
  EXPECT_EQ(*q->find("q"), "grün tea+1");
  EXPECT_EQ(*q->find("limit"), "10");
  EXPECT_EQ(q->find("after"), nullptr);
}

TEST(Query, RefusesWhatItDoesNotExpect) {
  const auto q = query::parse("limti=10", {"limit", "after"});
  ASSERT_FALSE(q);
  EXPECT_EQ(q.error().code, errc::invalid);
  EXPECT_NE(q.error().text().find("`limti`; allowed: limit after"), std::string::npos) << q.error().text();
  EXPECT_FALSE(query::parse("a=1", {}));
}

TEST(Query, RefusesARepeatedParameterEvenWhenSpelledDifferently) {
  EXPECT_FALSE(query::parse("a=1&a=2", {"a"}));
  EXPECT_FALSE(query::parse("a=1&%61=2", {"a"}));
}

TEST(Query, RefusesBadEncodingNulAndWhatIsNoUtf8) {
  for (const char* text : {"a=%", "a=%2", "a=%zz", "a=%00", "a=%ff", "a=%c3", "a=%ed%a0%80"}) {
    EXPECT_FALSE(query::parse(text, {"a"})) << text;
  }
}

TEST(Query, AcceptsEmptyPiecesAndMissingValues) {
  const auto q = query::parse("&a&&b=&", {"a", "b"});
  ASSERT_TRUE(q);
  EXPECT_EQ(*q->find("a"), "");
  EXPECT_EQ(*q->find("b"), "");
}

TEST(Query, FlagIsOneOrZero) {
  const auto q = query::parse("a=1&b=no&c=2", {"a", "b", "c"});
  ASSERT_TRUE(q);
  EXPECT_TRUE(*q->flag("a"));
  EXPECT_FALSE(*q->flag("b"));
  EXPECT_FALSE(*q->flag("absent"));
  EXPECT_FALSE(q->flag("c").has_value());
}

TEST(Query, NumberIsWithinItsRange) {
  const auto q =
      query::parse("a=10&b=&c=-1&d=99999999999999999999&e=1x&f=51", {"a", "b", "c", "d", "e", "f"});
  ASSERT_TRUE(q);
  EXPECT_EQ(*q->number("a", 5, 1, 50), 10u);
  EXPECT_EQ(*q->number("absent", 5, 1, 50), 5u);
  for (const char* name : {"b", "c", "d", "e", "f"}) EXPECT_FALSE(q->number(name, 5, 1, 50)) << name;
}

TEST(Query, EncodedComponentsComeBackTheSame) {
  const std::string text = "a b&c=d/ü,%2C?#+~";
  const std::string encoded = encode_component(text);
  EXPECT_EQ(encoded, "a%20b%26c%3Dd%2F%C3%BC%2C%252C%3F%23%2B~");
  EXPECT_EQ(*decode_segment(encoded), text);
  EXPECT_EQ(*decode_segment("a+b"), "a+b");
}

TEST(Query, SplitsAtCommasAndKeepsEmptyParts) {
  EXPECT_EQ(split_commas("1,2,").size(), 3u);
  EXPECT_EQ(split_commas("").size(), 1u);
  EXPECT_EQ(split_commas("a,b")[1], "b");
}

}  // namespace
}  // namespace syncline::server
