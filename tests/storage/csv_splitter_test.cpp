#include <gtest/gtest.h>

#include <random>

#include "storage/line_splitter.h"

namespace syncline::storage {
namespace {

using records = std::vector<std::string>;

// Everything the splitter reports: "number:[field][field]", quoted fields in <>, or "number:what went wrong".
records csv_records(std::string_view input, std::size_t piece_bytes = 1000,
                    std::size_t record_bytes_max = 100) {
  csv_splitter splitter(record_bytes_max);
  records out;
  const auto drain = [&] {
    std::vector<row_reader::csv_field> fields;
    std::uint64_t number = 0;
    std::string detail;
    for (;;) {
      const csv_splitter::got what = splitter.next(fields, number, detail);
      if (what == csv_splitter::got::need_more) return true;
      if (what == csv_splitter::got::end) return false;
      std::string text = std::to_string(number) + ":";
      if (what == csv_splitter::got::too_long) text += "TOO LONG";
      if (what == csv_splitter::got::malformed) text += detail;
      if (what == csv_splitter::got::record) {
        for (const auto& f : fields)
          text.append(f.quoted ? "<" : "[").append(f.text).append(f.quoted ? ">" : "]");
      }
      out.push_back(std::move(text));
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

TEST(CsvSplitter, CutsPlainRecords) {
  EXPECT_EQ(csv_records("a,b\r\nc,,\n,d"), (records{"1:[a][b]", "2:[c][][]", "3:[][d]"}));
}

TEST(CsvSplitter, QuotedFieldsKeepCommasQuotesAndLineEnds) {
  EXPECT_EQ(csv_records("\"a,b\",\"say \"\"hi\"\"\",\"\"\n\"x\r\ny\nz\"\r\nlast\n"),
            (records{"1:<a,b><say \"hi\"><>", "2:<x\r\ny\nz>", "5:[last]"}));
  EXPECT_EQ(csv_records("\"\"\"\""), (records{"1:<\">"}));
  EXPECT_EQ(csv_records("\"\"\n"), (records{"1:<>"}));
}

TEST(CsvSplitter, CountsEmptyLinesWithoutReportingThem) {
  EXPECT_EQ(csv_records("\n\r\na\n\n\nb"), (records{"3:[a]", "6:[b]"}));
  EXPECT_EQ(csv_records(""), records{});
}

TEST(CsvSplitter, SkipsAByteOrderMark) {
  for (const std::size_t piece : {1U, 2U, 100U})
    EXPECT_EQ(csv_records("\xEF\xBB\xBF\"a\",b\n", piece), (records{"1:<a>[b]"}));
}

TEST(CsvSplitter, MalformedRecordDoesNotCostTheNext) {
  EXPECT_EQ(csv_records("a,b\"c,d\nok\n"), (records{"1:a quote inside an unquoted field", "2:[ok]"}));
  EXPECT_EQ(csv_records("\"a\"b,c\nok\n"), (records{"1:text after a closing quote", "2:[ok]"}));
  EXPECT_EQ(csv_records("\"a\" ,c\nok\n"), (records{"1:text after a closing quote", "2:[ok]"}));
  EXPECT_EQ(csv_records("\"a\"\r,c\nok\n"), (records{"1:text after a closing quote", "2:[ok]"}));
  EXPECT_EQ(csv_records("ok\n\"a\nb\nc"), (records{"1:[ok]", "2:an unclosed quote"}));
}

TEST(CsvSplitter, ReportsALongRecordOnceAndGoesOnBehindItsQuotes) {
  for (const std::size_t piece : {1U, 3U, 6U, 100U}) {
    EXPECT_EQ(csv_records("12345\n12345\r\n123456\nb\n\"1\n2\n3\n\"\"4\",x\nc\n", piece, 5),
              (records{"1:[12345]", "2:[12345]", "3:TOO LONG", "4:[b]", "5:TOO LONG", "9:[c]"}));
    EXPECT_EQ(csv_records("a\n\"1234567890\n", piece, 5), (records{"1:[a]", "2:TOO LONG"}));
  }
}

TEST(CsvSplitter, BoundsTheNumberOfFields) {
  const std::string most(kCsvFieldsMax - 1, ',');
  const records got_most = csv_records(most + "\n", 1000, 10'000);
  ASSERT_EQ(got_most.size(), 1U);
  EXPECT_EQ(got_most[0].size(), 2 + 2 * kCsvFieldsMax);
  EXPECT_EQ(csv_records(most + ",\nok\n", 1000, 10'000), (records{"1:too many fields", "2:[ok]"}));
}

TEST(CsvSplitter, PiecesDoNotMatter) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 500; ++round) {
    std::string input;
    for (int i = 0; i < 200; ++i) input.push_back("ab,,\"\"\r\n\n\""[random() % 10]);
    for (const std::size_t bound : {4U, 20U, 1000U}) {
      const records whole = csv_records(input, input.size(), bound);
      for (const std::size_t piece : {1U, 2U, 3U, 7U})
        ASSERT_EQ(csv_records(input, piece, bound), whole) << input;
    }
  }
}

}  // namespace
}  // namespace syncline::storage
