#include "storage/value_spelling.h"

#include <gtest/gtest.h>

#include "sample_resource.h"
#include "storage/key.h"

namespace syncline::storage {
namespace {

using form = value_spelling::form;

// "no" where there is none.
std::string canonical(form of, std::uint8_t digits, std::string_view given) {
  std::string out = "-";
  if (append_canonical({of, digits}, given, out)) return out.substr(1);
  return out == "-" ? "no" : "something was appended";
}

TEST(ValueSpelling, TimesBecomeUtcWithTheDigitsOfTheColumn) {
  for (const std::string_view same :
       {"2024-01-02T03:04:05Z", "2024-01-02 03:04:05", "2024-01-02 03:04:05.000", "2024-01-02T05:04:05+02:00",
        "2024-01-01T20:04:05.0-07:00"}) {
    EXPECT_EQ(canonical(form::datetime, 0, same), "2024-01-02T03:04:05Z") << same;
    EXPECT_EQ(canonical(form::datetime, 3, same), "2024-01-02T03:04:05.000Z") << same;
  }
  EXPECT_EQ(canonical(form::datetime, 6, "2024-01-02 03:04:05.25"), "2024-01-02T03:04:05.250000Z");
  EXPECT_EQ(canonical(form::datetime, 2, "2024-01-02 03:04:05.250000000"), "2024-01-02T03:04:05.25Z");
  for (const std::string_view wrong :
       {"", "2024-01-02", "2024-1-2", "2024-01-02T03:04:05", "2024-01-02 03:04:05Z",
        "2024-01-02 03:04:05.255", "2024-01-02t03:04:05z", "2024-01-02 24:00:00", "2024-13-02 03:04:05",
        "2024-01-32 03:04:05", "0000-00-00 00:00", "0000-00-00T00:00:00", "0000-00-00T00:00:00+01:00",
        "0000-00-00 25:00:00"})
    EXPECT_EQ(canonical(form::datetime, 2, wrong), "no") << wrong;
}

TEST(ValueSpelling, DatesThatNoCalendarHasAreStillValuesOfATable) {
  for (const std::string_view date :
       {"2024-02-29", "0000-00-00", "2024-00-00", "2024-02-31", "0000-01-01", "9999-12-31"}) {
    EXPECT_EQ(canonical(form::date, 0, date), date);
    EXPECT_EQ(canonical(form::datetime, 1, std::string(date) + " 00:00:00"),
              std::string(date) + "T00:00:00.0Z");
    EXPECT_EQ(canonical(form::datetime, 0, std::string(date) + "T23:59:59Z"),
              std::string(date) + "T23:59:59Z");
  }
  for (const std::string_view wrong : {"", "2024-1-2", "2024-01-32", "2024-13-01", "24-01-02", "2024/01/02",
                                       "2024-01-02T00:00:00Z", "20240102"})
    EXPECT_EQ(canonical(form::date, 0, wrong), "no") << wrong;
}

TEST(ValueSpelling, DecimalsHaveTheScaleOfTheColumn) {
  for (const std::string_view same : {"1.5", "1.50", "+1.500", "0001.5"})
    EXPECT_EQ(canonical(form::decimal, 2, same), "1.50") << same;
  EXPECT_EQ(canonical(form::decimal, 0, "-7.000"), "-7");
  EXPECT_EQ(canonical(form::decimal, 2, "-0.0"), "0.00");
  EXPECT_EQ(canonical(form::decimal, 30, "1"), "1." + std::string(30, '0'));
  for (const std::string_view wrong : {"", "1.505", ".5", "1.", "1e3", "1,5", "0x1"})
    EXPECT_EQ(canonical(form::decimal, 2, wrong), "no") << wrong;
}

TEST(ValueSpelling, YearsAreNotGuessed) {
  for (const std::string_view year : {"0", "1901", "2155"}) EXPECT_EQ(canonical(form::year, 0, year), year);
  for (const std::string_view wrong : {"70", "00", "0000", "1900", "2156", "-1", "1970.0", ""})
    EXPECT_EQ(canonical(form::year, 0, wrong), "no") << wrong;
}

TEST(ValueSpelling, VerbatimTextsStayAsTheyAre) {
  for (const std::string_view text : {"", "1.50", "2024-1-2"})
    EXPECT_EQ(canonical(form::verbatim, 0, text), text);
}

TEST(ValueSpelling, ExamplesAreCanonical) {
  EXPECT_EQ(canonical_example({form::datetime, 3}), "2026-11-20T12:00:00.000Z");
  EXPECT_EQ(canonical_example({form::decimal, 2}), "12.00");
  for (const value_spelling& how : {value_spelling{form::datetime, 0},
                                    {form::datetime, 6},
                                    {form::decimal, 0},
                                    {form::date, 0},
                                    {form::year, 0}})
    EXPECT_EQ(canonical(how.of, how.digits, canonical_example(how)), canonical_example(how));
}

// Keys and scopes of such columns, in all the ways in which they come.
class ValueSpellingKeys : public ::testing::Test {
 protected:
  ValueSpellingKeys() {
    of_.name = "moments";
    of_.columns = {make_column("at", column_type::timestamp), make_column("price", column_type::decimal)};
    of_.columns[0].spelling = {form::datetime, 0};
    of_.columns[1].spelling = {form::decimal, 2};
    of_.key = {0, 1};
    of_.scopes = {{"at", 0}};
  }
  resource of_;
};

TEST_F(ValueSpellingKeys, EveryWayToGiveAKeyEndsInOneText) {
  const std::string key = "2024-01-02T03:04:05Z,1.50";
  EXPECT_EQ(*key_from_path(of_, "2024-01-02%2003:04:05,%2B1.5"), key);
  EXPECT_EQ(*canonical_key(of_, "2024-01-02T05:04:05+02:00,1.5"), key);
  EXPECT_EQ(*key_of_row(of_, std::vector{cell::of_text("2024-01-02 03:04:05.0"), cell::of_text("1.5")}), key);
  EXPECT_EQ(*canonical_scope_value(of_, of_.scopes[0], "2024-01-02 03:04:05"), "2024-01-02T03:04:05Z");
}

TEST_F(ValueSpellingKeys, WhatNoRowCanHaveIsToldWithTheExpectedForm) {
  for (const auto& wrong :
       {key_from_path(of_, "2024-01-02,1.5"), canonical_key(of_, "2024-01-02,1.5"),
        key_of_row(of_, std::vector{cell::of_text("2024-01-02 03:04:05.5"), cell::of_text("1.5")}),
        canonical_scope_value(of_, of_.scopes[0], "2024-1-2")}) {
    ASSERT_FALSE(wrong);
    EXPECT_EQ(wrong.error().code, net::errc::invalid);
    EXPECT_EQ(wrong.error().detail, "moments.at is timestamp, written as 2026-11-20T12:00:00Z");
  }
  EXPECT_FALSE(canonical_key(of_, "2024-01-02 03:04:05"));
  EXPECT_FALSE(canonical_key(of_, "2024-01-02 03:04:05,1.5,1"));
}

// SQLite: a text is a value of its own.
TEST_F(ValueSpellingKeys, VerbatimKeysKeepTheirText) {
  for (column& c : of_.columns) c.spelling = {};
  EXPECT_EQ(*key_from_path(of_, "2024-1-2,1.5"), "2024-1-2,1.5");
  EXPECT_EQ(*canonical_key(of_, "2024-1-2,1.50"), "2024-1-2,1.50");
  EXPECT_EQ(*canonical_scope_value(of_, of_.scopes[0], "a%2Cb"), "a%2Cb");
  EXPECT_FALSE(canonical_scope_value(of_, of_.scopes[0], "a%2cb"));
}

}  // namespace
}  // namespace syncline::storage
