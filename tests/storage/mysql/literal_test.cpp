#include "storage/mysql/literal.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "storage/mysql/schema.h"
#include "tests/storage/mysql/mysql_fixture.h"

namespace syncline::storage::mysql {
namespace {

using namespace testing;

TEST(MysqlLiteral, NamesAreQuotedWithDoubledBackticks) {
  EXPECT_EQ(identifier("a`b c"), "`a``b c`");
}

TEST(MysqlLiteral, RealNumbersHaveAnExponent) {
  std::string out;
  append_literal(cell::of_real(1.5), out);
  out.push_back(' ');
  append_literal(cell::of_real(1e22), out);
  EXPECT_EQ(out, "1.5e0 1e+22");
}

class MysqlLiteralServer : public mysql_test {};

TEST_F(MysqlLiteralServer, EveryByteComesBackAsItWas) {
  run([this]() -> task<void> {
    request_context context(on_);
    auto options = unix_options();
    options->setup = session_setup(5);
    auto with = co_await opened(context, options);
    std::string all;
    for (int i = 0; i < 256; ++i) all.push_back(static_cast<char>(i));
    all += all;
    std::string sql = "SELECT HEX(";
    append_blob_literal(all, sql);
    const std::string hex = co_await one(context, *with, sql + ")");
    std::string expected;
    for (const char c : all) expected += fmt::format("{:02X}", static_cast<unsigned char>(c));
    EXPECT_EQ(hex, expected);
    // A lead byte of UTF-8 must not swallow the quote behind it.
    for (const std::string_view bytes :
         {std::string_view("\xC3"), std::string_view("\xF0\x9F'"), std::string_view("\xE2'\\")})
      EXPECT_EQ(co_await one(context, *with, "SELECT LENGTH(" + blob_literal(bytes) + ")"),
                std::to_string(bytes.size()));
    const std::string text = "it's \"so\" \\ `x` %_ ? -- /* Grüße 🙂 \n\r\t\x1a";
    EXPECT_EQ(co_await one(context, *with, "SELECT " + text_literal(text)), text);
    EXPECT_EQ(
        co_await one(context, *with, "SELECT LENGTH(" + text_literal(std::string_view("a\0b", 3)) + ")"),
        "3");
  });
}

TEST_F(MysqlLiteralServer, CommonTablesCanBeMadeTwice) {
  run([this]() -> task<void> {
    request_context context(on_);
    auto with = co_await opened(context, unix_options());
    const std::string name = unique("syncline_common");
    co_await must(context, *with, "CREATE DATABASE " + name);
    co_await must(context, *with, "USE " + name);
    for (int i = 0; i < 2; ++i)
      for (const std::string& statement : common_tables()) co_await must(context, *with, statement);
    EXPECT_EQ(co_await one(context, *with, "SELECT count(*) FROM syncline_clock"), "1");
    co_await must(context, *with, "DROP DATABASE " + name);
  });
}

}  // namespace
}  // namespace syncline::storage::mysql
