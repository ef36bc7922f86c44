#include "storage/scalar_text.h"

#include <gtest/gtest.h>

#include <limits>

namespace syncline::storage {
namespace {

std::string timestamp(std::string_view text) {
  std::string out;
  switch (append_timestamp(text, out)) {
    case text_fault::none:
      return out;
    case text_fault::format:
      return "format";
    case text_fault::range:
      return "range";
  }
  return {};
}

std::string decimal(std::string_view text) {
  std::string out;
  return append_decimal(text, out) ? out : "refused";
}

std::string real(double value) {
  std::string out;
  append_double(value, out);
  return out;
}

TEST(Timestamp, KeepsUtcAndLocalForms) {
  for (const std::string_view text :
       {"2026-11-20T12:00:00Z", "2026-11-20T12:00:00.5Z", "2026-11-20T12:00:00.123456789Z",
        "2026-11-20 12:00:00", "2026-11-20 12:00:00.250", "2024-02-29T23:59:59Z", "2000-02-29 00:00:00"}) {
    EXPECT_EQ(timestamp(text), text);
  }
}

TEST(Timestamp, OffsetsBecomeUtc) {
  EXPECT_EQ(timestamp("2026-11-20T12:00:00+02:00"), "2026-11-20T10:00:00Z");
  EXPECT_EQ(timestamp("2026-12-31T23:30:15.25-01:45"), "2027-01-01T01:15:15.25Z");
  EXPECT_EQ(timestamp("2024-03-01T00:00:00+00:01"), "2024-02-29T23:59:00Z");
  EXPECT_EQ(timestamp("2026-11-20T12:00:00-00:00"), "2026-11-20T12:00:00Z");
  EXPECT_EQ(timestamp("0001-01-01T00:00:00+00:01"), "range");
  EXPECT_EQ(timestamp("9999-12-31T23:59:59-00:01"), "range");
}

TEST(Timestamp, CalendarIsChecked) {
  for (const std::string_view text :
       {"2026-02-29T00:00:00Z", "1900-02-29 00:00:00", "2026-13-01T00:00:00Z", "2026-00-10T00:00:00Z",
        "2026-04-31T00:00:00Z", "2026-01-00T00:00:00Z", "2026-11-20T24:00:00Z", "2026-11-20T12:60:00Z",
        "2026-11-20T23:59:60Z", "0000-01-01T00:00:00Z", "2026-11-20T12:00:00+24:00",
        "2026-11-20T12:00:00+01:60"}) {
    EXPECT_EQ(timestamp(text), "range") << text;
  }
}

TEST(Timestamp, OtherFormsAreRefused) {
  for (const std::string_view text :
       {"", "2026-11-20", "2026-11-20T12:00:00", "2026-11-20 12:00:00Z", "2026-11-20t12:00:00Z",
        "2026-11-20T12:00:00z", "2026-11-20T12:00Z", "2026-11-20T12:00:00.Z",
        "2026-11-20T12:00:00.1234567890Z", "2026-11-20T12:00:00+0200", "2026-11-20T12:00:00+02",
        " 2026-11-20T12:00:00Z", "2026-11-20T12:00:00Z ", "26-11-20T12:00:00Z", "2026/11/20T12:00:00Z",
        "2026-11-20T12-00-00Z", "2026-1a-20T12:00:00Z", "1732104000"}) {
    EXPECT_EQ(timestamp(text), "format") << text;
  }
}

TEST(Date, CalendarIsChecked) {
  EXPECT_EQ(check_date("2024-02-29"), text_fault::none);
  EXPECT_EQ(check_date("9999-12-31"), text_fault::none);
  for (const std::string_view text : {"2023-02-29", "2026-02-30", "2026-13-01", "0000-01-01"})
    EXPECT_EQ(check_date(text), text_fault::range) << text;
  for (const std::string_view text :
       {"", "2026-1-01", "2026-01-01 ", "20260101", "2026-01-01T00:00:00Z", "-026-01-01"}) {
    EXPECT_EQ(check_date(text), text_fault::format) << text;
  }
}

TEST(Decimal, HasOneSpelling) {
  EXPECT_EQ(decimal("12.50"), "12.50");
  EXPECT_EQ(decimal("+12.50"), "12.50");
  EXPECT_EQ(decimal("-007.5"), "-7.5");
  EXPECT_EQ(decimal("0.10"), "0.10");
  EXPECT_EQ(decimal("000"), "0");
  EXPECT_EQ(decimal("-0.00"), "0.00");
  EXPECT_EQ(decimal("123456789012345678901234567890.123456789"), "123456789012345678901234567890.123456789");
  for (const std::string_view text :
       {"", "-", "+", ".", ".5", "5.", "1e3", "1.2.3", "--1", " 1", "1 ", "1,5", "0x1", "NaN"}) {
    EXPECT_EQ(decimal(text), "refused") << text;
  }
}

TEST(Double, IsShortestAndLooksLikeANumberWithFraction) {
  EXPECT_EQ(real(0.1), "0.1");
  EXPECT_EQ(real(1), "1.0");
  EXPECT_EQ(real(-0.0), "-0.0");
  EXPECT_EQ(real(1e22), "1e+22");
  EXPECT_EQ(real(5e-324), "5e-324");
  EXPECT_EQ(real(std::numeric_limits<double>::max()), "1.7976931348623157e+308");
  EXPECT_EQ(real(123456789012.0), "123456789012.0");
}

TEST(Double, ReadsJsonNumbersOnly) {
  double out = 0;
  EXPECT_EQ(parse_double("-1.5e3", out), text_fault::none);
  EXPECT_EQ(out, -1500);
  EXPECT_EQ(parse_double("1e400", out), text_fault::range);
  for (const std::string_view text : {"", "inf", "nan", "-inf", ".5", "+1", "0x10", "1 ", "1x", "-"})
    EXPECT_EQ(parse_double(text, out), text_fault::format) << text;
}

TEST(Double, PlainFormHasNoExponent) {
  std::string out;
  append_plain_double(12.5, out);
  EXPECT_EQ(out, "12.5");
  out.clear();
  append_plain_double(-std::numeric_limits<double>::denorm_min(), out);
  EXPECT_TRUE(is_decimal(out));
  out.clear();
  append_plain_double(-std::numeric_limits<double>::max(), out);
  EXPECT_TRUE(is_decimal(out));
}

}  // namespace
}  // namespace syncline::storage
