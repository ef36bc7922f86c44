#include "storage/mysql/connector/bound_text.h"

#include <array>

#include <gtest/gtest.h>

namespace syncline::storage::mysql {
namespace {

std::string bound(std::string_view sql, std::span<const argument> with) {
  return bound_text(sql, with).value_or("the numbers differ");
}

TEST(BoundText, EveryKindOfArgumentTakesThePlaceOfItsMark) {
  const std::array<argument, 6> with{argument::of_null(),          argument::of_int(-3),
                                     argument::of_unsigned(~0ULL), argument::of_real(0.5),
                                     argument::of_text("it's"),    argument::of_blob("\\x'")};
  const std::string out = bound("?,?,?,?,?,?", with);
  EXPECT_TRUE(out.starts_with("NULL,-3,18446744073709551615,")) << out;
  EXPECT_NE(out.find("'it\\'s'"), std::string::npos) << out;
  EXPECT_NE(out.find("_binary'\\\\x\\''"), std::string::npos) << out;
}

TEST(BoundText, MarksInsideQuotesNamesAndCommentsAreNoArguments) {
  const std::array<argument, 1> one{argument::of_int(7)};
  for (const std::string_view around :
       {"'?'", "'a''?'", "'\\'?'", "\"?\"", "`?`", "`a``?`", "/* ? */", "# ?\n", "-- ?\n"}) {
    const std::string sql = std::string(around) + "?" + std::string(around);
    EXPECT_EQ(bound(sql, one), std::string(around) + "7" + std::string(around));
  }
}

// A text argument that holds a mark, a quote or the begin of a comment is not looked at again.
TEST(BoundText, WhatAnArgumentSaysIsNeverSql) {
  const std::array<argument, 2> with{argument::of_text("? ' /* -- "), argument::of_int(1)};
  EXPECT_EQ(bound("a=? AND b=?", with), "a='? \\' /* -- ' AND b=1");
}

TEST(BoundText, OtherNumbersOfMarksAndArgumentsAreRefused) {
  const std::array<argument, 1> one{argument::of_int(7)};
  EXPECT_FALSE(bound_text("?,?", one).has_value());
  EXPECT_FALSE(bound_text("1", one).has_value());
  EXPECT_FALSE(bound_text("'?'", one).has_value());
}

}  // namespace
}  // namespace syncline::storage::mysql
