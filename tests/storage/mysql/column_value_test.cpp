#include "storage/mysql/column_value.h"

#include <string>

#include <gtest/gtest.h>

namespace syncline::storage::mysql {
namespace {

using namespace std::string_literals;
using net::errc;

column of(column_type type, std::uint32_t digits = 0, std::uint32_t content = 0) {
  column out;
  out.type = type;
  out.collation = 255;
  out.fractional_digits = digits;
  out.content_type = content;
  return out;
}

// What a cell holds, with its kind.
std::string shown(const column& as, const std::string& field) {
  text_arena arena;
  const auto got = decode_value(as, field, arena);
  if (got.has_error()) return got.error().code == errc::corrupt ? "corrupt" : "?";
  switch (got->k) {
    case cell::kind::absent:
      return "absent";
    case cell::kind::null:
      return "null";
    case cell::kind::integer:
      return "int " + std::to_string(got->integer);
    case cell::kind::real:
      return "real " + std::to_string(got->real);
    case cell::kind::text:
      return "text " + std::string(got->text);
    case cell::kind::blob:
      return "blob " + std::string(got->text);
  }
  return "?";
}

TEST(MysqlColumnValue, AnEmptyFieldIsNullInEveryType) {
  for (const int type : {1, 2, 5, 6, 7, 10, 12, 15, 16, 17, 18}) {
    EXPECT_EQ(shown(of(static_cast<column_type>(type)), ""), "null") << type;
  }
}

TEST(MysqlColumnValue, SignedIntegersAreZigzag) {
  const column as = of(column_type::signed_integer);
  EXPECT_EQ(shown(as, "\0"s), "int 0");
  EXPECT_EQ(shown(as, "\1"), "int -1");
  EXPECT_EQ(shown(as, "\2"), "int 1");
  EXPECT_EQ(shown(as, "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\1"), "int 9223372036854775807");
  EXPECT_EQ(shown(as, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"), "int -9223372036854775808");
  EXPECT_EQ(shown(as, "\x80"), "corrupt") << "no end";
  EXPECT_EQ(shown(as, "\1\1"), "corrupt") << "something behind it";
}

TEST(MysqlColumnValue, UnsignedIntegersBeyondACellAreText) {
  const column as = of(column_type::unsigned_integer);
  EXPECT_EQ(shown(as, "\xff\xff\xff\xff\xff\xff\xff\xff\x7f"), "int 9223372036854775807");
  EXPECT_EQ(shown(as, "\x80\x80\x80\x80\x80\x80\x80\x80\x80\1"), "text 9223372036854775808");
  EXPECT_EQ(shown(as, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"), "text 18446744073709551615");
  EXPECT_EQ(shown(of(column_type::bits), "\x05"), "int 5");
}

TEST(MysqlColumnValue, FloatsAreTheirShortestText) {
  EXPECT_EQ(shown(of(column_type::double_precision), "\0\0\0\0\0\0\xf8\x3f"s), "real 1.500000");
  text_arena arena;
  const auto tenth = decode_value(of(column_type::single_precision), "\xcd\xcc\xcc\x3d", arena);
  ASSERT_TRUE(tenth.has_value());
  EXPECT_EQ(tenth->real, 0.1) << "not 0.10000000149";
  EXPECT_EQ(shown(of(column_type::double_precision), "\0\0\0"s), "corrupt");
  EXPECT_EQ(shown(of(column_type::double_precision), "\0\0\0\0\0\0\xf0\x7f"s), "corrupt") << "infinite";
  EXPECT_EQ(shown(of(column_type::single_precision), "\0\0\xc0\x7f"s), "corrupt") << "not a number";
}

TEST(MysqlColumnValue, DecimalsKeepEveryDigit) {
  const column as = of(column_type::decimal);
  EXPECT_EQ(shown(as, "\4\x12\x34\x01\xd0"s), "text -12.3401");
  EXPECT_EQ(shown(as, "\2\x10\x0c"s), "text 1.00");
  EXPECT_EQ(shown(as, "\0\x0c"s), "text 0");
  EXPECT_EQ(shown(as, "\2\x05\xc0"s), "text 0.05");
  EXPECT_EQ(shown(as, "\3\x12\x3c"s), "text 0.123");
  EXPECT_EQ(shown(as, "\0\x00\x7c"s), "text 7") << "leading zeros are none";
  EXPECT_EQ(shown(as, "\5\x12\x3c"s), "corrupt") << "more fraction than digits";
  EXPECT_EQ(shown(as, "\0\x12"s), "corrupt") << "no sign";
  EXPECT_EQ(shown(as, "\0\x1e"s), "corrupt") << "no digit";
  EXPECT_EQ(shown(as, "\0\x1c\x10"s), "corrupt") << "digits behind the sign";
  std::string longer(80, '\x11');
  longer.front() = '\0';
  longer.back() = '\xc0';
  EXPECT_EQ(shown(as, longer), "corrupt") << "longer than any";
}

TEST(MysqlColumnValue, DatesAndTimesHaveTheDigitsOfTheirColumn) {
  const std::string day = "\xe8\x0f\2\x1d"s;  // 2024-02-29
  EXPECT_EQ(shown(of(column_type::datetime, 0, kContentDate), day), "text 2024-02-29");
  EXPECT_EQ(shown(of(column_type::datetime, 0, kContentDatetime), day), "text 2024-02-29 00:00:00");
  EXPECT_EQ(shown(of(column_type::datetime, 3, kContentDatetime), day), "text 2024-02-29 00:00:00.000");
  EXPECT_EQ(shown(of(column_type::datetime, 6, kContentDatetime), day + "\x17\x3b\x3b\xbf\x84\x3d"),
            "text 2024-02-29 23:59:59.999999");
  EXPECT_EQ(shown(of(column_type::datetime, 3, kContentDatetime), day + "\1\2\3\xf8\xac\x01"s),
            "text 2024-02-29 01:02:03.022");
  column by_length = of(column_type::datetime, 0, kContentDatetime);
  by_length.length = 23;
  EXPECT_EQ(shown(by_length, day), "text 2024-02-29 00:00:00.000")
      << "DATETIME(3) as the server describes it";
  by_length.type = column_type::time;
  by_length.length = 17;
  EXPECT_EQ(shown(by_length, "\0\1"s), "text 01:00:00.000000") << "TIME(6)";
  EXPECT_EQ(shown(of(column_type::datetime, 0, kContentDate), "\0\0\0"s), "text 0000-00-00");
  EXPECT_EQ(shown(of(column_type::datetime), "\xe8\x0f\2"s), "corrupt") << "no day";
  EXPECT_EQ(shown(of(column_type::datetime), "\xe8\x0f\x0d\1"s), "corrupt") << "month 13";
  EXPECT_EQ(shown(of(column_type::datetime), day + "\1\1\1\1\1"), "corrupt") << "too many parts";
  EXPECT_EQ(shown(of(column_type::time), "\0"s), "text 00:00:00");
  EXPECT_EQ(shown(of(column_type::time), "\1\xc6\6\x3b\x3b"), "text -838:59:59");
  EXPECT_EQ(shown(of(column_type::time, 2), "\0\1\2\3\x90\xa1\x0f"s), "text 01:02:03.25");
  EXPECT_EQ(shown(of(column_type::time), "\2"), "corrupt") << "neither sign";
}

TEST(MysqlColumnValue, TextAndBinaryAreToldApartByCollation) {
  column as = of(column_type::bytes);
  EXPECT_EQ(shown(as, "abc\0"s), "text abc");
  EXPECT_EQ(shown(as, "\0"s), "text ");
  EXPECT_EQ(shown(as, "abc"), "corrupt") << "without its end";
  as.collation = kCollationBinary;
  EXPECT_EQ(shown(as, "a\0b\0"s), "blob a\0b"s);
  as.content_type = kContentGeometry;
  EXPECT_EQ(shown(as, "g\0"s), "blob g");
  as.content_type = kContentJson;
  EXPECT_EQ(shown(as, "{}\0"s), "text {}") << "JSON is text whatever its collation";
  EXPECT_EQ(shown(of(column_type::enumeration), "red\0"s), "text red");
}

TEST(MysqlColumnValue, SetsAreTheirMembersWithCommas) {
  const column as = of(column_type::set);
  EXPECT_EQ(shown(as, "\1"), "text ");
  EXPECT_EQ(shown(as, "\3red"), "text red");
  EXPECT_EQ(shown(as, "\3red\4blue"), "text red,blue");
  EXPECT_EQ(shown(as, "\0"s), "text ") << "one member, which is empty";
  EXPECT_EQ(shown(as, "\0\1a"s), "text ,a");
  EXPECT_EQ(shown(as, "\5red"), "corrupt");
}

}  // namespace
}  // namespace syncline::storage::mysql
