// What keeps the feed true: the schema watch, the purge, check-feed, introspection.

#include "storage/mysql/periodic_work.h"
#include "storage/mysql/schema_watch.h"
#include "storage/mysql/server_error.h"
#include "tests/storage/mysql/hooked_connection.h"
#include "tests/storage/mysql/sequencer_fixture.h"

namespace syncline::storage::mysql {
namespace {

using namespace testing;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using scopes = std::vector<std::pair<std::string, std::string>>;

class MysqlFeedUpkeep : public mysql_feed_test {
 protected:
  void SetUp() override {
    mysql_feed_test::SetUp();
    if (IsSkipped()) return;
    sql("CREATE TABLE notes (id BIGINT PRIMARY KEY, owner INT, body VARCHAR(100), deleted TINYINT(1) NOT "
        "NULL DEFAULT 0, KEY "
        "(owner))");
    all_.add(make_resource("notes", "id:int64 owner:int64 body", {"id"}, {{"user", "owner"}}, "NOT deleted"));
    migrated(all_);
  }
  std::uint64_t purged(std::int64_t older_than_s, std::uint32_t limit = 100) {
    const auto out = get<purge_result>(
        [&](request_context& context) { return purge_tombstones(context, *db_, all_, older_than_s, limit); });
    EXPECT_TRUE(out.has_value()) << out.error().text();
    return out ? out->deleted : 0;
  }
  // As the server does it every purge_interval_s.
  void purge_run() {
    mysql_options options;
    options.tombstone_days = 1;
    options.idempotency_keep_h = 1;
    const periodic_work::work work = purge_work(options, all_);
    const auto done = get<void>([&](request_context& context) { return work(context, *db_); });
    EXPECT_TRUE(done.has_value()) << done.error().text();
  }
  check_report checked(bool repair = false) {
    const auto out =
        get<check_report>([&](request_context& context) { return check_feed(context, *db_, all_, repair); });
    EXPECT_TRUE(out.has_value()) << out.error().text();
    return out ? *out : check_report{};
  }
  schema_findings watched(sql_connection& db) {
    const auto out =
        get<schema_findings>([&](request_context& context) { return check_schema(context, db, all_); });
    EXPECT_TRUE(out.has_value()) << out.error().text();
    return out ? *out : schema_findings{};
  }
  void drop_triggers() {
    for (const std::string& name :
         sql("SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA=DATABASE()"))
      sql("DROP TRIGGER " + name);
  }
  std::string horizon() { return one_field("SELECT horizon FROM syncline_clock"); }
  catalog all_;
};

TEST_F(MysqlFeedUpkeep, OldTombstonesGoAndTheHorizonMoves) {
  auto node = started(all_);
  sql("INSERT INTO notes VALUES (1,7,'a',0),(2,7,'b',0),(3,7,'c',0)");
  node->settled();
  sql("DELETE FROM notes WHERE id=2");
  sql("UPDATE notes SET deleted=1 WHERE id=3");
  EXPECT_EQ(node->settled(), 5);
  EXPECT_EQ(purged(3600), 0U);
  EXPECT_EQ(horizon(), "0");
  EXPECT_EQ(purged(0), 2U);
  EXPECT_EQ(horizon(), "5");
  EXPECT_EQ(feed(), lines{"notes [user:7] 1"}) << "it was only possibly gone";
  EXPECT_EQ(purged(0), 0U);
  EXPECT_EQ(clock_seq(), 5);
  EXPECT_TRUE(eventually([&] { return node->made->horizon() == 5; }));
}

TEST_F(MysqlFeedUpkeep, ThePurgeIsBounded) {
  auto node = started(all_);
  sql("INSERT INTO notes VALUES (1,7,'a',0),(2,7,'b',0),(3,7,'c',0)");
  sql("DELETE FROM notes");
  node->settled();
  EXPECT_EQ(purged(0, 2), 2U);
  EXPECT_EQ(purged(0, 2), 1U);
}

// Most of a batch may be rows that are there after all: those behind them are reached in the same run.
TEST_F(MysqlFeedUpkeep, ARunOfThePurgeReachesWhatLiesBehindLiveRows) {
  auto node = started(all_);
  sql("SET SESSION cte_max_recursion_depth=10000");
  sql("INSERT INTO notes SELECT n,7,'x',0 FROM (WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM s "
      "WHERE n<1210) SELECT n FROM s) AS numbers");
  sql("DELETE FROM notes WHERE id>1200");
  node->settled();
  sql("UPDATE syncline_feed SET gone_at=IF(gone_at IS NULL,1,2)");
  purge_run();
  EXPECT_EQ(one_field("SELECT COUNT(*) FROM syncline_feed"), "1200");
  EXPECT_EQ(one_field("SELECT COUNT(*) FROM syncline_feed WHERE gone_at IS NOT NULL"), "0");
}

TEST_F(MysqlFeedUpkeep, ARunOfThePurgeForgetsEveryOldRecord) {
  sql("SET SESSION cte_max_recursion_depth=10000");
  sql("INSERT INTO syncline_idempotency SELECT CONCAT('k',n),1,1,'',1,IF(n>1200,UNIX_TIMESTAMP(),1) FROM "
      "(WITH "
      "RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM s WHERE n<1203) SELECT n FROM s) AS numbers");
  purge_run();
  EXPECT_EQ(one_field("SELECT COUNT(*) FROM syncline_idempotency"), "3");
}

// A restored backup's clock that a repair moves on must not pass for what its clients know.
TEST_F(MysqlFeedUpkeep, ARepairBeginsAGenerationAndACheckWritesNothing) {
  started(all_)->settled();
  sql("INSERT INTO notes VALUES (1,7,'a',0)");
  sql("DELETE FROM syncline_pending");
  sql("UPDATE syncline_clock SET seq=5, server='who it was before the failover'");
  const std::string state =
      "SELECT CONCAT_WS(' ',seq,horizon,server,(SELECT COUNT(*) FROM syncline_generation)) FROM "
      "syncline_clock";
  const std::string before = one_field(state);
  EXPECT_EQ(checked().missing_entries, 1U);
  EXPECT_EQ(one_field(state), before);
  EXPECT_EQ(checked(true).missing_entries, 1U);
  EXPECT_EQ(clock_seq(), 6);
  EXPECT_EQ(one_field("SELECT first_seq FROM syncline_generation ORDER BY number DESC LIMIT 1"), "5");
  EXPECT_TRUE(checked().clean());
}

TEST_F(MysqlFeedUpkeep, WhatIsMissingOrWrongIsFoundAndRepaired) {
  auto node = started(all_);
  sql("INSERT INTO notes VALUES (1,7,'a',0),(2,7,'b',0),(3,NULL,'c',0),(4,7,'d',1)");
  node->settled();
  EXPECT_TRUE(checked().clean());
  EXPECT_EQ(checked().rows_checked, 3U);
  sql("DELETE FROM syncline_feed WHERE `key`='1'");
  sql("UPDATE syncline_feed SET gone_at=NULL WHERE `key`='4'");
  sql("INSERT INTO syncline_feed VALUES (999,'','x',1000,NULL),(1,'user:7','nonsense',1001,NULL)");
  sql("UPDATE syncline_clock SET seq=1001");
  const check_report found = checked();
  EXPECT_EQ(found.missing_entries, 1U);
  EXPECT_EQ(found.wrong_hints, 2U);
  EXPECT_EQ(found.unknown_resources, 1U);
  EXPECT_EQ(found.examples.size(), 4U);
  checked(true);
  EXPECT_TRUE(checked().clean());
  EXPECT_GT(clock_seq(), 1001);
  EXPECT_EQ(one_field("SELECT COUNT(*) FROM syncline_feed WHERE `key`='1' AND seq>1001"), "1");
  EXPECT_TRUE(eventually([&] { return node->made->watermark() == clock_seq(); }));
}

TEST_F(MysqlFeedUpkeep, WhatIsPendingIsNoFault) {
  sql("INSERT INTO notes VALUES (1,7,'a',0)");
  EXPECT_TRUE(checked().clean());
  auto node = started(all_);
  node->settled();
  node.reset();
  sql("DELETE FROM notes");
  EXPECT_TRUE(checked().clean());
}

TEST_F(MysqlFeedUpkeep, TheWatchStartsASwappedTableOverOnEveryNode) {
  mysql_options options;
  options.schema_check_s = 1;
  auto node = started(all_, options);
  auto other = started(all_, options);
  sql("INSERT INTO notes VALUES (1,7,'a',0),(2,7,'b',0)");
  node->settled();
  schema_watch watch(node->core, options, all_, [&](request_context& context) {
    return native_connection::open(context, node->session_of_node);
  });
  watch.start();
  EXPECT_TRUE(eventually([&] { return watch.checks() > 0; }));
  EXPECT_EQ(watch.trouble(), "");
  const std::int64_t incarnation = node->made->resources()->at(0).incarnation;
  EXPECT_EQ(node->heard.everything(), 0);
  // As an online schema change ends: rows written in between are in no feed.
  sql("CREATE TABLE notes_new LIKE notes");
  sql("INSERT INTO notes_new VALUES (1,7,'a',0),(3,8,'c',0)");
  sql("RENAME TABLE notes TO notes_old, notes_new TO notes");
  for (feed_node* each : {node.get(), other.get()}) {
    EXPECT_TRUE(eventually([&] { return each->made->resources()->at(0).incarnation == incarnation + 1; }));
    EXPECT_TRUE(eventually([&] { return each->heard.everything() == 1; }));
  }
  EXPECT_TRUE(eventually([&] { return missing(all_).empty(); }));
  EXPECT_TRUE(checked().clean());
  EXPECT_EQ(one_field("SELECT COUNT(*) FROM syncline_feed WHERE `key`='2' AND gone_at IS NOT NULL"), "1");
  sql("INSERT INTO notes VALUES (5,7,'e',0)");
  EXPECT_GT(node->settled(), 3);
  watch.stop();
}

TEST_F(MysqlFeedUpkeep, TheWatchLeavesAnotherDeclarationAlone) {
  catalog newer;
  newer.add(make_resource("notes", "id:int64 body", {"id"}));
  migrated(newer);
  const auto found =
      get<schema_findings>([&](request_context& context) { return check_schema(context, *db_, all_); });
  ASSERT_TRUE(found.has_value()) << found.error().text();
  EXPECT_THAT(found->restarted, IsEmpty());
  ASSERT_EQ(found->troubles.size(), 1U);
  EXPECT_THAT(found->troubles[0], HasSubstr("another declaration"));
  EXPECT_EQ(missing(newer), lines{});
}

// New triggers are made before the old ones are dropped, so no write falls between them.
TEST_F(MysqlFeedUpkeep, ReplacingTriggersLosesNoWrite) {
  std::atomic<bool> enough{false};
  std::atomic<int> written{0};
  net::core writer_core(7, false);
  writer_core.start();
  std::future<void> writing = net::testing::start_task(writer_core, [&]() -> task<void> {
    request_context context(writer_core);
    auto opening = native_connection::open(context, here());
    auto db = co_await std::move(opening);
    EXPECT_TRUE(db.has_value());
    while (!enough) {
      auto inserting = mysql::run(
          context, **db, "INSERT INTO notes VALUES (" + std::to_string(1000 + written) + ",7,'x',0)");
      auto inserted = co_await std::move(inserting);
      EXPECT_TRUE(inserted.has_value()) << inserted.error().text();
      ++written;
    }
  });
  catalog longer;
  longer.add(make_resource("notes", "id:int64 owner:int64 body deleted:boolean", {"id"}, {{"user", "owner"}},
                           "NOT deleted"));
  for (int i = 0; i < 4; ++i) migrated(i % 2 == 0 ? longer : all_);
  enough = true;
  writing.get();
  writer_core.stop();
  writer_core.join();
  EXPECT_GT(written, 0);
  // Each insert is in the pending table or was numbered as an existing row; with a gap some are in neither.
  EXPECT_EQ(
      one_field(
          "SELECT COUNT(*) FROM notes AS n WHERE id>=1000 AND NOT EXISTS (SELECT 1 FROM syncline_pending "
          "AS p WHERE p.`key`=CAST(n.id AS CHAR))"),
      "0");
}

// A node waits for the lock while another one migrates to a newer declaration.
TEST_F(MysqlFeedUpkeep, ANodeThatWaitedForTheMigrationOfAnotherLeavesItAlone) {
  for (const bool other_columns : {false, true}) {
    catalog newer;
    resource made =
        make_resource("notes", other_columns ? "id:int64 body" : "id:int64 owner:int64 body", {"id"},
                      other_columns ? scopes{} : scopes{{"user", "owner"}}, "NOT deleted");
    made.search = {other_columns ? 1U : 2U};
    newer.add(made);
    drop_triggers();
    bool migrated_meanwhile = false;
    hooked_connection waiting(*db_, [&](const std::string& text) -> std::optional<net::error> {
      if (migrated_meanwhile || !text.starts_with("SELECT GET_LOCK")) return std::nullopt;
      migrated_meanwhile = true;
      net::core beside(3, false);
      beside.start();
      net::testing::start_task(beside, [&]() -> task<void> {
        request_context context(beside);
        auto opening = native_connection::open(context, here());
        auto db = co_await std::move(opening);
        auto migrating = migrate(context, **db, newer, false, {});
        const auto done = co_await std::move(migrating);
        EXPECT_TRUE(done.has_value()) << done.error().text();
      }).get();
      beside.stop();
      beside.join();
      return std::nullopt;
    });
    const schema_findings looked = watched(waiting);
    EXPECT_TRUE(migrated_meanwhile);
    EXPECT_THAT(looked.restarted, IsEmpty()) << "it was well by then";
    if (other_columns) {
      EXPECT_THAT(looked.troubles, ::testing::ElementsAre(HasSubstr("another declaration")));
    } else {
      EXPECT_THAT(looked.troubles, IsEmpty());
    }
    EXPECT_EQ(missing(newer), lines{});
  }
}

TEST_F(MysqlFeedUpkeep, AKeywordIndexThatIsMissingOrAnothersIsToldAndLeft) {
  const std::string indexes =
      "SELECT GROUP_CONCAT(INDEX_NAME,':',COLUMN_NAME) FROM information_schema.STATISTICS WHERE "
      "TABLE_SCHEMA=DATABASE() AND INDEX_TYPE='FULLTEXT'";
  sql("ALTER TABLE notes ADD title VARCHAR(50)");
  sql("CREATE FULLTEXT INDEX syncline_search_notes ON notes (title)");
  migrated(all_);  // without search it goes
  EXPECT_EQ(one_field(indexes), "NULL");
  catalog searching;
  resource r = all_.at(0);
  r.search = {2};
  searching.add(r);
  const auto look = [&] {
    const auto out = get<schema_findings>(
        [&](request_context& context) { return check_schema(context, *db_, searching); });
    EXPECT_TRUE(out.has_value()) << out.error().text();
    return out ? out->troubles : lines{};
  };
  EXPECT_THAT(look(), ::testing::ElementsAre(HasSubstr("keyword index of resource notes is missing")));
  sql("CREATE FULLTEXT INDEX syncline_search_notes ON notes (title)");
  drop_triggers();  // so that there is something to make good
  look();
  EXPECT_EQ(one_field(indexes), "syncline_search_notes:title");
  EXPECT_THAT(look(), ::testing::ElementsAre(HasSubstr("covers other columns")));
  migrated(searching);
  EXPECT_EQ(one_field(indexes), "syncline_search_notes:body");
  EXPECT_THAT(look(), IsEmpty());
}

// The server looks at all its tables for the identity of one, and waits for each that is being altered.
TEST_F(MysqlFeedUpkeep, TheIdentityOfATableIsAskedForAgain) {
  const std::string identity = one_field("SELECT identity FROM syncline_resource");
  for (const int times : {3, 4}) {
    int refused = 0;
    hooked_connection busy(*db_, [&](const std::string& text) -> std::optional<net::error> {
      if (text.find("INNODB_TABLES") == std::string::npos || refused == times) return std::nullopt;
      ++refused;
      return server_error(1205, "HY000", "Lock wait timeout exceeded");
    });
    const auto looked =
        get<schema_findings>([&](request_context& context) { return check_schema(context, busy, all_); });
    EXPECT_EQ(looked.has_value(), times == 3);
    EXPECT_EQ(one_field("SELECT identity FROM syncline_resource"), identity);
  }
}

// A server whose binary log is on refuses CREATE TRIGGER to accounts without SUPER.
TEST_F(MysqlFeedUpkeep, BinaryLoggingWithoutTheRightSaysWhatToDo) {
  sql("CREATE TABLE more (id INT PRIMARY KEY)");
  catalog wider;
  wider.add(make_resource("more", "id:int64", {"id"}));
  hooked_connection refusing(*db_, [](const std::string& text) -> std::optional<net::error> {
    if (!text.starts_with("CREATE TRIGGER")) return std::nullopt;
    return server_error(1419, "HY000", "You do not have the SUPER privilege and binary logging is enabled");
  });
  const auto report = get<migrate_report>(
      [&](request_context& context) { return migrate(context, refusing, wider, false, {}); });
  ASSERT_FALSE(report.has_value());
  EXPECT_EQ(report.error().code, errc::unsupported);
  EXPECT_THAT(report.error().text(), HasSubstr("log_bin_trust_function_creators"));
  migrated(wider);
}

// Triggers were dropped and rows changed unseen; the node that puts them back dies before it says so.
TEST_F(MysqlFeedUpkeep, ACrashAfterTheTriggersWerePlacedStillStartsTheResourceOver) {
  const std::string incarnation = one_field("SELECT incarnation FROM syncline_resource");
  drop_triggers();
  sql("INSERT INTO notes VALUES (1,7,'unseen',0)");
  bool placed = false;
  hooked_connection dying(*db_, [&](const std::string& text) -> std::optional<net::error> {
    placed = placed || text.starts_with("CREATE TRIGGER");
    if (!placed || !text.starts_with("UPDATE syncline_resource")) return std::nullopt;
    return net::error(errc::down, "the node is dead");
  });
  const auto broken_off =
      get<schema_findings>([&](request_context& context) { return check_schema(context, dying, all_); });
  ASSERT_FALSE(broken_off.has_value());
  EXPECT_EQ(one_field("SELECT IS_FREE_LOCK(CONCAT('syncline.',LEFT(SHA2(DATABASE(),256),40)))"), "1");
  EXPECT_EQ(one_field("SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA=DATABASE()"),
            "3");
  EXPECT_FALSE(missing(all_).empty());
  const auto again =
      get<schema_findings>([&](request_context& context) { return check_schema(context, *db_, all_); });
  ASSERT_TRUE(again.has_value()) << again.error().text();
  EXPECT_EQ(again->restarted, lines{"notes"});
  EXPECT_NE(one_field("SELECT incarnation FROM syncline_resource"), incarnation);
  EXPECT_EQ(missing(all_), lines{});
  EXPECT_TRUE(checked().clean());
}

TEST_F(MysqlFeedUpkeep, IntrospectionPrintsWhatFits) {
  sql("CREATE TABLE users (id INT PRIMARY KEY, `na\"me` VARCHAR(9), born DATE, score DECIMAL(5,2), ok "
      "TINYINT(1), pic BLOB, "
      "prefs JSON, at DATETIME(3), where_ POINT)");
  sql("CREATE TABLE posts (id BIGINT PRIMARY KEY, author INT, FOREIGN KEY (author) REFERENCES users (id))");
  sql("CREATE TABLE log (line TEXT)");
  sql("CREATE VIEW v AS SELECT id FROM users");
  const auto text = get<std::string>([&](request_context& context) { return introspect(context, *db_); });
  ASSERT_TRUE(text.has_value()) << text.error().text();
  for (const char* part :
       {"\"users\": {", "\"na\\\"me\": \"string\"", "\"born\": \"date\"", "\"score\": \"decimal\"",
        "\"ok\": \"boolean\"", "\"pic\": \"bytes\"", "\"prefs\": \"json\"", "\"at\": \"timestamp\"",
        "// \"where_\" is left out", "// table \"log\" is left out", "\"author\" refers to \"users\"",
        "\"view\": true", "\"key\": \"id\""})
    EXPECT_THAT(*text, HasSubstr(part));
  EXPECT_THAT(*text, ::testing::Not(HasSubstr("syncline_")));
}

}  // namespace
}  // namespace syncline::storage::mysql
