#include "storage/json_text.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <random>

namespace syncline::storage {
namespace {

std::string compact(std::string_view text) {
  std::string out;
  return append_compact_json(text, out) ? out : "refused";
}

TEST(JsonText, CompactFormKeepsValuesAsWritten) {
  EXPECT_EQ(compact(" { \"a\" : [ 1.50 , -0 , 1E+2 ] ,\r\n\t\"b\" : { } , \"c\":[ ] } \n"),
            R"({"a":[1.50,-0,1E+2],"b":{},"c":[]})");
  EXPECT_EQ(compact("123456789012345678901234567890"), "123456789012345678901234567890");
  EXPECT_EQ(compact(R"( "a b\u00e9\/" )"), R"("a b\u00e9\/")");
  EXPECT_EQ(compact(" true "), "true");
  EXPECT_EQ(compact("[null,false]"), "[null,false]");
}

TEST(JsonText, RefusesWhatIsNotStrictJson) {
  for (const std::string_view text : {"",
                                      " ",
                                      "{",
                                      "}",
                                      "[1,]",
                                      "{\"a\":1,}",
                                      "{a:1}",
                                      "{'a':1}",
                                      "[1 2]",
                                      "// x\n1",
                                      "1 1",
                                      "01",
                                      "+1",
                                      "1.",
                                      ".5",
                                      "1e",
                                      "-",
                                      "NaN",
                                      "Infinity",
                                      "tru",
                                      "nulll",
                                      "\"a",
                                      "\"\n\"",
                                      "\"\\x\"",
                                      "\"\\u12g4\"",
                                      "\"\\u12",
                                      "[}",
                                      "{]",
                                      "[,1]",
                                      "{\"a\"}",
                                      "{\"a\":}",
                                      "{\"a\":1 \"b\":2}",
                                      "\xEF\xBB\xBF"
                                      "1",
                                      "\"\xFF\"",
                                      "\"\xC0\x80\"",
                                      "\"\xED\xA0\x80\"",
                                      "\"\\ud800\"",
                                      "\"\\udc00\"",
                                      "\"\\ud800\\u0041\"",
                                      "\"\\ud800x\"",
                                      "{1:2}",
                                      "{\"a\":1}}"}) {
    EXPECT_EQ(compact(text), "refused") << text;
  }
}

TEST(JsonText, DepthIsBounded) {
  EXPECT_EQ(compact(std::string(kJsonDepthMax, '[') + std::string(kJsonDepthMax, ']')).size(),
            2 * kJsonDepthMax);
  std::string deep(kJsonDepthMax + 1, '[');
  deep.append(kJsonDepthMax + 1, ']');
  EXPECT_EQ(compact(deep), "refused");
  EXPECT_EQ(compact(std::string(1'000'000, '[')), "refused");
}

TEST(JsonText, SaysWhatIsWrongAndWhere) {
  json_scanner scanner("[1, \"\xFF\"]");
  std::string out;
  EXPECT_FALSE(scanner.copy_value(out));
  EXPECT_EQ(scanner.fault(), json_fault::invalid_utf8);
  EXPECT_EQ(scanner.offset(), 5U);
}

TEST(JsonText, Unescapes) {
  std::string out;
  unescape_json(R"(a\"\\\/\b\f\n\r\t\u0041\u00e9\u20AC\ud83d\ude00z)", out);
  EXPECT_EQ(out, "a\"\\/\b\f\n\r\tA\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80z");
}

// Two independent parsers agree on what is JSON, and on what it says.
TEST(JsonText, AgreesWithBoostJson) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  const std::vector<std::string_view> tokens = {"{",     "}",        "[",       "]",      ",",    ":",
                                                "\"a\"", "\"b\\n\"", "1",       "-2.5e3", "true", "null",
                                                " ",     "\"",       "\\u00e9", "0"};
  int valid = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    const std::size_t count = 1 + random() % 7;
    for (std::size_t i = 0; i < count; ++i) text.append(tokens[random() % tokens.size()]);
    boost::system::error_code failure;
    const boost::json::value parsed = boost::json::parse(text, failure);
    std::string out;
    const bool ours = append_compact_json(text, out);
    ASSERT_EQ(ours, !failure.failed()) << text;
    if (!ours) continue;
    ++valid;
    ASSERT_EQ(boost::json::parse(out), parsed) << text;
  }
  EXPECT_GT(valid, 100);
}

}  // namespace
}  // namespace syncline::storage
