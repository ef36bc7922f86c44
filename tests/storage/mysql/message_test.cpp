#include "storage/mysql/message.h"

#include <string>

#include <gtest/gtest.h>
#include <x_protocol.pb.h>

#include "storage/mysql/column.h"
#include "storage/mysql/server_error.h"
#include "storage/mysql/statement_notes.h"

namespace syncline::storage::mysql {
namespace {

using net::errc;
using namespace std::string_literals;

constexpr std::size_t kLimit = 1000;

TEST(MysqlMessage, AFrameIsItsLengthItsTypeAndItsBody) {
  net::byte_buffer out;
  append_empty_frame(out, client_message::capabilities_get);
  EXPECT_EQ(out.view(), "\1\0\0\0\1"s);
  out.clear();
  wire::Reset reset;
  reset.set_keep_open(true);
  ASSERT_TRUE(append_frame(out, client_message::session_reset, reset, kLimit).has_value());
  EXPECT_EQ(out.view(), "\3\0\0\0\6\x08\1"s);
}

TEST(MysqlMessage, AFrameIsReadOnlyWhenItIsWhole) {
  const std::string bytes = "\4\0\0\0\x0d"s + "abc" + "next";
  frame got;
  for (std::size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(read_frame(bytes.substr(0, i), kLimit, got), frame_state::incomplete) << i;
  }
  ASSERT_EQ(read_frame(bytes, kLimit, got), frame_state::whole);
  EXPECT_EQ(got.type, server_message::row);
  EXPECT_EQ(got.body, "abc");
  EXPECT_EQ(got.bytes(), 8U);
}

TEST(MysqlMessage, LengthAndTypeAreJudgedBeforeTheBodyIsThere) {
  frame got;
  EXPECT_EQ(read_frame("\0\0\0\0"s, kLimit, got), frame_state::no_type);
  EXPECT_EQ(read_frame("\xe9\3\0\0"s, kLimit, got), frame_state::too_large);
  EXPECT_EQ(read_frame("\xff\xff\xff\xff"s, kLimit, got), frame_state::too_large);
  EXPECT_EQ(read_frame("\x10\0\0\0\x63"s, kLimit, got), frame_state::unknown_type);
  EXPECT_EQ(frame_error(frame_state::too_large).code, errc::too_large);
  EXPECT_EQ(frame_error(frame_state::unknown_type).code, errc::corrupt);
}

TEST(MysqlMessage, WhatIsTooLargeToSendLeavesNothingBehind) {
  wire::StmtExecute statement;
  statement.set_statement(std::string(kLimit, 'x'));
  net::byte_buffer out;
  EXPECT_EQ(append_frame(out, client_message::statement_execute, statement, kLimit).error().code,
            errc::too_large);
  EXPECT_TRUE(out.empty());
}

TEST(MysqlMessage, RowsAreReadWithoutACopyAndCounted) {
  wire::Row row;
  row.add_fields("one");
  row.add_fields("");
  row.add_fields(std::string(300, 'x'));
  const std::string body = row.SerializeAsString();
  row_fields fields;
  ASSERT_TRUE(read_row(body, 3, fields));
  EXPECT_EQ(fields[0], "one");
  EXPECT_TRUE(fields[1].empty());
  EXPECT_EQ(fields[2].size(), 300U);
  EXPECT_FALSE(read_row(body, 2, fields)) << "too many";
  EXPECT_FALSE(read_row(body, 4, fields)) << "too few";
  EXPECT_FALSE(read_row(std::string_view(body).substr(0, body.size() - 1), 3, fields)) << "cut off";
  EXPECT_FALSE(read_row("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 1, fields)) << "beyond the end";
}

TEST(MysqlMessage, AColumnIsWhatTheServerSaid) {
  wire::ColumnMetaData sent;
  sent.set_type(12);
  sent.set_name("created_at");
  sent.set_collation(63);
  sent.set_fractional_digits(6);
  sent.set_length(26);
  sent.set_flags(16);
  sent.set_content_type(2);
  const auto got = read_column(sent.SerializeAsString());
  ASSERT_TRUE(got.has_value());
  EXPECT_EQ(got->type, column_type::datetime);
  EXPECT_EQ(got->name, "created_at");
  EXPECT_EQ(got->collation, 63U);
  EXPECT_EQ(got->fractional_digits, 6U);
  EXPECT_EQ(got->length, 26U);
  EXPECT_EQ(got->flags, 16U);
  EXPECT_EQ(got->content_type, 2U);
  sent.set_type(3);
  EXPECT_EQ(read_column(sent.SerializeAsString()).error().code, errc::corrupt) << "a type nobody knows";
  EXPECT_EQ(read_column("").error().code, errc::corrupt) << "no type";
}

TEST(MysqlMessage, AnErrorKeepsItsNumberStateAndText) {
  wire::Error said;
  said.set_code(1213);
  said.set_sql_state("40001");
  said.set_text("Deadlock found");
  bool fatal = true;
  const net::error got = read_server_error(said.SerializeAsString(), fatal);
  EXPECT_FALSE(fatal);
  EXPECT_EQ(got.code, errc::locked);
  EXPECT_EQ(got.detail, "1213 (40001): Deadlock found");
  EXPECT_EQ(server_code(got), code::kDeadlock);
  said.set_severity(wire::Error::FATAL);
  EXPECT_EQ(server_code(read_server_error(said.SerializeAsString(), fatal)), code::kDeadlock);
  EXPECT_TRUE(fatal);
  EXPECT_EQ(server_code(net::error(errc::down, "no number", "1213 of them")), 0U);
}

TEST(MysqlMessage, ErrorsMeanWhatTheRequestCanDoAboutThem) {
  const auto kind = [](std::uint32_t code, std::string_view state) {
    return server_error(code, state, "").code;
  };
  EXPECT_EQ(kind(1062, "23000"), errc::conflict);
  EXPECT_EQ(kind(1040, "08004"), errc::overloaded);
  EXPECT_EQ(kind(1053, "08S01"), errc::down);
  EXPECT_EQ(kind(5010, "HY000"), errc::down) << "killed before the statement began";
  EXPECT_EQ(kind(1114, "HY000"), errc::disk_full);
  EXPECT_EQ(kind(1146, "42S02"), errc::schema_mismatch);
  EXPECT_EQ(kind(3024, "HY000"), errc::timed_out);
  EXPECT_EQ(kind(1406, "22001"), errc::invalid);
  EXPECT_EQ(kind(1644, "45000"), errc::invalid);
  EXPECT_EQ(kind(1064, "42000"), errc::internal);
}

std::string notice(std::uint32_t type, std::uint32_t scope, const std::string& payload) {
  wire::Notice out;
  out.set_type(type);
  out.set_scope(scope);
  out.set_payload(payload);
  return out.SerializeAsString();
}

TEST(MysqlMessage, NoticesTellRowsIdsAndWarnings) {
  statement_notes of_statement;
  server_notes of_server;
  wire::SessionStateChanged state;
  state.set_parameter(4);
  wire::Scalar* const value = state.add_values();
  value->set_type(wire::Scalar::UNSIGNED);
  value->set_unsigned_value(7);
  ASSERT_TRUE(read_notice(notice(3, 2, state.SerializeAsString()), of_statement, of_server).has_value());
  EXPECT_EQ(of_statement.rows_affected, 7U);
  state.set_parameter(3);
  ASSERT_TRUE(read_notice(notice(3, 2, state.SerializeAsString()), of_statement, of_server).has_value());
  EXPECT_EQ(of_statement.last_insert_id, 7U);
  state.set_parameter(11);
  ASSERT_TRUE(read_notice(notice(3, 2, state.SerializeAsString()), of_statement, of_server).has_value());
  EXPECT_EQ(of_server.client_id, 7U);
  wire::Warning warned;
  warned.set_level(1);
  warned.set_code(1265);
  warned.set_text("cut");
  for (std::size_t i = 0; i < kWarningsMax + 5; ++i) {
    ASSERT_TRUE(read_notice(notice(1, 2, warned.SerializeAsString()), of_statement, of_server).has_value());
  }
  ASSERT_EQ(of_statement.warnings.size(), kWarningsMax) << "bounded";
  EXPECT_EQ(of_statement.warnings_seen, kWarningsMax + 5);
  EXPECT_EQ(of_statement.warnings[0].how, warning::level::note);
  EXPECT_EQ(of_statement.warnings[0].code, 1265U);
  EXPECT_EQ(of_statement.warnings[0].text, "cut");
  EXPECT_FALSE(of_server.going_away);
  warned.set_code(1053);
  ASSERT_TRUE(read_notice(notice(1, 1, warned.SerializeAsString()), of_statement, of_server).has_value());
  EXPECT_TRUE(of_server.going_away) << "a shutdown is announced to everybody";
  EXPECT_TRUE(read_notice(notice(77, 1, "?"), of_statement, of_server).has_value())
      << "unknown ones are skipped";
  EXPECT_EQ(read_notice(notice(1, 2, "\xff"), of_statement, of_server).error().code, errc::corrupt);
}

}  // namespace
}  // namespace syncline::storage::mysql
