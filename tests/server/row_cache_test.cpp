// Keys of rows in L1: what the hit path lays out by hand is what the feed invalidates.
#include "server/row_cache.h"

#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace syncline::server {
namespace {

storage::resource resource_with_key(std::initializer_list<storage::column_type> types) {
  storage::resource of;
  of.name = "things";
  of.ordinal = 0x01020384;  // each byte differs, and one is negative as a char
  for (const storage::column_type type : types) {
    storage::column c;
    c.name = "k" + std::to_string(of.columns.size());
    c.type = type;
    of.key.push_back(of.columns.size());
    of.columns.push_back(c);
  }
  return of;
}

using storage::column_type;

TEST(RowCache, APlainSegmentHasTheKeyThatTheFeedDrops) {
  const auto one = resource_with_key({column_type::int64});
  const auto two = resource_with_key({column_type::int64, column_type::string});
  for (const std::string_view segment : {"0", "17", "-5", "999999999999999999"}) {
    EXPECT_EQ(l1_key_of_segment(one, segment), l1_key(one, segment)) << segment;
  }
  const std::string longest = "1," + std::string(254, 'x');
  for (const std::string_view segment : {std::string_view("17,a.b"), std::string_view(longest)}) {
    EXPECT_EQ(l1_key_of_segment(two, segment), l1_key(two, segment)) << segment;
  }
}

TEST(RowCache, WhatIsNotPlainlyCanonicalTakesTheSlowPath) {
  const auto one = resource_with_key({column_type::int64});
  const auto two = resource_with_key({column_type::int64, column_type::string});
  for (const std::string_view segment : {"", "-0", "017", "+1", "1,2", "1,", ",1", "a", "%31"}) {
    EXPECT_EQ(l1_key_of_segment(one, segment), "") << segment;
  }
  const std::string too_long = "1," + std::string(255, 'x');
  for (const std::string_view segment :
       {std::string_view("1"), std::string_view("1,"), std::string_view(",a"), std::string_view("1,a,b"),
        std::string_view(too_long)}) {
    EXPECT_EQ(l1_key_of_segment(two, segment), "") << segment;
  }
}

}  // namespace
}  // namespace syncline::server
