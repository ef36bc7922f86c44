// A table that is emptied by TRUNCATE at each moment of a migration: what clients have of it must go.

#include <functional>

#include "storage/mysql/schema_watch.h"
#include "tests/storage/mysql/hooked_connection.h"
#include "tests/storage/mysql/schema_fixture.h"

namespace syncline::storage::mysql {
namespace {

using namespace testing;

class MysqlTruncate : public mysql_schema_test {
 protected:
  void SetUp() override {
    mysql_schema_test::SetUp();
    if (IsSkipped()) return;
    other_.start();
    net::testing::start_task(other_, [this]() -> task<void> {
      request_context context(other_);
      auto options = here();
      options->setup = {"SET SESSION lock_wait_timeout=1"};
      auto opening = native_connection::open(context, options);
      auto made = co_await std::move(opening);
      EXPECT_TRUE(made.has_value()) << made.error().text();
      if (made) owner_ = std::move(*made);
    }).get();
  }
  void TearDown() override {
    if (db_ != nullptr) {
      net::testing::run_on(other_, [this] { owner_.reset(); });
      other_.stop();
      other_.join();
    }
    mysql_schema_test::TearDown();
  }

  // As the owner does it, on a connection of his own, while the caller's core waits. False: the table is
  // locked.
  bool truncate() {
    bool done = false;
    net::testing::start_task(other_, [&]() -> task<void> {
      request_context context(other_);
      auto emptying = mysql::run(context, *owner_, "TRUNCATE TABLE notes");
      done = (co_await std::move(emptying)).has_value();
    }).get();
    return done;
  }
  static resource notes(bool search) {
    resource out = make_resource("notes", "id:int64 body", {"id"});
    if (search) out.search = {1};
    return out;
  }
  void begin_anew() {
    if (!sql("SHOW TABLES LIKE 'notes'").empty()) {
      catalog none;
      migrated(none);
      sql("DROP TABLE notes");
    }
    sql("CREATE TABLE notes (id BIGINT PRIMARY KEY, body VARCHAR(100))");
    sql("INSERT INTO notes VALUES (1,'a'),(2,'b'),(3,'c')");
    catalog all;
    all.add(notes(false));
    migrated(all);
  }
  [[nodiscard]] std::string incarnation() { return one_field("SELECT incarnation FROM syncline_resource"); }

  // Empties the table before each statement in turn of a migration to `to`, after `broken` was done to it.
  void at_each_statement(const resource& to, const std::function<void()>& broken) {
    bool more = true;
    int emptied = 0;
    for (int nth = 1; more; ++nth) {
      begin_anew();
      const std::string before = incarnation();
      broken();
      catalog all;
      all.add(to);
      int statements = 0;
      bool done = false;
      std::string at;
      hooked_connection hooked(*db_, [&](const std::string& text) -> std::optional<net::error> {
        // Where the table is locked, before the next statement.
        if (++statements >= nth && !done && (done = truncate())) at = text;
        return std::nullopt;
      });
      const auto made = get<migrate_report>(
          [&](request_context& context) { return migrate(context, hooked, all, false, {}); });
      ASSERT_TRUE(made.has_value()) << made.error().text();
      more = done;
      if (!done) break;
      ++emptied;
      const auto looked =
          get<schema_findings>([&](request_context& context) { return check_schema(context, *db_, all); });
      ASSERT_TRUE(looked.has_value()) << looked.error().text();
      EXPECT_EQ(one_field("SELECT COUNT(*) FROM syncline_feed WHERE gone_at IS NULL"), "0")
          << nth << ": " << at;
      EXPECT_NE(incarnation(), before) << nth << ": " << at;
      EXPECT_EQ(missing(all), lines{}) << nth << ": " << at;
    }
    EXPECT_GT(emptied, 10);
  }

  net::core other_{7, false};
  std::unique_ptr<sql_connection> owner_;
};

TEST_F(MysqlTruncate, WhileTriggersArePlacedIsNoticed) {
  at_each_statement(notes(false), [this] {
    sql("DROP TRIGGER " + one_field("SELECT MIN(TRIGGER_NAME) FROM information_schema.TRIGGERS WHERE "
                                    "TRIGGER_SCHEMA=DATABASE()"));
  });
}

// The index rebuilds the table, which gives it another identity, and so does TRUNCATE.
TEST_F(MysqlTruncate, WhileAnIndexIsPlacedIsNoticed) {
  at_each_statement(notes(true), [] {});
}

}  // namespace
}  // namespace syncline::storage::mysql
