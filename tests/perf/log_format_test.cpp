#include "perf/log_format.h"

#include <gtest/gtest.h>

namespace syncline::perf {
namespace {

std::string value(std::string_view v) {
  std::string out;
  append_log_value(out, v);
  return out;
}

std::string key(std::string_view k) {
  std::string out;
  append_log_key(out, k);
  return out;
}

std::string time_text(std::int64_t ms) {
  std::string out;
  append_log_time(out, ms);
  return out;
}

TEST(LogFormat, PlainValuesStayAsTheyAre) {
  EXPECT_EQ(value("plain"), "plain");
  EXPECT_EQ(value("/v1/users/17?limit:10"), "/v1/users/17?limit:10");
}

TEST(LogFormat, ValuesThatWouldEndEarlyAreQuoted) {
  EXPECT_EQ(value(""), "\"\"");
  EXPECT_EQ(value("a b"), "\"a b\"");
  EXPECT_EQ(value("a=b"), "\"a=b\"");
  EXPECT_EQ(value("say \"hi\""), "\"say \\\"hi\\\"\"");
  EXPECT_EQ(value("c:\\x"), "\"c:\\\\x\"");
}

TEST(LogFormat, NoByteCanStartANewLineOrDriveATerminal) {
  EXPECT_EQ(value("a\nlevel=error"), "\"a\\nlevel=error\"");
  EXPECT_EQ(value("a\r\n\t"), "\"a\\r\\n\\t\"");
  EXPECT_EQ(value(std::string_view("\0\x1b[2J\x7f", 6)), "\"\\u0000\\u001b[2J\\u007f\"");
  EXPECT_EQ(value("\xc2\x9b"
                  "2J"),
            "\"\\u009b2J\"");                       // C1 CSI
  EXPECT_EQ(value("\xe2\x80\xa8"), "\"\\u2028\"");  // line separator
  EXPECT_EQ(value("\xe2\x80\xae"
                  "abc"),
            "\"\\u202eabc\"");  // right-to-left override
}

TEST(LogFormat, ValidUtf8IsKeptAndInvalidIsReplaced) {
  EXPECT_EQ(value("J\xc3\xbcrg"), "\"J\xc3\xbcrg\"");
  EXPECT_EQ(value("\xf0\x9f\x98\x80"), "\"\xf0\x9f\x98\x80\"");
  EXPECT_EQ(value("\xff"), "\"\\ufffd\"");
  EXPECT_EQ(value("\xc0\xaf"), "\"\\ufffd\\ufffd\"");                        // overlong
  EXPECT_EQ(value("\xed\xa0\x80"), "\"\\ufffd\\ufffd\\ufffd\"");             // surrogate
  EXPECT_EQ(value("\xe2\x82"), "\"\\ufffd\\ufffd\"");                        // cut short
  EXPECT_EQ(value("\xf4\x90\x80\x80"), "\"\\ufffd\\ufffd\\ufffd\\ufffd\"");  // above U+10FFFF
}

TEST(LogFormat, EveryByteGivesOnePrintableLine) {
  for (int first = 0; first < 256; ++first) {
    for (int second = 0; second < 256; ++second) {
      const char text[] = {static_cast<char>(first), static_cast<char>(second)};
      for (const char c : value({text, 2})) {
        const auto byte = static_cast<unsigned char>(c);
        ASSERT_TRUE(byte >= 0x20 && byte != 0x7f) << first << ' ' << second;
      }
    }
  }
}

TEST(LogFormat, KeysHoldOnlyWordCharacters) {
  EXPECT_EQ(key("http.status-code_2"), "http.status-code_2");
  EXPECT_EQ(key("a b=\"c\"\n"), "a_b__c__");
  EXPECT_EQ(key(""), "_");
}

TEST(LogFormat, TimeIsRfc3339InUtcWithMilliseconds) {
  EXPECT_EQ(time_text(0), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(time_text(951'782'399'007), "2000-02-28T23:59:59.007Z");
  EXPECT_EQ(time_text(951'782'400'000), "2000-02-29T00:00:00.000Z");
  EXPECT_EQ(time_text(-1), "1969-12-31T23:59:59.999Z");
}

}  // namespace
}  // namespace syncline::perf
