#include "storage/mysql/blocking_run.h"

#include <stdexcept>

#include <gtest/gtest.h>

#include "tests/storage/mysql/mysql_fixture.h"

namespace syncline::storage::mysql {
namespace {

using namespace testing;

class MysqlBlockingRun : public mysql_test {
 protected:
  [[nodiscard]] mysql_options options() const {
    mysql_options out;
    out.primary = *unix_options();
    out.lock_wait_timeout_s = 7;
    return out;
  }
};

TEST_F(MysqlBlockingRun, GivesASessionInWhichTextsAndTimesHaveOneMeaning) {
  std::string found;
  const mysql_work work = [&](request_context& context, sql_connection& db) -> task<net::result<void>> {
    auto asking = db.sql(context,
                         "SELECT CONCAT_WS('|', @@time_zone, @@sql_mode, @@transaction_isolation, "
                         "@@autocommit, @@innodb_lock_wait_timeout, @@character_set_results)");
    net::result<result_rows> got = co_await std::move(asking);
    if (!got) co_return got.error();
    text_arena arena;
    found = decode_value(got->columns[0], got->rows[0][0], arena)->text;
    co_return net::result<void>();
  };
  const auto done = run_on_mysql(options(), work);
  ASSERT_TRUE(done.has_value()) << done.error().text();
  EXPECT_EQ(found,
            "+00:00|NO_AUTO_VALUE_ON_ZERO,STRICT_TRANS_TABLES,ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION|"
            "READ-COMMITTED|1|7|utf8mb4");
}

TEST_F(MysqlBlockingRun, TheErrorOfTheConnectOrOfTheWorkComesBack) {
  bool ran = false;
  const mysql_work fails = [&](request_context&, sql_connection&) -> task<net::result<void>> {
    ran = true;
    co_return net::error(errc::conflict, "no");
  };
  auto wrong = options();
  wrong.primary.password = "wrong";
  EXPECT_EQ(run_on_mysql(wrong, fails).error().code, errc::down);
  EXPECT_FALSE(ran);
  EXPECT_EQ(run_on_mysql(options(), fails).error().code, errc::conflict);
  const mysql_work throws = [&](request_context&, sql_connection&) -> task<net::result<void>> {
    throw std::runtime_error("thrown");
    co_return net::result<void>();
  };
  EXPECT_THROW(static_cast<void>(run_on_mysql(options(), throws)), std::runtime_error);
}

// As an index of a large table, which says nothing until it is done.
TEST_F(MysqlBlockingRun, WorkMayTakeLongerThanTheStoresSilence) {
  auto short_of_patience = options();
  short_of_patience.primary.limits.silence_timeout_ms = 100;
  const mysql_work slow = [](request_context& context, sql_connection& db) -> task<net::result<void>> {
    auto asking = db.sql(context, "SELECT SLEEP(1)");
    const net::result<result_rows> got = co_await std::move(asking);
    if (!got) co_return got.error();
    co_return net::result<void>();
  };
  const auto done = run_on_mysql(short_of_patience, slow);
  EXPECT_TRUE(done.has_value()) << done.error().text();
}

TEST_F(MysqlBlockingRun, AHostMayBeAName) {
  mysql_options by_name;
  by_name.primary = *tcp_options();
  by_name.primary.host = "localhost";
  const mysql_work nothing = [](request_context&, sql_connection&) -> task<net::result<void>> {
    co_return net::result<void>();
  };
  const auto done = run_on_mysql(by_name, nothing);
  EXPECT_TRUE(done.has_value()) << done.error().text();
}

}  // namespace
}  // namespace syncline::storage::mysql
