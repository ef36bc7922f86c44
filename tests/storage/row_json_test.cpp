#include "storage/row_json.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cmath>
#include <limits>

#include "sample_resource.h"

namespace syncline::storage {
namespace {

// The row with one column only.
std::string encoded(std::string_view column_name, const cell& value) {
  projection only;
  only.columns = {kUsers.find_column(column_name).value()};
  const row_encoder encoder(kUsers, only);
  std::string out = "before ";
  const auto done = encoder.append(std::vector{value}, out);
  if (done) return out.substr(7);
  EXPECT_EQ(out, "before ") << "a failure leaves the buffer as it was";
  EXPECT_EQ(done.error().code, net::errc::corrupt);
  EXPECT_NE(done.error().detail.find("users." + std::string(column_name)), std::string::npos)
      << done.error().detail;
  return "corrupt";
}

TEST(RowJson, EncodesEveryType) {
  const row_encoder encoder(kUsers, projection::all(kUsers));
  const std::vector<cell> row = {cell::of_int(17),
                                 cell::of_text("Ann \"\xC3\xA9\"\n"),
                                 cell::of_null(),
                                 cell::of_real(2.5),
                                 cell::of_int(1),
                                 cell::of_text(" { \"a\" :\n[ 1 , 2 ] } "),
                                 cell::of_text("2026-11-20T12:00:00Z"),
                                 cell::of_text("2026-11-20"),
                                 cell::of_text("12.50"),
                                 cell::of_blob(std::string_view("\0\xFF", 2)),
                                 cell::of_int(9007199254740993),
                                 cell{}};
  std::string out;
  ASSERT_TRUE(encoder.append(row, out));
  EXPECT_EQ(out,
            "{\"id\":17,\"name\":\"Ann "
            "\\\"\xC3\xA9\\\"\\n\",\"visits\":null,\"score\":2.5,\"active\":true,\"state\":{\"a\":[1,2]},"
            "\"created_at\":\"2026-11-20T12:00:00Z\",\"born_on\":\"2026-11-20\",\"balance\":\"12.50\","
            "\"avatar\":\"AP8=\","
            "\"big\":\"9007199254740993\"}");
}

TEST(RowJson, LeavesOutAbsentCellsWhereverTheyAre) {
  projection two;
  two.columns = {0, 1};
  const row_encoder encoder(kUsers, two);
  std::string out;
  ASSERT_TRUE(encoder.append(std::vector{cell{}, cell::of_text("x")}, out));
  ASSERT_TRUE(encoder.append(std::vector{cell::of_int(1), cell{}}, out));
  ASSERT_TRUE(encoder.append(std::vector{cell{}, cell{}}, out));
  EXPECT_EQ(out, R"({"name":"x"}{"id":1}{})");
}

TEST(RowJson, ProjectionChoosesOrderAndNames) {
  auto what = projection::from_fields(kUsers, "name,visits,id");
  ASSERT_TRUE(what);
  what->short_names = true;
  std::string out;
  ASSERT_TRUE(row_encoder(kUsers, *what)
                  .append(std::vector{cell::of_text("x"), cell::of_int(2), cell::of_int(1)}, out));
  EXPECT_EQ(out, R"({"n":"x","visits":2,"i":1})");
  for (const std::string_view fields : {"", "nobody", "id,id", "id,", ",id", "id name"}) {
    const auto wrong = projection::from_fields(kUsers, fields);
    ASSERT_FALSE(wrong) << fields;
    EXPECT_EQ(wrong.error().code, net::errc::invalid);
  }
}

TEST(RowJson, ARowIsOneLine) {
  const std::string row =
      encoded("name", cell::of_text("a\r\nb")) + encoded("state", cell::of_text("{\r\n\"a\"\n:1\r}"));
  EXPECT_EQ(row.find_first_of("\r\n"), std::string::npos);
}

TEST(RowJson, StoredValueThatDoesNotFitIsCorrupt) {
  EXPECT_EQ(encoded("visits", cell::of_text("17")), "corrupt");
  EXPECT_EQ(encoded("visits", cell::of_real(1)), "corrupt");
  EXPECT_EQ(encoded("score", cell::of_text("1")), "corrupt");
  EXPECT_EQ(encoded("score", cell::of_real(std::nan(""))), "corrupt");
  EXPECT_EQ(encoded("score", cell::of_real(-std::numeric_limits<double>::infinity())), "corrupt");
  EXPECT_EQ(encoded("active", cell::of_int(2)), "corrupt");
  EXPECT_EQ(encoded("name", cell::of_text("\xFF")), "corrupt");
  EXPECT_EQ(encoded("name", cell::of_blob("x")), "corrupt");
  EXPECT_EQ(encoded("name", cell::of_real(1)), "corrupt");
  EXPECT_EQ(encoded("state", cell::of_text("{]")), "corrupt");
  EXPECT_EQ(encoded("state", cell::of_text("")), "corrupt");
  EXPECT_EQ(encoded("state", cell::of_text("{} {}")), "corrupt");
  EXPECT_EQ(encoded("balance", cell::of_text("a lot")), "corrupt");
  EXPECT_EQ(encoded("created_at", cell::of_int(1732104000)), "corrupt");
  EXPECT_EQ(encoded("avatar", cell::of_int(1)), "corrupt");
}

// SQLite's numeric affinity turns such texts into numbers when the column is declared DECIMAL, JSON or
// STRING.
TEST(RowJson, NumbersThatSqliteMadeOfTextsAreSent) {
  EXPECT_EQ(encoded("balance", cell::of_real(12.5)), R"({"balance":"12.5"})");
  EXPECT_EQ(encoded("balance", cell::of_int(-3)), R"({"balance":"-3"})");
  EXPECT_EQ(encoded("state", cell::of_int(5)), R"({"state":5})");
  EXPECT_EQ(encoded("state", cell::of_real(0.5)), R"({"state":0.5})");
  EXPECT_EQ(encoded("name", cell::of_int(123)), R"({"name":"123"})");
  EXPECT_EQ(encoded("score", cell::of_int(3)), R"({"score":3.0})");
}

TEST(RowJson, EscapesOnlyWhatMustBeEscaped) {
  for (int c = 0; c < 0x80; ++c) {
    // At every place of a block of 16, so that the wide and the narrow scan both see it.
    for (std::size_t at = 0; at < 20; ++at) {
      std::string text(20, 'x');
      text[at] = static_cast<char>(c);
      std::string out;
      append_json_string(text, out);
      ASSERT_EQ(boost::json::parse(out).as_string(), text) << c;
      const bool must = c < 0x20 || c == '"' || c == '\\';
      ASSERT_EQ(out.size() > 22, must) << c;
    }
  }
  std::string out;
  append_json_string("/\x7F\xE2\x80\xA8", out);
  EXPECT_EQ(out, "\"/\x7F\xE2\x80\xA8\"");
}

TEST(RowJson, InvalidBytesOfAFreeStringBecomeReplacementCharacters) {
  std::string out;
  append_json_string(
      "a\xFF"
      "b\xE2\x82",
      out);
  EXPECT_EQ(out,
            "\"a\xEF\xBF\xBD"
            "b\xEF\xBF\xBD\xEF\xBF\xBD\"");
}

TEST(Utf8, KnowsWellFormedText) {
  for (const std::string_view good :
       {"", "ascii and more ascii", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF", "\xEE\x80\x80",
        "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF", "0123456\xC3\xA9", "01234567\xC3\xA9z"}) {
    EXPECT_TRUE(valid_utf8(good)) << good;
  }
  for (const std::string_view bad :
       {"\x80", "\xC0\x80", "\xC1\xBF", "\xC2", "\xC2\x41", "\xE0\x9F\x80", "\xED\xA0\x80", "\xE2\x82",
        "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "01234567\xFF", "0123456\xC3"}) {
    EXPECT_FALSE(valid_utf8(bad)) << bad;
  }
}

// Every sequence of up to three bytes: the lead bytes, their bounds and what may follow.
TEST(Utf8, NoShortSequenceIsJudgedWrong) {
  std::size_t valid = 0;
  std::string text(3, '\0');
  for (unsigned bits = 0; bits < (1U << 24U); ++bits) {
    text[0] = static_cast<char>(bits >> 16U);
    text[1] = static_cast<char>(bits >> 8U);
    text[2] = static_cast<char>(bits);
    if (valid_utf8(text)) ++valid;
  }
  // Three ASCII; ASCII and a two-byte sequence in either order; one three-byte sequence without surrogates.
  EXPECT_EQ(valid, 128U * 128 * 128 + 2 * 128U * (0x800 - 0x80) + (0x10000 - 0x800 - 0x800));
}

TEST(Etag, DependsOnTheBytesOnly) {
  EXPECT_EQ(etag_of("a row"), etag_of(std::string("a row")));
  EXPECT_NE(etag_of("a row"), etag_of("a roW"));
  EXPECT_EQ(etag_of("").size(), 18U);
  EXPECT_EQ(etag_of(""), "\"2d06800538d394c2\"")
      << "XXH3's published value for no bytes: ETags survive an update of the server";
}

}  // namespace
}  // namespace syncline::storage
