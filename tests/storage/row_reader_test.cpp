#include "storage/row_reader.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "sample_resource.h"
#include "storage/key.h"
#include "storage/row_json.h"

namespace syncline::storage {
namespace {

struct reading {
  explicit reading(const resource& r = kUsers, std::size_t row_bytes_max = 1024 * 1024)
      : of(r), reader(of, row_bytes_max), cells(of.columns.size()) {}

  // "" or "code column"
  std::string json(std::string_view text, row_form form = row_form::partial) {
    return name(reader.read_json(text, form, arena, cells));
  }
  std::string csv(std::vector<std::size_t> header, std::vector<row_reader::csv_field> fields) {
    return name(reader.read_csv(header, fields, arena, cells));
  }
  // The column given as JSON beside a key.
  std::string value(std::string_view column_name, std::string_view text) {
    return json("{\"id\":1,\"" + std::string(column_name) + "\":" + std::string(text) + "}");
  }
  const cell& of_column(std::string_view column_name) { return cells[of.find_column(column_name).value()]; }
  std::string name(const std::optional<row_fault>& fault) {
    if (!fault) return {};
    EXPECT_FALSE(fault->detail.empty());
    detail = fault->detail;
    return std::string(fault->code) + (fault->column.empty() ? "" : " " + fault->column);
  }

  resource of;
  row_reader reader;
  text_arena arena;
  std::vector<cell> cells;
  std::string detail;
};

TEST(RowReader, ReadsEveryType) {
  reading r;
  ASSERT_EQ(
      r.json(
          R"( {"id":17,"name":"Ann \"\u00e9\"","visits":null,"score":-2.5e1,"active":true,"state":{ "a" : [1.50] },
                        "created_at":"2026-11-20T14:00:00+02:00","born_on":"2026-11-20","balance":"+012.50","avatar":"AP8=","big":"9007199254740993"} )",
          row_form::whole),
      "");
  EXPECT_EQ(r.of_column("id").integer, 17);
  EXPECT_EQ(r.of_column("name").text, "Ann \"\xC3\xA9\"");
  EXPECT_EQ(r.of_column("visits").k, cell::kind::null);
  EXPECT_EQ(r.of_column("score").real, -25);
  EXPECT_EQ(r.of_column("active").integer, 1);
  EXPECT_EQ(r.of_column("state").text, R"({"a":[1.50]})");
  EXPECT_EQ(r.of_column("created_at").text, "2026-11-20T12:00:00Z");
  EXPECT_EQ(r.of_column("born_on").text, "2026-11-20");
  EXPECT_EQ(r.of_column("balance").text, "12.50");
  EXPECT_EQ(r.of_column("avatar").k, cell::kind::blob);
  EXPECT_EQ(r.of_column("avatar").text, std::string_view("\0\xFF", 2));
  EXPECT_EQ(r.of_column("big").integer, 9007199254740993);
  EXPECT_FALSE(r.of_column("email").present());
}

TEST(RowReader, MembersMayComeInAnyOrderAndEscaped) {
  reading r;
  ASSERT_EQ(r.json(R"({"visits":3,"\u006eame":"x","id":1})"), "");
  EXPECT_EQ(r.of_column("name").text, "x");
  EXPECT_EQ(r.of_column("visits").integer, 3);
}

TEST(RowReader, MalformedJsonSaysWhere) {
  reading r;
  for (const std::string_view text :
       {"", "[]", "1", "{", "{}x", "{\"id\":1,}", "{\"id\":1 \"name\":\"x\"}", "{\"id\" 1}", "{\"id\":1}}",
        "{id:1}", "{\"id\":01}", "{\"id\":1,\"state\":{]}", "{\"id\":tru}", "{\"id\":1,\"name\":\"\n\"}",
        "{\"id\":1,\"name\":\"\\ud800\"}", "{\"id\":1}//", "{,\"id\":1}", "{\"id\":}",
        "{\"id\":1,\"active\":truely}"}) {
    EXPECT_EQ(r.json(text).substr(0, 14), "malformed-json") << text;
    EXPECT_NE(r.detail.find("at byte "), std::string::npos) << r.detail;
  }
  EXPECT_EQ(r.json("{\"id\":1,\"state\":" + std::string(100, '[') + std::string(100, ']') + "}"),
            "malformed-json state");
}

TEST(RowReader, RefusesUnknownAndRepeatedMembers) {
  reading r;
  EXPECT_EQ(r.json(R"({"id":1,"nobody":2})"), "unknown-column nobody");
  EXPECT_EQ(r.json(R"({"id":1,"id":1})"), "duplicate-member id");
  EXPECT_EQ(r.json(R"({"id":1,"name":null,"name":"x"})"), "null-not-allowed name");
  EXPECT_EQ(r.json(R"({"id":1,"visits":null,"visits":1})"), "duplicate-member visits");
  EXPECT_EQ(r.json(R"({"id":1,"n":"short names are for answers"})"), "unknown-column n");
}

TEST(RowReader, RefusesWrongTypes) {
  reading r;
  for (const auto& [column_name, text] :
       std::vector<std::pair<std::string, std::string>>{{"visits", "\"1\""},
                                                        {"visits", "1.0"},
                                                        {"visits", "1e2"},
                                                        {"visits", "true"},
                                                        {"visits", "{}"},
                                                        {"visits", "[1]"},
                                                        {"score", "\"1\""},
                                                        {"score", "false"},
                                                        {"active", "1"},
                                                        {"active", "\"true\""},
                                                        {"name", "1"},
                                                        {"name", "true"},
                                                        {"name", "{}"},
                                                        {"created_at", "1732104000"},
                                                        {"created_at", "\"yesterday\""},
                                                        {"born_on", "\"20.11.2026\""},
                                                        {"balance", "1.5"},
                                                        {"balance", "\"1e5\""},
                                                        {"balance", "true"},
                                                        {"avatar", "\"AP8\""},
                                                        {"avatar", "[0,255]"},
                                                        {"big", "\"1.0\""},
                                                        {"big", "\"+1\""}}) {
    EXPECT_EQ(r.value(column_name, text), "wrong-type " + column_name) << text;
  }
}

TEST(RowReader, RefusesNumbersAndDatesOutOfRange) {
  reading r;
  EXPECT_EQ(r.value("visits", "9223372036854775808"), "out-of-range visits");
  EXPECT_EQ(r.value("visits", "-9223372036854775809"), "out-of-range visits");
  EXPECT_EQ(r.value("big", "\"99999999999999999999\""), "out-of-range big");
  EXPECT_EQ(r.value("score", "1e400"), "out-of-range score");
  EXPECT_EQ(r.value("born_on", "\"2026-02-30\""), "out-of-range born_on");
  EXPECT_EQ(r.value("created_at", "\"2026-02-30T00:00:00Z\""), "out-of-range created_at");
}

TEST(RowReader, AcceptsTheEdgesOfNumbers) {
  reading r;
  ASSERT_EQ(r.value("visits", "-9223372036854775808"), "");
  EXPECT_EQ(r.of_column("visits").integer, std::numeric_limits<std::int64_t>::min());
  ASSERT_EQ(r.value("visits", "-0"), "");
  EXPECT_EQ(r.of_column("visits").integer, 0);
  ASSERT_EQ(r.value("big", "12"), "");
  EXPECT_EQ(r.of_column("big").integer, 12);
  ASSERT_EQ(r.value("score", "3"), "");
  EXPECT_EQ(r.of_column("score").real, 3);
  ASSERT_EQ(r.value("balance", "123456789012345678901234567890"), "");
  EXPECT_EQ(r.of_column("balance").text, "123456789012345678901234567890");
}

TEST(RowReader, RefusesBadText) {
  reading r;
  EXPECT_EQ(r.value("name", "\"\xFF\""), "invalid-utf8 name");
  EXPECT_EQ(r.value("name", "\"a\\u0000b\""), "nul-in-text name");
  EXPECT_EQ(r.value("state", "\"\xC3\""), "invalid-utf8 state");
  EXPECT_EQ(r.json("{\"\xFF\":1}"), "invalid-utf8");
}

TEST(RowReader, LengthIsOfWhatIsStored) {
  resource small = kUsers;
  for (column& c : small.columns) c.bytes_max = 4;
  reading r(small);
  EXPECT_EQ(r.value("name", "\"abcd\""), "");
  EXPECT_EQ(r.value("name", "\"abcde\""), "too-long name");
  EXPECT_EQ(r.value("name", R"("\u0061\u0062\u0063\u0064")"), "");
  EXPECT_EQ(r.value("avatar", "\"AAAAAA==\""), "");
  EXPECT_EQ(r.value("avatar", "\"AAAAAAA=\""), "too-long avatar");
  EXPECT_EQ(r.value("state", "[ 1 , 2 ]"), "too-long state");
  EXPECT_EQ(r.value("state", "[ 12 ]"), "");
}

TEST(RowReader, RowIsBounded) {
  reading r(kUsers, 20);
  EXPECT_EQ(r.json(R"({"id":1,"visits":23})"), "");
  EXPECT_EQ(r.json(R"({"id":1,"visits":234})"), "row-too-large");
  EXPECT_EQ(r.csv({0, 1}, {{"1"}, {"01234567890123456789"}}), "row-too-large");
}

TEST(RowReader, FormsSayWhatMustBeThere) {
  reading r;
  EXPECT_EQ(r.json(R"({"id":1,"name":"x"})", row_form::whole), "");
  EXPECT_EQ(r.json(R"({"id":1})", row_form::whole), "missing-column name");
  EXPECT_EQ(r.json(R"({"name":"x"})", row_form::whole), "missing-key id");
  EXPECT_EQ(r.json(R"({"id":null,"name":"x"})", row_form::whole), "missing-key id");
  EXPECT_EQ(r.json(R"({"name":"x"})", row_form::replace), "");
  EXPECT_EQ(r.json(R"({"id":1,"name":"x"})", row_form::replace), "");
  EXPECT_EQ(r.json(R"({"visits":1})", row_form::replace), "missing-column name");
  EXPECT_EQ(r.json(R"({"id":1})", row_form::partial), "");
  EXPECT_EQ(r.json(R"({"visits":1})", row_form::partial), "missing-key id");
  EXPECT_EQ(r.json(R"({})", row_form::patch), "");
  EXPECT_EQ(r.json(R"({"visits":null,"state":{"a":null}})", row_form::patch), "");
  EXPECT_EQ(r.of_column("visits").k, cell::kind::null);
  EXPECT_EQ(r.of_column("state").text, R"({"a":null})");
  EXPECT_EQ(r.json(R"({"id":1})", row_form::patch), "key-change id");
  EXPECT_EQ(r.json(R"({"name":null})", row_form::patch), "null-not-allowed name");
  EXPECT_EQ(r.json(R"({"state":null})", row_form::patch), "");
  EXPECT_EQ(r.of_column("state").k, cell::kind::null);
}

TEST(RowReader, KeyThatTheDatabaseMakesMayBeMissing) {
  resource counted = kUsers;
  counted.columns[0].has_default = true;
  reading r(counted);
  EXPECT_EQ(r.json(R"({"name":"x"})", row_form::whole), "");
  EXPECT_FALSE(r.of_column("id").present());
  EXPECT_EQ(r.csv({0, 1}, {{""}, {"x"}}), "");
  EXPECT_FALSE(r.of_column("id").present());
}

TEST(RowReader, KeyTextIsBounded) {
  resource named = kUsers;
  named.key = {1, 11};
  reading r(named);
  const auto row = [](std::size_t size) {
    return R"({"email":"e","name":")" + std::string(size, '%') + "\"}";
  };
  EXPECT_EQ(r.json(row((kKeyBytesMax - 2) / 3)), "");
  EXPECT_TRUE(key_of_row(named, r.cells));
  EXPECT_EQ(r.json(row((kKeyBytesMax - 2) / 3 + 1)), "too-long name");
}

TEST(RowReader, ARefusedRowLeavesNothingForTheNext) {
  reading r;
  EXPECT_NE(r.json(R"({"id":1,"name":"x","visits":"wrong"})"), "");
  EXPECT_EQ(r.json(R"({"id":2})"), "");
  EXPECT_FALSE(r.of_column("name").present());
}

TEST(RowReaderCsv, ReadsEveryType) {
  reading r;
  ASSERT_EQ(r.csv({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, {{"17"},
                                                       {"Ann"},
                                                       {"-3"},
                                                       {"2.5"},
                                                       {"true"},
                                                       {"{ \"a\" : 1 }", true},
                                                       {"2026-11-20T14:00:00+02:00"},
                                                       {"2026-11-20"},
                                                       {"012.50"},
                                                       {"AP8="},
                                                       {"9"}}),
            "");
  EXPECT_EQ(r.of_column("id").integer, 17);
  EXPECT_EQ(r.of_column("name").text, "Ann");
  EXPECT_EQ(r.of_column("visits").integer, -3);
  EXPECT_EQ(r.of_column("score").real, 2.5);
  EXPECT_EQ(r.of_column("active").integer, 1);
  EXPECT_EQ(r.of_column("state").text, R"({"a":1})");
  EXPECT_EQ(r.of_column("created_at").text, "2026-11-20T12:00:00Z");
  EXPECT_EQ(r.of_column("balance").text, "12.50");
  EXPECT_EQ(r.of_column("avatar").text, std::string_view("\0\xFF", 2));
}

TEST(RowReaderCsv, EmptyFieldIsNullUnlessQuotedOrDefaulted) {
  reading r;
  ASSERT_EQ(r.csv({0, 1, 2, 11}, {{"1"}, {"", true}, {""}, {""}}), "");
  EXPECT_EQ(r.of_column("name").k, cell::kind::text);
  EXPECT_EQ(r.of_column("name").text, "");
  EXPECT_EQ(r.of_column("visits").k, cell::kind::null);
  EXPECT_FALSE(r.of_column("email").present());
  EXPECT_EQ(r.csv({0, 1}, {{"1"}, {""}}), "null-not-allowed name");
  EXPECT_EQ(r.csv({0, 1}, {{""}, {"x"}}), "missing-key id");
  EXPECT_EQ(r.csv({1}, {{"x"}}), "missing-key id");
  EXPECT_EQ(r.csv({0, 2}, {{"1"}, {"", true}}), "wrong-type visits");
}

TEST(RowReaderCsv, RefusesWhatDoesNotFit) {
  reading r;
  EXPECT_EQ(r.csv({0, 1}, {{"1"}}), "field-count");
  EXPECT_EQ(r.csv({0, 1}, {{"1"}, {"x"}, {"y"}}), "field-count");
  EXPECT_EQ(r.csv({0, 2}, {{"1"}, {"1.0"}}), "wrong-type visits");
  EXPECT_EQ(r.csv({0, 2}, {{"1"}, {" 1"}}), "wrong-type visits");
  EXPECT_EQ(r.csv({0, 2}, {{"1"}, {"99999999999999999999"}}), "out-of-range visits");
  EXPECT_EQ(r.csv({0, 3}, {{"1"}, {"nan"}}), "wrong-type score");
  EXPECT_EQ(r.csv({0, 4}, {{"1"}, {"yes"}}), "wrong-type active");
  EXPECT_EQ(r.csv({0, 5}, {{"1"}, {"{"}}), "wrong-type state");
  EXPECT_EQ(r.csv({0, 1}, {{"1"}, {"\xFF"}}), "invalid-utf8 name");
  EXPECT_EQ(r.csv({0, 1}, {{"1"}, {std::string_view("a\0", 2)}}), "nul-in-text name");
}

TEST(RowReader, WhatTheEncoderSendsReadsBack) {
  reading r;
  const std::vector<cell> row = {cell::of_int(-1),
                                 cell::of_text("\t\xF0\x9F\x98\x80\\"),
                                 cell::of_int(std::numeric_limits<std::int64_t>::max()),
                                 cell::of_real(0.1 + 0.2),
                                 cell::of_int(0),
                                 cell::of_text("[1e400,\"\\u0000\"]"),
                                 cell::of_text("2026-11-20 12:00:00.5"),
                                 cell::of_text("0001-01-01"),
                                 cell::of_text("-0.50"),
                                 cell::of_blob("\xFF"),
                                 cell::of_int(1),
                                 cell::of_text("")};
  std::string text;
  ASSERT_TRUE(row_encoder(kUsers, projection::all(kUsers)).append(row, text));
  ASSERT_EQ(r.json(text, row_form::whole), "") << text;
  for (std::size_t i = 0; i < row.size(); ++i) {
    EXPECT_EQ(r.cells[i].k, row[i].k) << i;
    EXPECT_EQ(r.cells[i].integer, row[i].integer) << i;
    EXPECT_EQ(r.cells[i].text, row[i].text) << i;
  }
}

// The examples of RFC 7396, appendix A.
TEST(MergePatch, DoesWhatTheRfcShows) {
  const std::vector<std::vector<std::string>> examples = {
      {R"({"a":"b"})", R"({"a":"c"})", R"({"a":"c"})"},
      {R"({"a":"b"})", R"({"b":"c"})", R"({"a":"b","b":"c"})"},
      {R"({"a":"b"})", R"({"a":null})", R"({})"},
      {R"({"a":"b","b":"c"})", R"({"a":null})", R"({"b":"c"})"},
      {R"({"a":["b"]})", R"({"a":"c"})", R"({"a":"c"})"},
      {R"({"a":"c"})", R"({"a":["b"]})", R"({"a":["b"]})"},
      {R"({"a":{"b":"c"}})", R"({"a":{"b":"d","c":null}})", R"({"a":{"b":"d"}})"},
      {R"({"a":[{"b":"c"}]})", R"({"a":[1]})", R"({"a":[1]})"},
      {R"(["a","b"])", R"(["c","d"])", R"(["c","d"])"},
      {R"({"a":"b"})", R"(["c"])", R"(["c"])"},
      {R"({"a":"foo"})", R"(null)", R"(null)"},
      {R"({"a":"foo"})", R"("bar")", R"("bar")"},
      {R"({"e":null})", R"({"a":1})", R"({"e":null,"a":1})"},
      {R"([1,2])", R"({"a":"b","c":null})", R"({"a":"b"})"},
      {R"({})", R"({"a":{"bb":{"ccc":null}}})", R"({"a":{"bb":{}}})"},
  };
  for (const auto& e : examples) EXPECT_EQ(merge_patch_json(e[0], e[1]), e[2]) << e[0] << " with " << e[1];
}

TEST(MergePatch, KeepsOrderAndDigitsOfWhatItDoesNotTouch) {
  EXPECT_EQ(merge_patch_json(R"({ "z" : 1.50, "big": 12345678901234567890123, "a": {"x": [ 1 ]} })",
                             R"({"a":{"y":2}})"),
            R"({"z":1.50,"big":12345678901234567890123,"a":{"x":[1],"y":2}})");
  EXPECT_EQ(merge_patch_json(R"({"\u0061":1})", R"({"a":2})"), R"({"a":2})");
}

TEST(MergePatch, StoredTextThatIsNoObjectIsReplaced) {
  EXPECT_EQ(merge_patch_json("", R"({"a":{"b":null,"c":1}})"), R"({"a":{"c":1}})");
  EXPECT_EQ(merge_patch_json("{broken", R"({"a":1})"), R"({"a":1})");
}

}  // namespace
}  // namespace syncline::storage
