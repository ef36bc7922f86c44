// Triggers that note which rows' words have changed, and the refresh of the search table from those notes.
#include <gtest/gtest.h>

#include "storage/sqlite/search_refresh.h"
#include "storage/sqlite/triggers.h"
#include "tests/storage/sqlite_tables.h"

namespace syncline::storage::sqlite {
namespace {

using testing::make_resource;
using testing::migrate_or_die;
using testing::open_or_die;
using testing::run;

struct search_database {
  connection db = open_or_die();
  catalog all;
  search_database() {
    run(db,
        "CREATE TABLE notes(id INTEGER PRIMARY KEY, title TEXT, rank TEXT, size INTEGER, slug TEXT UNIQUE)");
    resource notes = make_resource("notes", "id:int64 title rank size:int64", {"id"});
    notes.search = {1, 2};
    all.add(std::move(notes));
    migrate_or_die(db, all);
  }
  std::uint64_t refresh(std::uint64_t rows_max = UINT64_MAX) {
    const auto plans = table_plans::read(db, all);
    const auto ids = resource_rows(db, all);
    EXPECT_TRUE(plans.has_value() && ids.has_value());
    const auto made = refresh_search(db, all, *plans, *ids, rows_max);
    EXPECT_TRUE(made.has_value()) << made.error().text();
    return made ? *made : 0;
  }
  std::int64_t noted() { return db.query_int("SELECT count(*) FROM syncline_search_dirty").value(); }
  std::vector<std::int64_t> found(std::string_view words) {
    refresh();
    std::vector<std::int64_t> out;
    auto s = db.prepare(
        "SELECT notes.id FROM syncline_search_notes AS f JOIN notes ON notes.id=f.rowid WHERE "
        "f.syncline_search_notes MATCH ?1 "
        "ORDER BY notes.id");
    EXPECT_TRUE(s.has_value()) << s.error().text();
    s->bind(1, words);
    while (s->step() == SQLITE_ROW) out.push_back(s->integer(0));
    return out;
  }
};

TEST(sqlite_search_triggers, WordsFollowInsertUpdateDeleteAndKeyChange) {
  search_database n;
  run(n.db, "INSERT INTO notes VALUES(1,'red apple','first',1,'a'),(2,'green pear','second',2,'b')");
  EXPECT_EQ(n.found("app*"), (std::vector<std::int64_t>{1}));
  EXPECT_EQ(n.found("second"), (std::vector<std::int64_t>{2}));
  run(n.db, "UPDATE notes SET title='blue plum' WHERE id=1");
  EXPECT_TRUE(n.found("apple").empty());
  EXPECT_EQ(n.found("plum"), (std::vector<std::int64_t>{1}));
  run(n.db, "UPDATE notes SET id=9 WHERE id=1");
  EXPECT_EQ(n.found("plum"), (std::vector<std::int64_t>{9}));
  run(n.db, "DELETE FROM notes WHERE id=2");
  EXPECT_TRUE(n.found("pear").empty());
}

TEST(sqlite_search_triggers, ARowIsNotedOnceAndOnlyWhenItsWordsMayHaveChanged) {
  search_database n;
  run(n.db, "INSERT INTO notes VALUES(1,'red apple','first',1,'a'),(2,'green pear','second',2,'b')");
  EXPECT_EQ(n.noted(), 2);
  run(n.db, "UPDATE notes SET title='blue plum'; UPDATE OR FAIL notes SET rank='x'");
  run(n.db, "INSERT OR ABORT INTO notes VALUES(1,'a','b',1,'a') ON CONFLICT DO UPDATE SET title='kiwi'");
  EXPECT_EQ(n.noted(), 2);
  EXPECT_EQ(n.refresh(), 2U);
  EXPECT_EQ(n.noted(), 0);
  run(n.db, "UPDATE notes SET size=7, slug=slug||'x'");
  EXPECT_EQ(n.noted(), 0);
  EXPECT_EQ(n.found("kiwi"), (std::vector<std::int64_t>{1}));
  EXPECT_EQ(n.found("plum"), (std::vector<std::int64_t>{2}));
}

TEST(sqlite_search_triggers, WordsAreRefreshedInSlices) {
  search_database n;
  run(n.db,
      "WITH RECURSIVE i(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM i WHERE i<10) INSERT INTO notes SELECT "
      "i,'word','x',i,i FROM i");
  EXPECT_EQ(n.refresh(4), 4U);
  EXPECT_EQ(n.noted(), 6);
  EXPECT_EQ(n.refresh(4), 4U);
  EXPECT_EQ(n.refresh(4), 2U);
  EXPECT_EQ(n.refresh(4), 0U);
  EXPECT_EQ(n.found("word").size(), 10U);
}

TEST(sqlite_search_triggers, AConnectionThatTrustsNoSchemaMayWriteToASearchedTable) {
  search_database n;
  run(n.db, "PRAGMA trusted_schema=OFF");
  run(n.db, "INSERT INTO notes VALUES(1,'red apple','first',1,'a')");
  run(n.db, "UPDATE notes SET title='blue plum'; REPLACE INTO notes VALUES(1,'kiwi','x',1,'a')");
  EXPECT_EQ(n.found("kiwi"), (std::vector<std::int64_t>{1}));
  run(n.db, "DELETE FROM notes");
  EXPECT_TRUE(n.found("kiwi").empty());
}

TEST(sqlite_search_triggers, WordsSurviveUpsertAndReplace) {
  search_database n;
  run(n.db, "INSERT INTO notes VALUES(1,'red','x',1,'a'),(2,'green','x',2,'b')");
  run(n.db,
      "INSERT INTO notes VALUES(1,'pink','x',1,'a') ON CONFLICT(id) DO UPDATE SET title=excluded.title");
  run(n.db, "REPLACE INTO notes VALUES(2,'teal','x',2,'b')");
  run(n.db, "REPLACE INTO notes VALUES(3,'cyan','x',2,'b')");  // displaces 2 by slug
  EXPECT_TRUE(n.found("red").empty());
  EXPECT_TRUE(n.found("green").empty());
  EXPECT_TRUE(n.found("teal").empty());
  EXPECT_EQ(n.found("pink"), (std::vector<std::int64_t>{1}));
  EXPECT_EQ(n.found("cyan"), (std::vector<std::int64_t>{3}));
  run(n.db, "INSERT INTO notes VALUES(2,'gold','x',2,'c')");
  EXPECT_TRUE(n.found("teal").empty());
  EXPECT_EQ(n.found("gold"), (std::vector<std::int64_t>{2}));
}

}  // namespace
}  // namespace syncline::storage::sqlite
