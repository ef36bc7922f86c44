// Statements, results, notes, prepared statements and pipelining against a real server.
#include "storage/mysql/session.h"

#include <malloc.h>

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "storage/mysql/server_error.h"
#include "tests/storage/mysql/mysql_fixture.h"

namespace syncline::storage::mysql {
namespace {

using namespace testing;

class MysqlSession : public mysql_test {};

TEST_F(MysqlSession, RowsColumnsAndArguments) {
  run([this]() -> task<void> {
    request_context context(on_);
    auto with = co_await opened(context, unix_options());
    const std::vector<argument> values = {argument::of_int(-5), argument::of_text("it's a \"?\" \\ "),
                                          argument::of_null(), argument::of_unsigned(~0ULL),
                                          argument::of_real(0.25)};
    const auto got = co_await with->sql(
        context, "SELECT ? AS a, ? AS b, ? AS c, ? AS d, ? AS e UNION ALL SELECT 1,2,3,4,5", values);
    EXPECT_TRUE(got.has_value()) << got.error().text();
    if (got.has_error()) co_return;
    EXPECT_EQ(got->rows.size(), 2U);
    EXPECT_EQ(got->columns.size(), 5U);
    EXPECT_EQ(got->columns[1].name, "b");
    text_arena arena;
    EXPECT_EQ(decode_value(got->columns[0], got->rows[0][0], arena)->integer, -5);
    EXPECT_EQ(decode_value(got->columns[1], got->rows[0][1], arena)->text, "it's a \"?\" \\ ");
    EXPECT_EQ(decode_value(got->columns[2], got->rows[0][2], arena)->k, cell::kind::null);
    const auto prepared = co_await with->execute(context, "SELECT ?, ?, ?, ?, ?", values);
    EXPECT_TRUE(prepared.has_value()) << prepared.error().text();
    if (prepared.has_error()) co_return;
    EXPECT_EQ(decode_value(prepared->columns[0], prepared->rows[0][0], arena)->integer, -5);
    EXPECT_EQ(decode_value(prepared->columns[1], prepared->rows[0][1], arena)->text, "it's a \"?\" \\ ");
    EXPECT_EQ(decode_value(prepared->columns[3], prepared->rows[0][3], arena)->text, "18446744073709551615");
    EXPECT_EQ(decode_value(prepared->columns[4], prepared->rows[0][4], arena)->real, 0.25);
  });
}

TEST_F(MysqlSession, NotesTellRowsIdsAndWarnings) {
  run([this]() -> task<void> {
    request_context context(on_);
    auto with = co_await opened(context, unix_options());
    co_await must(context, *with,
                  "CREATE TEMPORARY TABLE t (id BIGINT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(3))");
    const auto made = co_await with->sql(context, "INSERT INTO t (v) VALUES ('a'), ('b')");
    EXPECT_EQ(made->notes.rows_affected, 2U);
    EXPECT_EQ(made->notes.last_insert_id, 1U);
    const auto same = co_await with->sql(context, "UPDATE t SET v = 'a' WHERE id = 1");
    EXPECT_EQ(same->notes.rows_affected, 1U) << "matched, though nothing changes";
    co_await must(context, *with, "SET sql_mode = ''");
    const auto cut = co_await with->sql(context, "INSERT INTO t (v) VALUES ('too long')");
    EXPECT_EQ(cut->notes.warnings_seen, 1U);
    EXPECT_EQ(cut->notes.warnings.size(), 1U);
    EXPECT_EQ(cut->notes.warnings[0].code, 1265U);
    const auto none = co_await with->sql(context, "SELECT v FROM t WHERE id = 99");
    EXPECT_TRUE(none->rows.empty());
    EXPECT_EQ(none->columns.size(), 1U) << "columns without rows";
  });
}

TEST_F(MysqlSession, AnErrorLeavesTheSessionAsItWas) {
  run([this]() -> task<void> {
    request_context context(on_);
    auto with = co_await opened(context, unix_options());
    const auto wrong = co_await with->sql(context, "SELEC 1");
    EXPECT_EQ(server_code(wrong.error()), 1064U);
    const auto missing = co_await with->execute(context, "SELECT * FROM no_such_table");
    EXPECT_EQ(missing.error().code, errc::schema_mismatch) << missing.error().text();
    EXPECT_EQ(server_code(missing.error()), 1146U) << "what Prepare said, not what Execute says about it";
    const auto again = co_await with->execute(context, "SELECT * FROM no_such_table");
    EXPECT_EQ(server_code(again.error()), 1146U);
    const auto late =
        co_await with->sql(context, "SELECT 1 UNION ALL SELECT CAST(JSON_EXTRACT('{', '$') AS SIGNED)");
    EXPECT_TRUE(late.has_error());
    EXPECT_TRUE(with->usable());
    EXPECT_TRUE(with->idle());
    EXPECT_EQ(co_await one(context, *with, "SELECT 7"), "7");
  });
}

TEST_F(MysqlSession, SeveralResultSetsOfOneCall) {
  run([this]() -> task<void> {
    request_context context(on_);
    auto with = co_await opened(context, unix_options());
    const std::string name = unique("sets");
    co_await must(context, *with,
                  "CREATE PROCEDURE " + name +
                      "() BEGIN SELECT 1 AS a; SELECT 2 AS b, 3 AS c WHERE FALSE; SELECT 4 AS d UNION ALL "
                      "SELECT 5; END");
    net::result<answer> sent = with->start_sql("CALL " + name + "()");
    EXPECT_TRUE(sent.has_value());
    std::vector<std::string> seen;
    for (step got = sent->try_next(); got != step::done; got = sent->try_next()) {
      if (got == step::row) seen.push_back("row " + std::to_string(sent->row().size()));
      if (got == step::end_of_rows) seen.push_back("end " + sent->columns()[0].name);
      if (got == step::failed) seen.push_back(sent->failure().text());
      if (got == step::failed) break;
      if (got != step::wait) continue;
      const auto woken = co_await sent->wait(context);
      if (woken.has_error()) break;
    }
    EXPECT_EQ(seen, (std::vector<std::string>{"row 1", "end a", "end b", "row 1", "row 1", "end d"}));
    co_await must(context, *with, "DROP PROCEDURE " + name);
  });
}

TEST_F(MysqlSession, PreparedStatementsAreKeptUpToABound) {
  run([this]() -> task<void> {
    request_context context(on_);
    auto options = unix_options();
    options->prepared_max = 3;
    auto with = co_await opened(context, options);
    for (int round = 0; round < 3; ++round) {
      for (int i = 0; i < 5; ++i) {
        const std::string text = "SELECT ? + " + std::to_string(i);
        const std::vector<argument> values = {argument::of_int(10)};
        const auto got = co_await with->execute(context, text, values);
        EXPECT_TRUE(got.has_value()) << got.error().text();
        if (got.has_error()) co_return;
        text_arena arena;
        EXPECT_EQ(decode_value(got->columns[0], got->rows[0][0], arena)->integer, 10 + i);
        EXPECT_LE(with->prepared(), 3U);
      }
    }
    EXPECT_TRUE(with->idle());
  });
}

TEST_F(MysqlSession, ATableThatChangesUnderAPreparedStatementIsSeen) {
  run([this]() -> task<void> {
    request_context context(on_);
    auto with = co_await opened(context, unix_options());
    const std::string name = unique("changing");
    co_await must(context, *with, "CREATE TABLE " + name + " (a INT)");
    co_await must(context, *with, "INSERT INTO " + name + " VALUES (1)");
    const auto before = co_await with->execute(context, "SELECT * FROM " + name);
    EXPECT_EQ(before->columns.size(), 1U);
    co_await must(context, *with, "ALTER TABLE " + name + " ADD COLUMN b INT");
    const auto after = co_await with->execute(context, "SELECT * FROM " + name);
    EXPECT_TRUE(after.has_value());
    EXPECT_EQ(after->columns.size(), 2U);
    co_await must(context, *with, "DROP TABLE " + name);
    const auto gone = co_await with->execute(context, "SELECT * FROM " + name);
    EXPECT_EQ(server_code(gone.error()), 1146U);
  });
}

TEST_F(MysqlSession, PipelinedStatementsAnswerInOrderAndAnErrorSpoilsOnlyItself) {
  run([this]() -> task<void> {
    request_context context(on_);
    auto with = co_await opened(context, unix_options());
    std::vector<answer> sent;
    for (int i = 0; i < 16; ++i) {
      const std::string text = i == 7 ? "SELECT nonsense" : "SELECT ? * 2";
      const std::vector<argument> values = {argument::of_int(i)};
      net::result<answer> next = with->start_prepared(text, i == 7 ? std::span<const argument>() : values);
      EXPECT_TRUE(next.has_value());
      sent.push_back(std::move(*next));
    }
    text_arena arena;
    for (std::size_t i = 0; i < sent.size(); ++i) {
      const auto row = co_await sent[i].next_row(context);
      if (i == 7) {
        EXPECT_EQ(server_code(row.error()), 1054U);
        continue;
      }
      EXPECT_TRUE(row.has_value() && *row) << i;
      if (row.has_error()) co_return;
      EXPECT_EQ(decode_value(sent[i].columns()[0], sent[i].row()[0], arena)->integer,
                static_cast<int>(i) * 2);
      const auto done = co_await sent[i].finish(context);
      EXPECT_TRUE(done.has_value());
    }
    EXPECT_TRUE(with->idle());
  });
}

TEST_F(MysqlSession, ManyTasksShareOneSession) {
  run([this]() -> task<void> {
    request_context context(on_);
    auto with = co_await opened(context, tcp_options());
    net::event all(on_);
    int left = 20;
    auto asks = [&](int from) -> task<void> {
      request_context mine(on_);
      for (int i = from; i < from + 50; ++i) {
        const std::vector<argument> values = {argument::of_int(i)};
        const auto got = co_await with->execute(mine, "SELECT ? + 1", values);
        EXPECT_TRUE(got.has_value()) << got.error().text();
        if (got.has_error()) break;
        text_arena arena;
        EXPECT_EQ(decode_value(got->columns[0], got->rows[0][0], arena)->integer, i + 1);
      }
      if (--left == 0) all.notify();
    };
    for (int i = 0; i < 20; ++i) net::spawn(on_, asks(i * 1000));
    EXPECT_TRUE((co_await all.wait(context, in_ms(20'000))).has_value());
    EXPECT_TRUE(with->idle());
  });
}

TEST_F(MysqlSession, StatementsUnderWayAreBounded) {
  run([this]() -> task<void> {
    request_context context(on_);
    auto options = unix_options();
    options->limits.pipeline_limit = 4;
    auto with = co_await opened(context, options);
    std::vector<answer> sent;
    for (int i = 0; i < 4; ++i) sent.push_back(std::move(*with->start_sql("SELECT 1")));
    EXPECT_EQ(with->start_sql("SELECT 1").error().code, errc::overloaded);
    for (answer& each : sent) EXPECT_TRUE((co_await each.finish(context)).has_value());
    EXPECT_EQ(co_await one(context, *with, "SELECT 2"), "2");
  });
}

TEST_F(MysqlSession, ResetMakesItNewAndKeepsItsSetup) {
  run([this]() -> task<void> {
    request_context context(on_);
    auto options = unix_options();
    options->setup = {"SET SESSION lock_wait_timeout = 7"};
    auto with = co_await opened(context, options);
    co_await must(context, *with, "SET @left = 5");
    co_await must(context, *with, "CREATE TEMPORARY TABLE left_behind (a INT)");
    co_await must(context, *with, "SET SESSION lock_wait_timeout = 9");
    EXPECT_TRUE((co_await with->execute(context, "SELECT 1")).has_value());
    EXPECT_TRUE((co_await with->reset(context)).has_value());
    EXPECT_EQ(with->prepared(), 0U);
    EXPECT_EQ(co_await one(context, *with, "SELECT @left"), "null");
    EXPECT_EQ(co_await one(context, *with, "SELECT @@lock_wait_timeout"), "7");
    const auto gone = co_await with->sql(context, "SELECT * FROM left_behind");
    EXPECT_EQ(server_code(gone.error()), 1146U);
    EXPECT_TRUE((co_await with->execute(context, "SELECT 1")).has_value()) << "prepared anew";
  });
}

TEST_F(MysqlSession, ALargeResultIsReadAsItIsTakenAndNotBefore) {
  run([this]() -> task<void> {
    request_context context(on_);
    auto with = co_await opened(context, tcp_options());
    // 20,000 rows of 10 KB: 200 MB, of which at most a few reads are ever here.
    net::result<answer> sent = with->start_sql(
        "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 200) "
        "SELECT /*+ SET_VAR(cte_max_recursion_depth = 1000) */ a.i * 200 + b.i, REPEAT('x', 10000) FROM n a, "
        "n b LIMIT 20000");
    EXPECT_TRUE(sent.has_value());
    std::size_t rows = 0;
    bool sizes = true;
    // Of the C library's allocator; a sanitizer's says nothing.
    const auto allocated = [] { return ::mallinfo2().uordblks + ::mallinfo2().hblkhd; };
    const std::size_t before = allocated();
    std::size_t most = 0;
    for (;;) {
      const auto row = co_await sent->next_row(context);
      EXPECT_TRUE(row.has_value()) << row.error().text();
      if (row.has_error() || !*row) break;
      ++rows;
      // While we do not ask, what arrives stays where it is.
      if (rows == 10) static_cast<void>(co_await net::sleep_until(context, in_ms(200)));
      if (rows % 10 == 1) most = std::max(most, allocated());
      sizes = sizes && sent->row()[1].size() == 10'001;
    }
    EXPECT_EQ(rows, 20'000U);
    EXPECT_TRUE(sizes);
    EXPECT_LT(most, before + 4'000'000);
    EXPECT_TRUE((co_await sent->finish(context)).has_value());
    EXPECT_EQ(co_await one(context, *with, "SELECT 1"), "1");
  });
}

TEST_F(MysqlSession, ACollectedResultIsBounded) {
  run([this]() -> task<void> {
    request_context context(on_);
    auto options = unix_options();
    options->rows_bytes_max = 100'000;
    auto with = co_await opened(context, options);
    const auto got = co_await with->sql(context, "SELECT REPEAT('x', 200000)");
    EXPECT_EQ(got.error().code, errc::too_large);
    EXPECT_TRUE((co_await with->settle(context)).has_value());
    EXPECT_EQ(co_await one(context, *with, "SELECT 1"), "1");
  });
}

TEST_F(MysqlSession, ValuesAndStatementsOfMegabytesPass) {
  run([this]() -> task<void> {
    request_context context(on_);
    for (const bool by_socket : {false, true}) {
      const auto options = by_socket ? unix_options() : tcp_options();
      auto with = co_await opened(context, options);
      const std::string large(5'000'000, 'y');
      const std::vector<argument> values = {argument::of_text(large)};
      const auto got = co_await with->execute(context, "SELECT ?, LENGTH(?1)", values);
      EXPECT_TRUE(got.has_error()) << "?1 is no MySQL";
      const auto good = co_await with->execute(context, "SELECT ?", values);
      EXPECT_TRUE(good.has_value());
      EXPECT_EQ(good->rows[0][0].size(), large.size() + 1);
    }
  });
}

TEST_F(MysqlSession, AnAnswerMayOutliveItsSession) {
  run([this]() -> task<void> {
    request_context context(on_);
    auto with = co_await opened(context, unix_options());
    net::result<answer> sent = with->start_sql("SELECT 1");
    net::result<answer> second = with->start_sql("SELECT 2");
    with.reset();
    EXPECT_EQ(sent->try_next(), step::failed);
    EXPECT_EQ(sent->failure().code, errc::closed);
    EXPECT_EQ((co_await second->next_row(context)).error().code, errc::closed);
  });
}

}  // namespace
}  // namespace syncline::storage::mysql
