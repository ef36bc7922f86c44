// Large batches: inserts that undo nothing when they fail, and when they may not (plain_tables.h).
#include <algorithm>

#include "tests/storage/sqlite_store_fixture.h"

namespace syncline::storage::sqlite::testing {

class sqlite_store_bulk : public store_test {
 protected:
  // A large batch of tags t<from>…, each with `uses`, or with its number when that is 0.
  net::result<write_outcome> upload(int from, int uses) {
    batch_builder b(tags(), write_kind::upsert);
    for (int i = from; i < from + kMany; ++i) {
      const std::string tag = "t" + std::to_string(i);
      b.row({{"tag", T(tag)}, {"uses", I(uses == 0 ? i : uses)}});
    }
    return write(b);
  }
  static constexpr int kMany = 40;
  const std::string all_created_ = std::string(kMany, 'c');
};

TEST_F(sqlite_store_bulk, AnOwnersTriggerKeepsItsPolicy) {
  connection db = open_or_die(file_.path());
  run(db,
      "CREATE TABLE seen(uses INTEGER PRIMARY KEY); CREATE TRIGGER note_uses AFTER INSERT ON tags BEGIN "
      "INSERT OR IGNORE INTO seen VALUES(NEW.uses); END");
  open_store();
  EXPECT_EQ(fates(upload(0, 7)), all_created_);
  EXPECT_EQ(db.query_int("SELECT count(*) FROM seen").value(), 1);
}

TEST_F(sqlite_store_bulk, AnOwnersTriggerThatComesLaterKeepsItsPolicyToo) {
  open_store();
  ASSERT_EQ(fates(upload(0, 7)), all_created_);
  connection db = open_or_die(file_.path());
  run(db,
      "CREATE TABLE seen(uses INTEGER PRIMARY KEY); CREATE TRIGGER note_uses AFTER INSERT ON tags BEGIN "
      "INSERT OR IGNORE INTO seen VALUES(NEW.uses); END");
  EXPECT_EQ(fates(upload(1000, 7)), all_created_);
  EXPECT_EQ(db.query_int("SELECT count(*) FROM seen").value(), 1);
}

TEST_F(sqlite_store_bulk, AConstraintKeepsThePolicyThatItNames) {
  connection db = open_or_die(file_.path());
  run(db,
      "DROP TABLE tags; CREATE TABLE tags(tag TEXT COLLATE NOCASE PRIMARY KEY NOT NULL, uses INTEGER UNIQUE "
      "ON CONFLICT REPLACE)");
  open_store();
  EXPECT_EQ(fates(upload(0, 7)), all_created_);
  EXPECT_EQ(db.query_int("SELECT count(*) FROM tags").value(), 1);
}

TEST_F(sqlite_store_bulk, AFailedRowLeavesNothingBehindAndCostsNoOther) {
  open_store();
  batch_builder b(users(), write_kind::upsert);
  std::string expected;
  for (int i = 0; i < kMany; ++i) {
    const std::string email = "e" + std::to_string(i % 3 == 2 ? i - 1 : i);
    b.row({{"id", I(i)}, {"name", T("x")}, {"email", T(email)}});
    expected += i % 3 == 2 ? 'x' : 'c';
  }
  EXPECT_EQ(fates(write(b)), expected);
  connection db = open_or_die(file_.path());
  EXPECT_EQ(db.query_int("SELECT count(*) FROM users").value(),
            std::count(expected.begin(), expected.end(), 'c'));
  EXPECT_TRUE(check_feed(db, all_, false).value().clean());
}

// A damaged feed: the entry of the fifth row has no place, so neither has the row.
TEST_F(sqlite_store_bulk, ARowWhoseEntryCannotBeWrittenIsNotStored) {
  open_store();
  connection db = open_or_die(file_.path());
  run(db,
      "INSERT INTO syncline_feed(seq,resource,scope,\"key\",gone_at) SELECT seq+5,99,'','x',NULL FROM "
      "syncline_clock");
  EXPECT_EQ(fates(upload(0, 0)), "cccc" + std::string(kMany - 4, 'x'));
  EXPECT_EQ(db.query_int("SELECT count(*) FROM tags").value(), 4);
  run(db, "DELETE FROM syncline_feed WHERE resource=99");
  EXPECT_EQ(fates(upload(0, 0)), "====" + std::string(kMany - 4, 'c'));
  EXPECT_TRUE(check_feed(db, all_, false).value().clean());
}

}  // namespace syncline::storage::sqlite::testing
