#include "server/conditions.h"

#include <vector>

#include <gtest/gtest.h>

namespace syncline::server {
namespace {

net::http::request_head head_with(const std::vector<net::http::header_field>& fields) {
  net::http::request_head head;
  head.headers = fields;
  return head;
}

bool unmodified(std::string_view if_none_match, std::string_view etag) {
  const std::vector<net::http::header_field> fields{{"If-None-Match", if_none_match}};
  return known_to_client(head_with(fields), etag) != known_form::none;
}

TEST(Conditions, IfNoneMatchComparesWeakly) {
  EXPECT_TRUE(unmodified("\"a\"", "\"a\""));
  EXPECT_TRUE(unmodified("W/\"a\"", "\"a\""));
  EXPECT_TRUE(unmodified("\"x, y\" , \"a\"", "\"a\""));
  EXPECT_TRUE(unmodified("*", "\"a\""));
  EXPECT_FALSE(unmodified("\"b\"", "\"a\""));
  EXPECT_FALSE(unmodified("a", "\"a\""));
  EXPECT_FALSE(unmodified("\"x\"\"a\"", "\"a\""));
}

TEST(Conditions, SeveralFieldLinesAreOneList) {
  const std::vector<net::http::header_field> fields{{"if-none-match", "\"a\""}, {"If-None-Match", "\"b\""}};
  EXPECT_EQ(known_to_client(head_with(fields), "\"b\""), known_form::plain);
}

TEST(Conditions, WriteConditionHoldsBothLists) {
  const std::vector<net::http::header_field> fields{{"If-Match", "\"a\", \"b\""},
                                                    {"If-None-Match", "W/\"c\""}};
  const auto condition = read_write_condition(head_with(fields));
  ASSERT_TRUE(condition);
  EXPECT_EQ(condition->any_of, (std::vector<std::string>{"\"a\"", "\"b\""}));
  EXPECT_EQ(condition->none_of, std::vector<std::string>{"\"c\""});
}

TEST(Conditions, AWeakTagInIfMatchEqualsNoStrongOne) {
  const std::vector<net::http::header_field> fields{{"If-Match", "W/\"a\""}};
  const auto condition = read_write_condition(head_with(fields));
  ASSERT_TRUE(condition);
  ASSERT_EQ(condition->any_of.size(), 1u);  // not empty: that would be no condition at all
  EXPECT_NE(condition->any_of.front(), "\"a\"");
}

TEST(Conditions, StarStandsForAnyRow) {
  const std::vector<net::http::header_field> match{{"If-Match", "*"}};
  EXPECT_TRUE(read_write_condition(head_with(match))->must_exist);
  const std::vector<net::http::header_field> none{{"If-None-Match", "*"}};
  EXPECT_TRUE(read_write_condition(head_with(none))->must_not_exist);
  EXPECT_TRUE(read_write_condition(head_with({}))->empty());
}

TEST(Conditions, MalformedFieldsAreRefusedForWrites) {
  for (const char* value : {"", "abc", "\"abc", "W/abc", "*, \"a\"", "\"a\", *", "\"a\" b", ","}) {
    const std::vector<net::http::header_field> fields{{"If-Match", value}};
    EXPECT_FALSE(read_write_condition(head_with(fields))) << value;
  }
}

}  // namespace
}  // namespace syncline::server
