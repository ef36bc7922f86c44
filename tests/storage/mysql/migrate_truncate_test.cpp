// A table that is emptied by TRUNCATE at each moment of a migration: what clients have of it must go.

#include <functional>

#include "storage/mysql/schema_watch.h"
#include "tests/storage/mysql/hooked_connection.h"
#include "tests/storage/mysql/schema_fixture.h"

namespace syncline::storage::mysql {
namespace {

using namespace testing;

// Each takes a second or two of making and dropping tables.
constexpr int kEvery = 3;

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
      auto counting =
          query(context, *owner_,
                "SELECT (SELECT incarnation FROM syncline_resource WHERE identity NOT LIKE '% old%'), "
                "(SELECT COUNT(*) FROM syncline_feed WHERE gone_at IS NULL)");
      const auto counted = co_await std::move(counting);
      auto emptying = mysql::run(context, *owner_, "TRUNCATE TABLE notes");
      done = (co_await std::move(emptying)).has_value();
      // What a client that is up to date has at this moment.
      EXPECT_TRUE(counted.has_value());
      if (!done || !counted) co_return;
      clients_rows_ = counted->front().integer(1);
      clients_incarnation_ = counted->front().null(0) ? "" : counted->front().text(0);
    }).get();
    return done;
  }
  static resource notes(std::vector<std::size_t> search = {}) {
    resource out = make_resource("notes", "id:int64 body title", {"id"});
    out.search.assign(search.begin(), search.end());
    return out;
  }
  void begin_anew(const resource& as) {
    clients_rows_ = 0;
    clients_incarnation_.clear();
    if (!sql("SHOW TABLES LIKE 'notes'").empty()) {
      catalog none;
      migrated(none);
      sql("DROP TABLE notes");
    }
    sql("CREATE TABLE notes (id BIGINT PRIMARY KEY, body VARCHAR(100), title VARCHAR(100))");
    sql("INSERT INTO notes VALUES (1,'a','t'),(2,'b','t'),(3,'c','t')");
    catalog all;
    all.add(as);
    migrated(all);
  }

  using work = std::function<net::result<void>(sql_connection&, catalog&)>;
  net::result<void> migrate_on(sql_connection& db, catalog& all) {
    const auto made =
        get<migrate_report>([&](request_context& context) { return migrate(context, db, all, false, {}); });
    return made ? net::result<void>() : made.error();
  }
  net::result<void> watch_on(sql_connection& db, catalog& all) {
    const auto looked =
        get<schema_findings>([&](request_context& context) { return check_schema(context, db, all); });
    return looked ? net::result<void>() : looked.error();
  }
  // Empties the table before every third statement in turn of `doing`, which brings it from one declaration
  // to the next. Returns how many moments there were.
  int at_each_statement(const resource& from, const resource& to, const work& doing) {
    int emptied = 0;
    for (int nth = 1, done_at = 0;; nth = done_at + kEvery) {
      begin_anew(from);
      before();
      catalog all;
      all.add(to);
      int statements = 0;
      bool done = false;
      std::string at;
      hooked_connection hooked(*db_, [&](const std::string& text) -> std::optional<net::error> {
        // Where the table is locked, before the next statement.
        if (++statements >= nth && !done && (done = truncate())) {
          at = text;
          done_at = statements;
        }
        return std::nullopt;
      });
      const auto did = doing(hooked, all);
      EXPECT_TRUE(did.has_value()) << at << ": " << (did ? "" : did.error().text());
      if (!did || !done) return emptied;
      ++emptied;
      const auto looked = watch_on(*db_, all);
      EXPECT_TRUE(looked.has_value()) << at << ": " << (looked ? "" : looked.error().text());
      EXPECT_EQ(one_field("SELECT COUNT(*) FROM syncline_feed WHERE gone_at IS NULL"), "0")
          << nth << ": " << at;
      if (clients_rows_ != 0 && !clients_incarnation_.empty()) {
        EXPECT_NE(one_field("SELECT incarnation FROM syncline_resource"), clients_incarnation_)
            << nth << ": " << at;
      }
      EXPECT_EQ(missing(all), lines{}) << nth << ": " << at;
    }
  }
  // What was done to it before, unseen.
  std::function<void()> before = [] {};

  net::core other_{7, false};
  std::unique_ptr<sql_connection> owner_;
  std::int64_t clients_rows_ = 0;
  std::string clients_incarnation_;
};

TEST_F(MysqlTruncate, WhileTriggersArePlacedIsNoticed) {
  before = [this] {
    sql("DROP TRIGGER " + one_field("SELECT MIN(TRIGGER_NAME) FROM information_schema.TRIGGERS WHERE "
                                    "TRIGGER_SCHEMA=DATABASE()"));
  };
  EXPECT_GT(at_each_statement(notes(), notes(),
                              [this](sql_connection& db, catalog& all) { return watch_on(db, all); }),
            5);
}

// The first such index rebuilds the table, which gives it another identity, and so does TRUNCATE.
TEST_F(MysqlTruncate, WhileTheFirstIndexIsPlacedIsNoticed) {
  EXPECT_GT(at_each_statement(notes(), notes({1}),
                              [this](sql_connection& db, catalog& all) { return migrate_on(db, all); }),
            5);
}

// Another index leaves the table and the resource as they are.
TEST_F(MysqlTruncate, WhileAnotherIndexIsPlacedIsNoticed) {
  begin_anew(notes({1}));
  const std::string incarnation = one_field("SELECT incarnation FROM syncline_resource");
  catalog wider;
  wider.add(notes({1, 2}));
  EXPECT_TRUE(migrated(wider).resources_restarted.empty());
  EXPECT_EQ(one_field("SELECT incarnation FROM syncline_resource"), incarnation);
  EXPECT_GT(at_each_statement(notes({1}), notes({1, 2}),
                              [this](sql_connection& db, catalog& all) { return migrate_on(db, all); }),
            5);
}

}  // namespace
}  // namespace syncline::storage::mysql
