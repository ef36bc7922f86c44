// Every column type of a real server, with its extremes, decoded to what MySQL itself prints.
#include <cstdio>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/storage/mysql/mysql_fixture.h"

namespace syncline::storage::mysql {
namespace {

using namespace testing;
using namespace std::string_literals;

class MysqlColumnTypes : public mysql_test {};

struct sample {
  const char* type;
  const char* literal;  // SQL
  std::string wanted;   // with the kind of the cell
};

std::string shown(const cell& value) {
  switch (value.k) {
    case cell::kind::integer:
      return "int " + std::to_string(value.integer);
    case cell::kind::real: {
      std::string out = "real ";
      char text[40];
      std::snprintf(text, sizeof text, "%.17g", value.real);
      out.append(text);
      return out;
    }
    case cell::kind::text:
      return "text " + std::string(value.text);
    case cell::kind::blob:
      return "blob " + std::string(value.text);
    default:
      return "null";
  }
}

const std::vector<sample>& samples() {
  static const std::vector<sample> all = {
      {"TINYINT", "-128", "int -128"},
      {"TINYINT UNSIGNED", "255", "int 255"},
      {"SMALLINT", "-32768", "int -32768"},
      {"MEDIUMINT UNSIGNED", "16777215", "int 16777215"},
      {"INT", "-2147483648", "int -2147483648"},
      {"INT UNSIGNED ZEROFILL", "42", "int 42"},
      {"BIGINT", "-9223372036854775808", "int -9223372036854775808"},
      {"BIGINT", "9223372036854775807", "int 9223372036854775807"},
      {"BIGINT UNSIGNED", "9223372036854775807", "int 9223372036854775807"},
      {"BIGINT UNSIGNED", "9223372036854775808", "text 9223372036854775808"},
      {"BIGINT UNSIGNED", "18446744073709551615", "text 18446744073709551615"},
      {"BOOLEAN", "TRUE", "int 1"},
      {"YEAR", "2155", "int 2155"},
      {"BIT(1)", "b'1'", "int 1"},
      {"BIT(64)", "b'1111111111111111111111111111111111111111111111111111111111111111'",
       "text 18446744073709551615"},
      {"FLOAT", "0.1", "real 0.10000000000000001"},
      {"FLOAT", "-3.40282e38", "real -3.4028200000000001e+38"},
      {"DOUBLE", "0.1", "real 0.10000000000000001"},
      {"DOUBLE", "-1.7976931348623157e308", "real -1.7976931348623157e+308"},
      {"DOUBLE", "5e-324", "real 4.9406564584124654e-324"},
      {"DECIMAL(65,30)", "-99999999999999999999999999999999999.999999999999999999999999999999",
       "text -99999999999999999999999999999999999.999999999999999999999999999999"},
      {"DECIMAL(65,0)", "99999999999999999999999999999999999999999999999999999999999999999",
       "text 99999999999999999999999999999999999999999999999999999999999999999"},
      {"DECIMAL(10,2)", "0", "text 0.00"},
      {"DECIMAL(10,2)", "-0.05", "text -0.05"},
      {"DECIMAL(5,5)", "0.12345", "text 0.12345"},
      {"DATE", "'9999-12-31'", "text 9999-12-31"},
      {"DATE", "'0000-00-00'", "text 0000-00-00"},
      {"DATE", "'2024-00-00'", "text 2024-00-00"},
      {"DATETIME", "'1000-01-01 00:00:00'", "text 1000-01-01 00:00:00"},
      {"DATETIME", "'0000-00-00 00:00:00'", "text 0000-00-00 00:00:00"},
      {"DATETIME(3)", "'2024-02-29 12:00:00'", "text 2024-02-29 12:00:00.000"},
      {"DATETIME(6)", "'9999-12-31 23:59:59.499999'", "text 9999-12-31 23:59:59.499999"},
      {"DATETIME(1)", "'2024-02-29 00:00:00.5'", "text 2024-02-29 00:00:00.5"},
      {"TIMESTAMP(6)", "'2024-02-29 01:02:03.000004'", "text 2024-02-29 01:02:03.000004"},
      {"TIMESTAMP", "'1970-01-01 00:00:01'", "text 1970-01-01 00:00:01"},
      {"TIME", "'-838:59:59'", "text -838:59:59"},
      {"TIME(6)", "'838:59:58.999999'", "text 838:59:58.999999"},
      {"TIME(2)", "'00:00:00'", "text 00:00:00.00"},
      {"TIME(6)", "'-00:00:00.000001'", "text -00:00:00.000001"},
      {"CHAR(5)", "'ab'", "text ab"},
      {"VARCHAR(10) CHARACTER SET latin1", "_utf8mb4'h\xc3\xa4h'", "text h\xc3\xa4h"},
      {"VARCHAR(10)", "''", "text "},
      {"VARCHAR(10) COLLATE utf8mb4_bin", "'A'", "text A"},
      {"TEXT", "'\xf0\x9f\x99\x82'", "text \xf0\x9f\x99\x82"},
      {"BINARY(4)", "'ab'", "blob ab\0\0"s},
      {"VARBINARY(10)", "x'00ff00'", "blob \0\xff\0"s},
      {"BLOB", "''", "blob "},
      {"ENUM('red','green')", "'green'", "text green"},
      {"SET('a','b','c')", "'a,c'", "text a,c"},
      {"SET('a','b','c')", "''", "text "},
      {"JSON", "'{\"a\": [1, 2.5, \"x\", null]}'", "text {\"a\": [1, 2.5, \"x\", null]}"},
      {"JSON", "'null'", "text null"},
      {"POINT", "NULL", "null"},
  };
  return all;
}

TEST_F(MysqlColumnTypes, EveryTypeComesBackAsMysqlPrintsIt) {
  run([this]() -> task<void> {
    request_context context(on_);
    auto options = unix_options();
    options->setup = {"SET time_zone = '+00:00', sql_mode = 'ALLOW_INVALID_DATES'"};
    auto with = co_await opened(context, options);
    std::string table = "CREATE TEMPORARY TABLE t (";
    std::string insert = "INSERT INTO t VALUES (";
    for (std::size_t i = 0; i < samples().size(); ++i) {
      const char* const comma = i == 0 ? "" : ", ";
      table.append(comma).append("c").append(std::to_string(i)).append(" ").append(samples()[i].type);
      table.append(" NULL");
      insert.append(comma).append(samples()[i].literal);
    }
    table.append(") CHARACTER SET utf8mb4 ROW_FORMAT=DYNAMIC");
    insert.append(")");
    co_await must(context, *with, table);
    co_await must(context, *with, insert);
    co_await must(context, *with, "INSERT INTO t () VALUES ()");
    for (const bool prepared : {false, true}) {
      net::result<answer> sent =
          prepared ? with->start_prepared("SELECT * FROM t") : with->start_sql("SELECT * FROM t");
      EXPECT_TRUE(sent.has_value());
      const auto first = co_await sent->next_row(context);
      EXPECT_TRUE(first.has_value()) << first.error().text();
      if (first.has_error()) co_return;
      for (std::size_t i = 0; i < samples().size(); ++i) {
        text_arena arena;
        const auto value = decode_value(sent->columns()[i], sent->row()[i], arena);
        EXPECT_TRUE(value.has_value()) << samples()[i].type << " " << samples()[i].literal;
        if (value.has_value()) {
          EXPECT_EQ(shown(*value), samples()[i].wanted) << samples()[i].type << " prepared " << prepared;
        }
      }
      const auto second = co_await sent->next_row(context);
      EXPECT_TRUE(second.has_value() && *second);
      for (const std::string_view field : sent->row()) EXPECT_TRUE(field.empty()) << "NULL";
      EXPECT_TRUE((co_await sent->finish(context)).has_value());
    }
  });
}

// What was read goes back in as an argument and comes out the same.
TEST_F(MysqlColumnTypes, WhatIsReadCanBeStoredAgainUnchanged) {
  run([this]() -> task<void> {
    request_context context(on_);
    auto options = unix_options();
    options->setup = {"SET time_zone = '+00:00', sql_mode = 'ALLOW_INVALID_DATES'"};
    auto with = co_await opened(context, options);
    int number = 0;
    for (const sample& each : samples()) {
      const std::string name = "again" + std::to_string(number++);
      co_await must(context, *with,
                    "CREATE TEMPORARY TABLE " + name + " (id INT PRIMARY KEY, c " + each.type +
                        " NULL) CHARACTER SET utf8mb4");
      co_await must(context, *with, "INSERT INTO " + name + " VALUES (1, " + each.literal + ")");
      const auto got = co_await with->sql(context, "SELECT c FROM " + name);
      EXPECT_TRUE(got.has_value());
      if (got.has_error()) co_return;
      text_arena arena;
      const auto value = decode_value(got->columns[0], got->rows[0][0], arena);
      argument back = argument::of_cell(*value);
      // A BIT takes a number, not its digits.
      if (got->columns[0].type == column_type::bits && value->k == cell::kind::text)
        back = argument::of_unsigned(std::stoull(std::string(value->text)));
      const std::vector<argument> values = {back};
      const auto stored = co_await with->execute(context, "INSERT INTO " + name + " VALUES (2, ?)", values);
      EXPECT_TRUE(stored.has_value()) << each.type << " " << each.literal << ": " << stored.error().text();
      const auto again = co_await with->sql(context, "SELECT c FROM " + name + " ORDER BY id DESC LIMIT 1");
      EXPECT_TRUE(again.has_value());
      if (again.has_value()) {
        EXPECT_EQ(again->rows[0][0], got->rows[0][0]) << each.type << " " << each.literal;
      }
    }
  });
}

}  // namespace
}  // namespace syncline::storage::mysql
