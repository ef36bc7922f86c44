#include <gmock/gmock.h>

#include "tests/storage/sqlite_tables.h"

namespace syncline::storage::sqlite {
namespace {

using testing::clock_of;
using ::testing::ElementsAre;
using testing::entries_after;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::make_resource;
using testing::migrate_or_die;
using testing::open_or_die;
using testing::run;
using ::testing::UnorderedElementsAre;

struct notes_feed {
  connection db = open_or_die();
  catalog all;
  notes_feed() {
    run(db,
        "CREATE TABLE notes(id INTEGER PRIMARY KEY, owner TEXT, org TEXT, live INTEGER); CREATE INDEX o ON "
        "notes(owner);"
        "CREATE INDEX g ON notes(org)");
    all.add(
        make_resource("notes", "id:int64 owner org", {"id"}, {{"user", "owner"}, {"org", "org"}}, "live=1"));
    migrate_or_die(db, all);
    run(db, "INSERT INTO notes VALUES(1,'u','g',1),(2,'u',NULL,1),(3,NULL,'g',1),(4,'u','g',0)");
  }
  // As a connection does that has switched triggers off.
  void behind_our_back(std::string_view sql) {
    sqlite3_db_config(db.get(), SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, nullptr);
    run(db, sql);
    sqlite3_db_config(db.get(), SQLITE_DBCONFIG_ENABLE_TRIGGER, 1, nullptr);
  }
  check_report check(bool repair = false) { return check_feed(db, all, repair).value(); }
  std::uint64_t purge(std::int64_t older_than_s = 0, std::uint32_t limit = 1000) {
    return purge_tombstones(db, all, older_than_s, limit).value().deleted;
  }
  std::int64_t horizon() { return db.query_int("SELECT horizon FROM syncline_clock").value(); }
};

TEST(check_feed, AFeedWrittenByTheTriggersIsClean) {
  notes_feed n;
  run(n.db,
      "UPDATE notes SET owner='v' WHERE id=1; DELETE FROM notes WHERE id=2; UPDATE notes SET live=0 WHERE "
      "id=3");
  const check_report report = n.check();
  EXPECT_TRUE(report.clean());
  EXPECT_EQ(report.rows_checked, 1U);
  EXPECT_THAT(report.examples, IsEmpty());
}

TEST(check_feed, FindsRowsWithoutEntriesAndRepairsThem) {
  notes_feed n;
  n.behind_our_back("INSERT INTO notes VALUES(9,'u','g',1)");
  const std::int64_t before = clock_of(n.db);
  const check_report found = n.check();
  EXPECT_EQ(found.missing_entries, 2U);
  EXPECT_EQ(found.wrong_hints, 0U);
  EXPECT_THAT(found.examples, ElementsAre(HasSubstr("row 9"), HasSubstr("row 9")));
  EXPECT_EQ(clock_of(n.db), before);

  EXPECT_EQ(n.check(true).missing_entries, 2U);
  EXPECT_THAT(entries_after(n.db, before), UnorderedElementsAre("notes [user:u] 9", "notes [org:g] 9"));
  EXPECT_TRUE(n.check().clean());
  EXPECT_EQ(n.db.query_int("SELECT first_seq FROM syncline_generation ORDER BY number DESC LIMIT 1").value(),
            before)
      << "a restored backup's clock that the repair moves on would pass for what its clients know";
}

TEST(check_feed, FindsEntriesOfRowsThatAreGoneAndEntersThemAgain) {
  notes_feed n;
  n.behind_our_back(
      "DELETE FROM notes WHERE id=1; UPDATE notes SET org='h' WHERE id=3; UPDATE notes SET live=0 WHERE "
      "id=2");
  const std::int64_t before = clock_of(n.db);
  const check_report found = n.check(true);
  EXPECT_EQ(found.wrong_hints, 4U);
  EXPECT_EQ(found.missing_entries, 1U);
  EXPECT_THAT(entries_after(n.db, before),
              UnorderedElementsAre("notes [user:u] 1 gone", "notes [org:g] 1 gone", "notes [user:u] 2 gone",
                                   "notes [org:g] 3 gone", "notes [org:h] 3"));
  EXPECT_TRUE(n.check().clean());
}

TEST(check_feed, FindsEntriesOfUnknownResources) {
  notes_feed n;
  run(n.db,
      "UPDATE syncline_clock SET seq=seq+1; INSERT INTO syncline_feed SELECT seq,77,'','1',NULL FROM "
      "syncline_clock");
  EXPECT_EQ(n.check(true).unknown_resources, 1U);
  EXPECT_TRUE(n.check().clean());
}

TEST(check_feed, KeysThatNoRowCouldHaveAreGone) {
  notes_feed n;
  run(n.db,
      "UPDATE syncline_clock SET seq=seq+1; INSERT INTO syncline_feed SELECT seq,1,'user:u','01',NULL FROM "
      "syncline_clock");
  EXPECT_EQ(n.check(true).wrong_hints, 1U);
}

TEST(check_feed, ExamplesAreFew) {
  notes_feed n;
  n.behind_our_back(
      "WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i+1 FROM n WHERE i<5000) INSERT INTO notes SELECT "
      "i,'u','g',1 FROM n");
  const check_report found = n.check(true);
  EXPECT_EQ(found.missing_entries, 2U * 4901U);
  EXPECT_EQ(found.examples.size(), 20U);
  EXPECT_TRUE(n.check().clean());
}

TEST(purge_tombstones, DeletesOldTombstonesAndMovesTheHorizon) {
  notes_feed n;
  run(n.db, "DELETE FROM notes WHERE id=2");
  const std::int64_t tombstone = clock_of(n.db);
  run(n.db, "UPDATE notes SET owner='v' WHERE id=1");
  EXPECT_EQ(n.purge(3600), 0U);
  EXPECT_EQ(n.horizon(), 0);
  run(n.db, "UPDATE syncline_feed SET gone_at=gone_at-7200 WHERE \"key\"='2'");
  EXPECT_EQ(n.purge(3600), 1U);
  EXPECT_EQ(n.horizon(), tombstone);
  EXPECT_TRUE(n.check().clean());
}

TEST(purge_tombstones, NotesTheTimeAtWhichItFirstMeetsATombstone) {
  notes_feed n;
  run(n.db, "DELETE FROM notes WHERE id IN (1, 2)");
  const char* const noted =
      "SELECT count(*) FROM syncline_feed WHERE gone_at BETWEEN strftime('%s','now')-600 AND "
      "strftime('%s','now')";
  EXPECT_EQ(n.db.query_int(noted).value(), 0);
  EXPECT_EQ(n.purge(3600), 0U);
  EXPECT_EQ(n.db.query_int(noted).value(), 3);
}

TEST(purge_tombstones, NothingIsPurgedBeforeItsTimeIsNoted) {
  notes_feed n;
  run(n.db,
      "WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i+1 FROM n WHERE i<200) INSERT INTO notes SELECT "
      "i,'u',NULL,1 FROM n");
  run(n.db, "DELETE FROM notes WHERE id>=100");
  const std::int64_t before = n.db.query_int("SELECT count(*) FROM syncline_feed").value();
  EXPECT_EQ(n.purge(3600, 2), 0U);
  EXPECT_EQ(n.db.query_int("SELECT count(*) FROM syncline_feed").value(), before);
  EXPECT_EQ(n.db.query_int("SELECT count(*) FROM syncline_feed WHERE gone_at>0").value(), 20);
}

TEST(purge_tombstones, KeepsEntriesWhoseRowIsThereAfterAll) {
  notes_feed n;
  run(n.db, "UPDATE syncline_feed SET gone_at=1");
  EXPECT_EQ(n.purge(), 0U);
  EXPECT_EQ(n.horizon(), 0);
  EXPECT_EQ(n.db.query_int("SELECT count(*) FROM syncline_feed WHERE gone_at IS NOT NULL").value(), 0);
}

TEST(purge_tombstones, ALiveRowCountsAsLookedAt) {
  notes_feed n;
  run(n.db,
      "UPDATE syncline_feed SET gone_at=1; DELETE FROM notes WHERE id=1; UPDATE syncline_feed SET gone_at=1");
  const purge_result first = purge_tombstones(n.db, n.all, 0, 3).value();
  EXPECT_TRUE(first.more) << "what lies behind the live rows";
  EXPECT_LT(first.deleted, 3U);
}

TEST(purge_tombstones, TakesAtMostItsLimit) {
  notes_feed n;
  run(n.db, "DELETE FROM notes");
  const std::int64_t tombstones = n.db.query_int("SELECT count(*) FROM syncline_feed").value();
  EXPECT_EQ(n.purge(0, 2), 2U);
  EXPECT_EQ(n.db.query_int("SELECT count(*) FROM syncline_feed").value(), tombstones - 2);
  EXPECT_EQ(n.purge(), static_cast<std::uint64_t>(tombstones - 2));
  EXPECT_EQ(n.horizon(), clock_of(n.db));
}

TEST(purge_tombstones, TheHorizonNeverGoesBack) {
  notes_feed n;
  run(n.db, "UPDATE syncline_clock SET horizon=1000; DELETE FROM notes");
  EXPECT_GT(n.purge(), 0U);
  EXPECT_EQ(n.horizon(), 1000);
}

}  // namespace
}  // namespace syncline::storage::sqlite
