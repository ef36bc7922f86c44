// Dates that MySQL stores and no calendar has, as keys and scopes: 0000-00-00 without NO_ZERO_DATE,
// 2024-00-00 without NO_ZERO_IN_DATE, 2024-02-31 with ALLOW_INVALID_DATES. And what else has several texts.
#include "storage/mysql/schema.h"
#include "tests/storage/mysql/mysql_store_fixture.h"

namespace syncline::storage::mysql {
namespace {

using namespace testing;
using lines = std::vector<std::string>;

class MysqlStoreDates : public mysql_store_test {
 protected:
  void SetUp() override {
    mysql_store_test::SetUp();
    if (IsSkipped()) return;
    sql("CREATE TABLE days(day DATE NOT NULL, n INT NOT NULL, at DATETIME(1), note VARCHAR(50), PRIMARY "
        "KEY(day,n), KEY(at), KEY(day))");
    sql("CREATE TABLE moments(at DATETIME PRIMARY KEY, y YEAR, note VARCHAR(50), KEY(y))");
    all_.add(make_resource("days", "day:date n:int64 at:timestamp note", {"day", "n"},
                           {{"at", "at"}, {"day", "day"}}));
    all_.add(make_resource("moments", "at:timestamp y:int64 note", {"at"}, {{"year", "y"}}));
  }
  // As a program with the laxest sql_mode.
  void odd(const std::string& text) {
    const mysql_work work = [&](request_context& context, sql_connection& db) -> task<net::result<void>> {
      for (const std::string& each : {std::string("SET SESSION sql_mode='ALLOW_INVALID_DATES'"), text}) {
        auto asking = db.sql(context, each);
        const net::result<result_rows> done = co_await std::move(asking);
        if (!done) co_return done.error();
      }
      co_return net::result<void>();
    };
    const auto done = run_on_mysql(options_, work);
    ASSERT_TRUE(done.has_value()) << text << ": " << done.error().text();
    if (!store_) return;
    EXPECT_TRUE(eventually([&] { return value("SELECT COUNT(*) FROM syncline_pending") == "0"; }));
  }
  // 100 rows of each odd day and one of an ordinary one.
  void make_days() {
    for (const char* day : {"0000-00-00", "2024-00-00", "2024-02-31"})
      odd(std::string("INSERT INTO days(day,n,at) SELECT '") + day + "',n,'" + day +
          "' FROM (WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM s WHERE n<100) SELECT n FROM "
          "s) "
          "AS numbers");
    odd("INSERT INTO days VALUES('2024-03-01',1,'2024-03-01','last')");
  }
  std::shared_ptr<const stream> stream_of(std::string scope) {
    return store_->make_stream({{&days(), std::move(scope)}});
  }
  net::result<purge_result> purge() {
    net::result<purge_result> out = net::error();
    const mysql_work work = [&](request_context& context, sql_connection& db) -> task<net::result<void>> {
      auto purging = purge_tombstones(context, db, all_, 0, 1000);
      out = co_await std::move(purging);
      co_return net::result<void>();
    };
    const auto ran = run_on_mysql(options_, work);
    EXPECT_TRUE(ran.has_value());
    return out;
  }
  [[nodiscard]] const resource& days() const { return all_.at(5); }
  [[nodiscard]] const resource& moments() const { return all_.at(6); }
};

TEST_F(MysqlStoreDates, AFirstSyncPagesThroughThemAndItsChangesFollow) {
  make_days();
  open_store();
  page_limits small;
  small.rows_max = 7;
  const auto whole = stream_of("");
  std::optional<cursor> at;
  const lines first = follow(whole, at, small);
  ASSERT_EQ(first.size(), 301U);
  EXPECT_EQ(first.front(), "put days 0000-00-00,1");
  EXPECT_EQ(first[100], "put days 2024-00-00,1");
  EXPECT_EQ(first[200], "put days 2024-02-31,1");
  EXPECT_EQ(first.back(), "put days 2024-03-01,1");
  odd("UPDATE days SET note='new' WHERE n=50");
  EXPECT_EQ(follow(whole, at),
            (lines{"put days 0000-00-00,50", "put days 2024-00-00,50", "put days 2024-02-31,50"}));
  odd("DELETE FROM days WHERE n=50");
  EXPECT_EQ(follow(whole, at),
            (lines{"remove days 0000-00-00,50", "remove days 2024-00-00,50", "remove days 2024-02-31,50"}));
}

TEST_F(MysqlStoreDates, AScopeOfThemIsFollowed) {
  make_days();
  open_store();
  for (const std::string scope : {"day:0000-00-00", "day:2024-02-31", "at:0000-00-00T00:00:00.0Z",
                                  "at:2024-00-00T00:00:00.0Z", "at:2024-02-31T00:00:00.0Z"}) {
    SCOPED_TRACE(scope);
    const std::string day = scope.substr(scope.find(':') + 1, 10);
    page_limits small;
    small.rows_max = 30;
    std::optional<cursor> at;
    EXPECT_EQ(follow(stream_of(scope), at, small).size(), 100U);
    odd("UPDATE days SET note='" + scope + "' WHERE n=9");
    EXPECT_EQ(follow(stream_of(scope), at), lines{"put days " + day + ",9"});
  }
}

TEST_F(MysqlStoreDates, ListsAndReadsByKeyHaveThem) {
  make_days();
  open_store();
  list_query q;
  q.of = &days();
  q.what = projection::all(days());
  q.limit = 40;
  std::size_t count = 0;
  std::string last;
  for (int pages = 0; pages < 20; ++pages) {
    auto made = list(q);
    ASSERT_TRUE(made.has_value()) << made.error().text();
    count += made->slices.size();
    if (!made->slices.empty()) last = made->key(made->slices.back());
    if (!made->more) break;
    q.from = page_from::after;
    q.key = last;
  }
  EXPECT_EQ(count, 301U);
  EXPECT_EQ(last, "2024-03-01,1");
  auto made = get(days(), {"0000-00-00,3", "2024-00-00,3", "2024-02-31,3", "2024-03-01,1", "2024-02-30,3"});
  ASSERT_TRUE(made.has_value()) << made.error().text();
  EXPECT_EQ(keys_of(std::move(made)), "0000-00-00,3 2024-00-00,3 2024-02-31,3 2024-03-01,1 2024-02-30,3");
  EXPECT_EQ(row_of(days(), "0000-00-00,3"),
            R"({"day":"0000-00-00","n":3,"at":"0000-00-00T00:00:00.0Z","note":null})");
  EXPECT_EQ(row_of(days(), "2024-02-30,3"), "");
}

TEST_F(MysqlStoreDates, TheyCanBeChangedAndRemovedButNotMade) {
  make_days();
  open_store();
  for (const std::string key : {"0000-00-00,3", "2024-02-31,3"}) {
    batch_builder put(days(), write_kind::replace);
    put.row({{"note", T("mine")}});
    put.key(key);
    EXPECT_EQ(fates(write(put)), "u") << key;
    batch_builder gone(days(), write_kind::remove);
    gone.key(key);
    EXPECT_EQ(fates(write(gone)), "d") << key;
    batch_builder again(days(), write_kind::replace);
    again.row({{"note", T("again")}});
    again.key(key);
    const auto made = write(again);
    ASSERT_EQ(fates(made), "x") << key;
    EXPECT_EQ(made->rows[0].why->code, net::errc::invalid);
    EXPECT_EQ(row_of(days(), key), "");
  }
}

TEST_F(MysqlStoreDates, TombstonesOfThemArePurged) {
  make_days();
  open_store();
  odd("DELETE FROM days WHERE n<=2 AND day<'2024-03-01'");
  const auto purged = purge();
  ASSERT_TRUE(purged.has_value()) << purged.error().text();
  // Each row had a place in both scopes.
  EXPECT_EQ(purged->deleted, 12U);
}

TEST_F(MysqlStoreDates, AScopeMustBeSpelledAsInTheFeed) {
  open_store();
  for (const char* scope :
       {"at:2024-01-02 00:00:00.0", "at:2024-01-02T00:00:00Z", "at:2024-01-02T01:00:00.0+01:00"}) {
    const auto refused = page(stream_of(scope), std::nullopt);
    ASSERT_FALSE(refused.has_value()) << scope;
    EXPECT_EQ(refused.error().code, net::errc::invalid) << scope;
  }
  EXPECT_TRUE(page(stream_of("at:2024-01-02T00:00:00.0Z"), std::nullopt).has_value());
}

TEST_F(MysqlStoreDates, AColumnWhoseDigitsChangedEndsItsStreamsInsteadOfStarvingThem) {
  make_days();
  open_store();
  ASSERT_TRUE(page(stream_of("at:2024-02-31T00:00:00.0Z"), std::nullopt).has_value());
  odd("ALTER TABLE days MODIFY at DATETIME(3)");
  const auto refused = page(stream_of("at:2024-02-31T00:00:00.0Z"), std::nullopt);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, net::errc::schema_mismatch);
}

// MySQL compares 70 as 1970, and prints the year 0 as 0000.
TEST_F(MysqlStoreDates, YearsAreComparedAsTheyAreWritten) {
  open_store();
  odd("INSERT INTO moments VALUES('2024-01-01 00:00:00',0,'a'),('2024-01-02 00:00:00',1970,'b'),"
      "('0000-00-00 00:00:00',0,'c')");
  const auto of_year = [&](const std::string& y) { return store_->make_stream({{&moments(), "year:" + y}}); };
  std::optional<cursor> at;
  EXPECT_EQ(follow(of_year("0"), at),
            (lines{"put moments 0000-00-00T00:00:00Z", "put moments 2024-01-01T00:00:00Z"}));
  odd("UPDATE moments SET note='new' WHERE y=0");
  EXPECT_EQ(follow(of_year("0"), at).size(), 2U);
  const auto short_year = page(of_year("70"), std::nullopt);
  ASSERT_FALSE(short_year.has_value());
  EXPECT_EQ(short_year.error().code, net::errc::invalid);
}

}  // namespace
}  // namespace syncline::storage::mysql
