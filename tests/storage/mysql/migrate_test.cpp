// Putting Syncline's objects into a schema that has rows, bringing them up to date, taking them away.

#include "tests/storage/mysql/hooked_connection.h"
#include "tests/storage/mysql/schema_fixture.h"

namespace syncline::storage::mysql {
namespace {

using namespace testing;
using ::testing::AllOf;
using ::testing::HasSubstr;
using steady = std::chrono::steady_clock;

class MysqlMigrate : public mysql_schema_test {
 protected:
  void make_notes(int rows) {
    sql("CREATE TABLE notes (id BIGINT PRIMARY KEY, owner INT, body VARCHAR(100), deleted TINYINT(1) NOT "
        "NULL DEFAULT 0, "
        "KEY (owner))");
    if (rows == 0) return;
    sql("SET SESSION cte_max_recursion_depth=10000000");
    sql("INSERT INTO notes SELECT n, IF(n%10=0,NULL,n%7), CONCAT('note ',n), n%5=0 FROM (WITH RECURSIVE s(n) "
        "AS (SELECT "
        "1 UNION ALL SELECT n+1 FROM s WHERE n<" +
        std::to_string(rows) + ") SELECT n FROM s) AS numbers");
  }
  static resource notes() {
    return make_resource("notes", "id:int64 owner:int64 body", {"id"}, {{"user", "owner"}}, "NOT deleted");
  }
};

// SYNCLINE_MIGRATE_ROWS: how many (5,000). Of very many no write may wait for the whole, or a good part of
// it.
TEST_F(MysqlMigrate, ExistingRowsGetTheirEntriesOnceWhileOthersWrite) {
  const std::string given = environment("SYNCLINE_MIGRATE_ROWS");
  const int rows = given.empty() ? 5000 : std::stoi(given);
  make_notes(rows);
  catalog all;
  all.add(notes());
  // One more session updates the rows meanwhile, each statement a transaction.
  net::core beside(3, false);
  beside.start();
  std::atomic<bool> enough{false};
  std::atomic<int> written{0};
  steady::duration longest{};  // write
  std::future<void> writing = net::testing::start_task(beside, [&]() -> task<void> {
    request_context context(beside);
    auto opening = native_connection::open(context, here());
    auto db = co_await std::move(opening);
    while (!enough) {
      const auto asked = steady::now();
      auto updating = mysql::run(
          context, **db,
          "UPDATE notes SET body=CONCAT('w',id) WHERE id=" + std::to_string(1 + written * 37 % rows));
      const auto updated = co_await std::move(updating);
      EXPECT_TRUE(updated.has_value()) << updated.error().text();
      longest = std::max(longest, steady::now() - asked);
      ++written;
    }
  });
  const auto begun = steady::now();
  std::optional<net::result<migrate_report>> made;
  net::testing::start_task(on_, [&]() -> task<void> {
    request_context context(on_);
    auto migrating = migrate(context, *db_, all, false, {});
    made.emplace(co_await std::move(migrating));
  }).get();
  enough = true;
  writing.get();
  beside.stop();
  beside.join();
  const auto took = steady::now() - begun;
  const auto seconds = [](steady::duration d) { return std::chrono::duration<double>(d).count(); };
  std::printf("%d rows numbered in %.1f s, %d writes beside, the longest %.3f s\n", rows, seconds(took),
              written.load(), seconds(longest));
  if (rows >= 100'000) {
    EXPECT_LT(longest, took / 10);
  }
  ASSERT_TRUE(made->has_value()) << made->error().text();
  const migrate_report& first = **made;
  EXPECT_EQ(first.rows_numbered, static_cast<std::uint64_t>(rows / 5 * 4))
      << "a row outside where needs none";
  EXPECT_GT(written, 0);
  EXPECT_TRUE(first.resources_restarted.empty());
  EXPECT_EQ(
      one_field("SELECT COUNT(*)=MAX(seq) AND MIN(seq)=1 AND MAX(seq)=(SELECT seq FROM syncline_clock) FROM "
                "syncline_feed"),
      "1");
  EXPECT_EQ(one_field("SELECT COUNT(*) FROM syncline_feed WHERE scope='user:3' AND `key`='3'"), "1");
  EXPECT_EQ(missing(all), lines{});
  const migrate_report second = migrated(all);
  EXPECT_EQ(second.statements, lines{});
  EXPECT_EQ(second.rows_numbered, 0U);
}

// A restored backup whose clock is moved on by a new resource's rows must not pass for what its clients know.
TEST_F(MysqlMigrate, AGenerationBeginsBeforeRowsAreNumbered) {
  make_notes(10);
  catalog all;
  all.add(notes());
  migrated(all);
  sql("CREATE TABLE tags (tag VARCHAR(20) PRIMARY KEY)");
  sql("INSERT INTO tags VALUES ('a'),('b')");
  catalog more;
  more.add(notes());
  more.add(make_resource("tags", "tag", {"tag"}));
  EXPECT_EQ(one_field("SELECT seq FROM syncline_clock"), "8");
  migrated(more);
  EXPECT_EQ(one_field("SELECT seq FROM syncline_clock"), "10");
  EXPECT_EQ(one_field("SELECT first_seq FROM syncline_generation ORDER BY number DESC LIMIT 1"), "8");
  const std::string generations = one_field("SELECT COUNT(*) FROM syncline_generation");
  migrated(more);
  EXPECT_EQ(one_field("SELECT COUNT(*) FROM syncline_generation"), generations) << "nothing was left to do";
}

TEST_F(MysqlMigrate, ADryRunTellsEverythingAndDoesNothing) {
  make_notes(3);
  catalog all;
  resource r = notes();
  r.search = {2};
  all.add(r);
  const lines would = migrated(all, true).statements;
  EXPECT_EQ(sql("SHOW TABLES"), lines{"notes"});
  EXPECT_EQ(sql("SHOW TRIGGERS"), lines{});
  const lines did = migrated(all).statements;
  ASSERT_EQ(did.size(), would.size());
  for (std::size_t i = 0; i < would.size(); ++i) EXPECT_EQ(would[i].substr(0, 60), did[i].substr(0, 60));
  EXPECT_EQ(migrated(all, true).statements, lines{});
}

TEST_F(MysqlMigrate, ADryRunTellsThatAFirstIndexStartsTheResourceOver) {
  make_notes(3);
  catalog before;
  before.add(notes());
  migrated(before);
  catalog all;
  resource r = notes();
  r.search = {2};
  all.add(r);
  const migrate_report would = migrated(all, true);
  const migrate_report did = migrated(all);
  EXPECT_EQ(would.resources_restarted, lines{"notes"});
  EXPECT_EQ(did.resources_restarted, lines{"notes"});
  ASSERT_EQ(did.statements.size(), would.statements.size());
  for (std::size_t i = 0; i < would.statements.size(); ++i)
    EXPECT_EQ(would.statements[i].substr(0, 60), did.statements[i].substr(0, 60));
}

// The index of the second rebuilds the table of both.
TEST_F(MysqlMigrate, TwoResourcesOfOneTableAreWellAfterOneRun) {
  make_notes(10);
  catalog all;
  all.add(notes());
  resource second = notes();
  second.name = "found_notes";
  second.search = {2};
  all.add(second);
  EXPECT_TRUE(migrated(all).resources_restarted.empty());
  EXPECT_EQ(missing(all), lines{});
  EXPECT_EQ(migrated(all).statements, lines{});
  // The index that the first one could use belongs to the second, which does not want it any more.
  catalog turned;
  resource first = notes();
  first.search = {2};
  turned.add(first);
  second.search.clear();
  turned.add(second);
  const auto of_indexes = [](lines all_of_them) {
    std::erase_if(all_of_them,
                  [](const std::string& each) { return each.find(" INDEX ") == std::string::npos; });
    return all_of_them;
  };
  const lines would = of_indexes(migrated(turned, true).statements);
  const lines did = of_indexes(migrated(turned).statements);
  EXPECT_EQ(did, would);
  EXPECT_EQ(did.size(), 2U) << "one goes, one comes";
  EXPECT_EQ(missing(turned), lines{});
}

TEST_F(MysqlMigrate, RemoveTakesEverythingAwayAndTheTableWorksOn) {
  make_notes(3);
  catalog all;
  resource r = notes();
  r.search = {2};
  all.add(r);
  migrated(all);
  const auto gone =
      get<migrate_report>([&](request_context& context) { return remove(context, *db_, all, false); });
  ASSERT_TRUE(gone.has_value()) << gone.error().text();
  EXPECT_EQ(sql("SHOW TABLES"), lines{"notes"});
  EXPECT_EQ(sql("SHOW TRIGGERS"), lines{});
  EXPECT_EQ(sql("SELECT INDEX_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA=DATABASE() AND "
                "INDEX_TYPE='FULLTEXT'"),
            lines{});
  sql("INSERT INTO notes VALUES (100,1,'x',0)");
}

TEST_F(MysqlMigrate, AChangedDeclarationStartsTheResourceOver) {
  make_notes(10);
  catalog all;
  all.add(make_resource("notes", "id:int64 body", {"id"}));
  migrated(all);
  EXPECT_EQ(feed().size(), 10U);
  catalog changed;
  changed.add(notes());
  const migrate_report report = migrated(changed);
  EXPECT_EQ(report.resources_restarted, lines{"notes"});
  EXPECT_EQ(one_field("SELECT incarnation FROM syncline_resource"), "2");
  EXPECT_EQ(one_field("SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA=DATABASE()"),
            "3");
  EXPECT_EQ(
      one_field("SELECT SUM(gone_at IS NOT NULL AND scope='')-COUNT(*) FROM syncline_feed WHERE scope=''"),
      "0")
      << "the old places are left to the purge";
  EXPECT_EQ(one_field("SELECT COUNT(*) FROM syncline_feed WHERE gone_at IS NULL"), "8");
}

TEST_F(MysqlMigrate, AResourceThatIsNoLongerDeclaredIsForgottenAndMayComeBack) {
  make_notes(10);
  catalog all;
  all.add(notes());
  migrated(all);
  catalog none;
  migrated(none);
  EXPECT_EQ(sql("SHOW TRIGGERS"), lines{});
  EXPECT_EQ(feed(), lines{});
  EXPECT_EQ(migrated(all).resources_restarted, lines{"notes"});
  EXPECT_EQ(one_field("SELECT incarnation FROM syncline_resource"), "2");
  EXPECT_EQ(feed().size(), 8U);
}

// Whatever happens to a table behind our back: the triggers are back and the resource starts over.
TEST_F(MysqlMigrate, ATruncatedSwappedOrDroppedTableStartsOver) {
  const std::vector<lines> events = {
      {"TRUNCATE TABLE notes"},
      {"CREATE TABLE notes_new LIKE notes", "INSERT INTO notes_new SELECT * FROM notes WHERE id<4",
       "RENAME TABLE notes TO notes_old, notes_new TO notes"},
      {"DROP TABLE notes", "CREATE TABLE notes LIKE kept"},
      {"DROP TRIGGER IF EXISTS `?`"},
  };
  for (const lines& event : events) {
    sql("DROP TABLE IF EXISTS notes, notes_old, kept");
    make_notes(10);
    sql("CREATE TABLE kept LIKE notes");
    catalog all;
    all.add(notes());
    migrated(all);
    const std::string incarnation = one_field("SELECT incarnation FROM syncline_resource");
    for (std::string statement : event) {
      if (const auto mark = statement.find('?'); mark != std::string::npos)
        statement.replace(
            mark, 1,
            sql("SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA=DATABASE() "
                "ORDER BY 1")
                .front());
      sql(statement);
    }
    EXPECT_FALSE(missing(all).empty()) << event.front();
    EXPECT_EQ(migrated(all).resources_restarted, lines{"notes"}) << event.front();
    EXPECT_NE(one_field("SELECT incarnation FROM syncline_resource"), incarnation);
    EXPECT_EQ(missing(all), lines{}) << event.front();
    EXPECT_EQ(noted_by("INSERT INTO notes VALUES (77,1,'x',0)"), lines{"notes [user:1] 77 gone"})
        << event.front();
  }
}

// The numbers of 300 partitions are longer than group_concat_max_len.
TEST_F(MysqlMigrate, ALatePartitionOfManyThatIsTruncatedStartsTheTableOver) {
  std::string partitions;
  for (int i = 1; i <= 300; ++i)
    partitions += (i == 1 ? "" : ",") + ("PARTITION p" + std::to_string(i)) + " VALUES LESS THAN (" +
                  std::to_string(i * 10) + ")";
  sql("CREATE TABLE notes (id BIGINT PRIMARY KEY, owner INT, body VARCHAR(100), deleted TINYINT(1) NOT NULL "
      "DEFAULT 0, KEY (owner)) PARTITION BY RANGE (id) (" +
      partitions + ")");
  sql("INSERT INTO notes VALUES (5,1,'a',0),(2995,1,'b',0)");
  catalog all;
  all.add(notes());
  migrated(all);
  EXPECT_TRUE(migrated(all).resources_restarted.empty());
  sql("ALTER TABLE notes TRUNCATE PARTITION p299, p300");
  EXPECT_EQ(migrated(all).resources_restarted, lines{"notes"});
  EXPECT_TRUE(migrated(all).resources_restarted.empty());
  EXPECT_EQ(missing(all), lines{});
}

TEST_F(MysqlMigrate, AnIndexOfTheOwnerStartsNothingOver) {
  make_notes(10);
  catalog all;
  resource r = notes();
  r.search = {2};
  all.add(r);
  migrated(all);
  EXPECT_EQ(missing(all), lines{});
  sql("CREATE INDEX by_body ON notes (body)");
  EXPECT_EQ(missing(all), lines{});
  EXPECT_TRUE(migrated(all).resources_restarted.empty());
}

TEST_F(MysqlMigrate, SearchUsesTheOwnersIndexOrMakesOne) {
  make_notes(3);
  sql("ALTER TABLE notes ADD title VARCHAR(50), ADD FULLTEXT KEY own (body)");
  catalog all;
  resource r = make_resource("notes", "id:int64 body title", {"id"});
  r.search = {1};
  all.add(r);
  migrated(all);
  const std::string indexes =
      "SELECT GROUP_CONCAT(DISTINCT INDEX_NAME ORDER BY 1) FROM information_schema.STATISTICS WHERE "
      "TABLE_SCHEMA=DATABASE() AND INDEX_TYPE='FULLTEXT'";
  EXPECT_EQ(one_field(indexes), "own");
  catalog wider;
  r.search = {1, 2};
  wider.add(r);
  migrated(wider);
  EXPECT_EQ(one_field(indexes), "own,syncline_search_notes");
  migrated(all);
  EXPECT_EQ(one_field(indexes), "own") << "ours no longer fits";
}

TEST_F(MysqlMigrate, WhatDoesNotFitIsRefusedWithTheReason) {
  sql("CREATE TABLE t (id BIGINT PRIMARY KEY, at TIMESTAMP NULL, big VARCHAR(300), s VARCHAR(20), e "
      "ENUM('a') NOT NULL, "
      "f DOUBLE, j JSON, UNIQUE KEY (e), KEY (at), KEY (big), KEY (f))");
  sql("CREATE TABLE m (id INT PRIMARY KEY) ENGINE=MyISAM");
  sql("CREATE VIEW v AS SELECT id, s FROM t");
  const auto reason = [&](resource r) {
    catalog all;
    all.add(std::move(r));
    return refused(all).text();
  };
  EXPECT_THAT(reason(make_resource("none", "id:int64", {"id"})), HasSubstr("there is no table \"none\""));
  EXPECT_THAT(reason(make_resource("m", "id:int64", {"id"})), HasSubstr("only InnoDB"));
  EXPECT_THAT(reason(make_resource("t", "id:int64 zzz", {"id"})), HasSubstr("no column \"zzz\""));
  EXPECT_THAT(reason(make_resource("t", "id:string", {"id"})),
              HasSubstr("is string in the config and bigint"));
  EXPECT_THAT(reason(make_resource("t", "id:int64 s", {"s"})), HasSubstr("neither the PRIMARY KEY"));
  EXPECT_THAT(reason(make_resource("t", "id:int64 at:timestamp", {"id"}, {{"a", "at"}})),
              HasSubstr("TIMESTAMP"));
  EXPECT_THAT(reason(make_resource("t", "id:int64 big", {"id"}, {{"org", "big"}})),
              HasSubstr("can be 1204 bytes"));
  EXPECT_THAT(reason(make_resource("t", "id:int64 s", {"id"}, {{"org", "s"}})),
              HasSubstr("has no index: CREATE INDEX"));
  EXPECT_THAT(reason(make_resource("t", "e", {"e"})), HasSubstr("ordered by number"));
  EXPECT_THAT(reason(make_resource("t", "id:int64 f:float64", {"id"}, {{"x", "f"}})),
              HasSubstr("no exact text"));
  EXPECT_THAT(reason(make_resource("v", "id:int64 s", {"id"})), HasSubstr("\"view\": true"));
  resource searching = make_resource("t", "id:int64 j:json s", {"id"});
  searching.search = {1};
  EXPECT_THAT(reason(searching), HasSubstr("search covers"));
  for (const char* clause :
       {"at < NOW()", "id IN (SELECT id FROM m)", "s = @x", "nonsense = 1", "id = (", "RAND() < 1"})
    EXPECT_THAT(reason(make_resource("t", "id:int64", {"id"}, {}, clause)),
                HasSubstr("it must depend on the row alone"))
        << clause;
  catalog fine;
  fine.add(make_resource("t", "id:int64 s e", {"id"}, {{"e", "e"}}, "s LIKE 'x%' OR f > 1 -- comment"));
  resource view = make_resource("v", "id:int64 s", {"id"});
  view.view = true;
  fine.add(view);
  EXPECT_TRUE(
      get<void>([&](request_context& context) { return fit_to_schema(context, *db_, fine); }).has_value());
  EXPECT_FALSE(fine.at(0).columns[0].nullable);
  EXPECT_TRUE(fine.at(0).columns[1].nullable);
}

TEST_F(MysqlMigrate, AServerThatIsTooOldOrHasSeveralPrimariesIsRefused) {
  make_notes(0);
  constexpr const char* kGroup = "SHOW GLOBAL VARIABLES LIKE 'group_replication_single_primary_mode'";
  // Some questions about itself it answers as another server would.
  const auto fitted = [&](const std::map<std::string, std::string>& instead) {
    catalog all;
    all.add(notes());
    hooked_connection server(*db_, [&](std::string& text) -> std::optional<net::error> {
      if (const auto other = instead.find(text); other != instead.end()) text = other->second;
      return std::nullopt;
    });
    const auto got = get<void>([&](request_context& context) { return fit_to_schema(context, server, all); });
    return got ? std::string("it fits") : got.error().text();
  };
  EXPECT_EQ(fitted({{"SELECT VERSION()", "SELECT '8.0.19'"}}), "it fits");
  EXPECT_THAT(fitted({{"SELECT VERSION()", "SELECT '8.0.18-log'"}}),
              HasSubstr("the server is MySQL 8.0.18-log; 8.0.19 or newer is needed"));
  EXPECT_EQ(fitted({{kGroup, "SELECT 'group_replication_single_primary_mode','ON'"}}), "it fits");
  EXPECT_THAT(fitted({{kGroup, "SELECT 'group_replication_single_primary_mode','OFF'"}}),
              HasSubstr("several primaries"));
}

// What the documentation lists is enough.
TEST_F(MysqlMigrate, AnAccountWithTheDocumentedRightsCanMigrate) {
  make_notes(10);
  const std::string user = unique("lim");
  sql("CREATE USER '" + user + "'@'%' IDENTIFIED BY 'secret'");
  sql("GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, INDEX, ALTER, TRIGGER, CREATE TEMPORARY TABLES "
      "ON " +
      schema_ + ".* TO '" + user + "'@'%'");
  auto options = here();
  options->user = user;
  options->password = "secret";
  auto limited = open_connection(options);
  catalog all;
  resource r = notes();
  r.search = {2};
  all.add(r);
  const auto report = get<migrate_report>(
      [&](request_context& context) { return migrate(context, *limited, all, false, {}); });
  ASSERT_TRUE(report.has_value()) << report.error().text();
  EXPECT_EQ(report->rows_numbered, 8U);
  EXPECT_EQ(noted_by("UPDATE notes SET body='other' WHERE id=1"), lines{"notes [user:1] 1 gone"});
  // Without PROCESS the identity is the time of creation, which TRUNCATE keeps.
  EXPECT_THAT(one_field("SELECT identity FROM syncline_resource"), HasSubstr("table= created=2"));
  const auto restarted = [&] {
    const auto again = get<migrate_report>(
        [&](request_context& context) { return migrate(context, *limited, all, false, {}); });
    EXPECT_TRUE(again.has_value()) << again.error().text();
    return again->resources_restarted;
  };
  sql("GRANT PROCESS ON *.* TO '" + user + "'@'%'");
  close(limited);
  limited = open_connection(options);  // rights beyond a schema are those of the login
  EXPECT_EQ(restarted(), lines{}) << "more is seen than before, and nothing has changed";
  sql("TRUNCATE TABLE notes");
  EXPECT_EQ(restarted(), lines{"notes"});
  const auto removed =
      get<migrate_report>([&](request_context& context) { return remove(context, *limited, all, false); });
  EXPECT_TRUE(removed.has_value()) << removed.error().text();
  close(limited);
  sql("DROP USER '" + user + "'@'%'");
}

TEST_F(MysqlMigrate, TwoNodesMayMigrateAtOnce) {
  make_notes(3000);
  catalog all;
  all.add(notes());
  auto other = open_connection(here());
  catalog same;
  same.add(notes());
  std::optional<net::result<migrate_report>> first, second;
  run([&]() -> task<void> {
    request_context context(on_);
    auto mine = [&]() -> task<void> {
      request_context own(on_);
      auto migrating = migrate(own, *other, same, false, {});
      second.emplace(co_await std::move(migrating));
    };
    std::function<task<void>()> kept = mine;
    net::spawn(on_, kept());
    auto migrating = migrate(context, *db_, all, false, {});
    first.emplace(co_await std::move(migrating));
    while (!second) static_cast<void>(co_await net::sleep_until(context, in_ms(1)));
  });
  ASSERT_TRUE(first->has_value()) << first->error().text();
  ASSERT_TRUE(second->has_value()) << second->error().text();
  EXPECT_EQ((*first)->rows_numbered + (*second)->rows_numbered, 2400U);
  EXPECT_TRUE((*first)->resources_restarted.empty() && (*second)->resources_restarted.empty());
  close(other);
}

}  // namespace
}  // namespace syncline::storage::mysql
