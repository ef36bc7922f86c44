#include "storage/line_splitter.h"

#include <gtest/gtest.h>

#include <random>

namespace syncline::storage {
namespace {

// Everything the splitter reports, as "number:line" or "number:TOO LONG".
std::vector<std::string> lines_of(std::string_view input, std::size_t piece_bytes,
                                  std::size_t line_bytes_max = 10) {
  line_splitter splitter(line_bytes_max);
  std::vector<std::string> out;
  const auto drain = [&] {
    std::string_view line;
    std::uint64_t number = 0;
    for (;;) {
      switch (splitter.next(line, number)) {
        case line_splitter::got::line:
          out.push_back(std::to_string(number) + ":" + std::string(line));
          break;
        case line_splitter::got::too_long:
          out.push_back(std::to_string(number) + ":TOO LONG");
          break;
        case line_splitter::got::need_more:
          return true;
        case line_splitter::got::end:
          return false;
      }
    }
  };
  for (std::size_t at = 0; at < input.size(); at += piece_bytes) {
    splitter.feed(input.substr(at, piece_bytes));
    EXPECT_TRUE(drain());
  }
  splitter.finish();
  EXPECT_FALSE(drain());
  EXPECT_FALSE(drain()) << "the end stays the end";
  return out;
}

using lines = std::vector<std::string>;

TEST(LineSplitter, CutsAtLfAndCrLf) {
  EXPECT_EQ(lines_of("a\nb\r\nc", 100), (lines{"1:a", "2:b", "3:c"}));
}

TEST(LineSplitter, CountsEmptyLinesWithoutReportingThem) {
  EXPECT_EQ(lines_of("\n\r\na\n\n\nb\n", 100), (lines{"3:a", "6:b"}));
}

TEST(LineSplitter, SkipsAByteOrderMarkAtTheStartOnly) {
  for (const std::size_t piece : {1U, 2U, 100U}) {
    EXPECT_EQ(lines_of("\xEF\xBB\xBF"
                       "a\n\xEF\xBB\xBF"
                       "b\n",
                       piece),
              (lines{"1:a",
                     "2:\xEF\xBB\xBF"
                     "b"}));
    EXPECT_EQ(lines_of("\xEF\xBB", piece), (lines{"1:\xEF\xBB"}));
    EXPECT_EQ(lines_of("\xEF\xBB\xBF", piece), lines{});
  }
}

TEST(LineSplitter, ReportsALongLineOnceAndGoesOn) {
  for (const std::size_t piece : {1U, 3U, 11U, 12U, 100U}) {
    EXPECT_EQ(
        lines_of("0123456789\n0123456789\r\n0123456789a\nb\n0123456789abcdefghijklmnopqrstuvwxyz\r\nc\n",
                 piece),
        (lines{"1:0123456789", "2:0123456789", "3:TOO LONG", "4:b", "5:TOO LONG", "6:c"}));
    EXPECT_EQ(lines_of("a\n0123456789abc", piece), (lines{"1:a", "2:TOO LONG"}));
  }
}

TEST(LineSplitter, PiecesDoNotMatter) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 300; ++round) {
    std::string input;
    for (int i = 0; i < 200; ++i) input.push_back("ab\r\n\xEF\xBB\xBF\n"[random() % 8]);
    const lines whole = lines_of(input, input.size(), 5);
    for (const std::size_t piece : {1U, 2U, 3U, 7U}) ASSERT_EQ(lines_of(input, piece, 5), whole);
  }
}

TEST(LineSplitter, LinesOfOneFeedStayValidTogether) {
  line_splitter splitter(100);
  splitter.feed("first\nsecond\nthi");
  std::string_view first, second, third;
  std::uint64_t number = 0;
  ASSERT_EQ(splitter.next(first, number), line_splitter::got::line);
  ASSERT_EQ(splitter.next(second, number), line_splitter::got::line);
  ASSERT_EQ(splitter.next(third, number), line_splitter::got::need_more);
  EXPECT_EQ(first, "first");
  EXPECT_EQ(second, "second");
}

}  // namespace
}  // namespace syncline::storage
