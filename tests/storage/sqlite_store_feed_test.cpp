#include <filesystem>

#include "storage/sqlite/feed_front.h"
#include "tests/storage/sqlite_store_fixture.h"

namespace syncline::storage::sqlite::testing {

class sqlite_store_feed : public store_test {
 protected:
  void remove_user(std::int64_t id) {
    batch_builder b(users(), write_kind::remove);
    b.key(std::to_string(id));
    ASSERT_EQ(fates(write(b)), "d");
  }
  void move_user(std::int64_t id, std::int64_t team) {
    batch_builder b(users(), write_kind::upsert);
    b.row({{"id", I(id)}, {"name", T("user " + std::to_string(id))}, {"team", I(team)}});
    ASSERT_EQ(fates(write(b)), "u");
  }
  std::shared_ptr<const stream> all_users() { return store_->make_stream({{&users(), ""}}); }
  std::shared_ptr<const stream> team(std::int64_t id) {
    return store_->make_stream({{&users(), "team:" + std::to_string(id)}});
  }
};

TEST_F(sqlite_store_feed, ARestoredBackupIsNoticedByItsGenerations) {
  open_store();
  create_users(1, 3);
  auto what = all_users();
  std::optional<cursor> early, late;
  (void)follow(what, early);
  close_store();
  const std::string backup = file_.path() + ".backup";
  std::filesystem::copy_file(file_.path(), backup);
  open_store();
  create_users(4, 6);
  (void)follow(all_users(), late);
  close_store();
  std::filesystem::copy_file(backup, file_.path(), std::filesystem::copy_options::overwrite_existing);
  std::filesystem::remove(backup);
  open_store();
  create_users(7, 12);  // beyond the lost future's seq
  what = all_users();
  EXPECT_EQ(follow(what, late), lines{"reset unknown-generation"});
  EXPECT_EQ(follow(what, early).size(), 6U);
}

// A page of a first sync scans on while it follows the feed a few entries at a time, so its rows are newer
// than its position: a backup from between the two has the position and not the rows.
TEST_F(sqlite_store_feed, ABackupFromBetweenAFirstSyncsPositionAndItsRowsIsNoticed) {
  open_store();
  create_users(1, 20);
  auto what = all_users();
  const page_limits few{4, 1U << 20U};
  auto first = page(what, std::nullopt, few);  // rows 1 to 4
  ASSERT_TRUE(first.has_value());
  for (int i = 1; i <= 4; ++i) move_user(i, 7);
  const std::string backup = file_.path() + ".backup";
  connection db = open_or_die(file_.path());
  ASSERT_TRUE(db.exec("VACUUM INTO '" + backup + "'"));
  const std::int64_t saved = store_->watermark();
  move_user(5, 9);
  auto second = page(what, first->next, few);  // two entries, and rows 5 and 6 as they are now
  ASSERT_TRUE(second.has_value());
  ASSERT_LT(second->next.seq, saved);
  ASSERT_NE(second->bytes.find("\"team\":9"), std::string::npos);
  std::optional<cursor> until = second->next;
  close_store();
  open_store();
  EXPECT_EQ(follow(all_users(), until, few).front(), "put users 2") << "a restart is no break";
  EXPECT_EQ(until->newest(), until->seq);
  close_store();
  std::filesystem::copy_file(backup, file_.path(), std::filesystem::copy_options::overwrite_existing);
  std::filesystem::remove(backup);
  open_store();
  std::optional<cursor> early = first->next, between = second->next;
  EXPECT_EQ(follow(all_users(), between, few), lines{"reset feed-went-back"});
  EXPECT_EQ(follow(all_users(), early, few).front(), "put users 1");
}

TEST_F(sqlite_store_feed, ARestoreInPlaceWhileOpenIsNoticed) {
  open_store();
  create_users(1, 3);
  const auto what = all_users();
  std::optional<cursor> early, late;
  (void)follow(what, early);
  connection copy = open_or_die(":memory:");
  connection db = open_or_die(file_.path());
  const auto backup = [](connection& to, connection& from) {
    sqlite3_backup* b = sqlite3_backup_init(to.get(), "main", from.get(), "main");
    ASSERT_NE(b, nullptr);
    EXPECT_EQ(sqlite3_backup_step(b, -1), SQLITE_DONE);
    EXPECT_EQ(sqlite3_backup_finish(b), SQLITE_OK);
  };
  backup(copy, db);
  create_users(4, 20);
  (void)follow(what, late);
  const std::int64_t before = store_->watermark();
  backup(db, copy);
  ASSERT_TRUE(eventually([&] { return store_->watermark() < before; }));
  ASSERT_FALSE(listener_.notices().empty());
  EXPECT_TRUE(listener_.notices().back()->everything);
  create_users(30, 60);  // the seq passes what was lost
  EXPECT_EQ(follow(what, late), lines{"reset feed-went-back"});
  EXPECT_EQ(follow(what, early).size(), 31U);
}

TEST_F(sqlite_store_feed, TriggersThatVanishAreInstalledAgainAndTheResourceStartsOver) {
  open_store();
  create_users(1, 3);
  const auto what = all_users();
  std::optional<cursor> at;
  (void)follow(what, at);
  connection db = open_or_die(file_.path());
  auto names = db.query_text(
      "SELECT group_concat('DROP TRIGGER '||name, ';') FROM sqlite_schema WHERE type='trigger' AND "
      "tbl_name='users'");
  ASSERT_TRUE(names.has_value());
  run(db, *names);
  run(db, "DELETE FROM users WHERE id=1");  // nobody sees it
  ASSERT_TRUE(eventually([&] {
    std::vector<std::string> missing;
    return is_migrated(db, all_, missing).value();
  }));
  EXPECT_TRUE(eventually([&] {
    for (const auto& told : listener_.notices())
      if (told->everything) return true;
    return false;
  })) << "the row that went has no entry, and caches may have it";
  EXPECT_EQ(follow(what, at), lines{"reset declaration-changed"});
  std::optional<cursor> fresh;
  EXPECT_EQ(follow(all_users(), fresh), (lines{"put users 2", "put users 3"}));
}

TEST_F(sqlite_store_feed, ARowThatFitsNoDeclarationHoldsUpNobodyAndIsSentWhenMended) {
  open_store();
  create_users(1, 5);
  const auto what = all_users();
  std::optional<cursor> early;
  (void)follow(what, early);
  connection db = open_or_die(file_.path());
  run(db, "UPDATE users SET name=x'ff00' WHERE id IN (2, 3)");
  for (const std::uint32_t rows_max : {1U, 2U, 1000U}) {
    std::optional<cursor> fresh;
    EXPECT_EQ(follow(what, fresh, {rows_max, 1 << 20}), (lines{"put users 1", "put users 4", "put users 5"}));
  }
  // A client that has the row loses it until then.
  EXPECT_EQ(follow(what, early), (lines{"remove users 2", "remove users 3"}));
  run(db, "UPDATE users SET name='two' WHERE id=2");
  EXPECT_EQ(follow(what, early), lines{"put users 2"});
}

// A notice is read up to a limit; entries of a resource that the config does not name fill it as others do.
TEST_F(sqlite_store_feed, WhatLiesBehindManyEntriesOfNobodyIsTold) {
  open_store();
  create_users(1, 1);
  const std::int64_t at = store_->watermark();
  connection db = open_or_die(file_.path());
  run(db,
      "BEGIN; INSERT INTO syncline_feed(seq,resource,scope,key) SELECT " + std::to_string(at) +
          "+n,9999,'','k'||n FROM (WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM s WHERE n<=" +
          std::to_string(kNoticeItemsMax) + ") SELECT n FROM s); UPDATE syncline_clock SET seq=seq+" +
          std::to_string(kNoticeItemsMax + 1) + "; UPDATE users SET name='b' WHERE id=1; COMMIT");
  ASSERT_TRUE(eventually([&] { return listener_.last() > at; }));
  const auto told = listener_.notices().back();
  EXPECT_TRUE(told->everything || !told->items.empty());
}

// Batches of it follow each other, also when one finds nothing to delete; else these take 13 seconds.
TEST_F(sqlite_store_feed, APurgeGoesOnBehindLiveRowsAndForgetsEveryOldRecord) {
  options_.purge_interval_s = 1;
  options_.tombstone_days = 0;
  open_store();
  close_store();
  connection db = open_or_die(file_.path());
  const std::string numbers =
      "(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM s WHERE n<12500) SELECT n FROM s)";
  run(db, "BEGIN; INSERT INTO users(id,name) SELECT n,'x' FROM " + numbers +
              "; UPDATE syncline_feed SET gone_at=1; INSERT INTO syncline_idempotency SELECT "
              "'k'||n,1,1,x'',1,1 FROM " +
              numbers + "; COMMIT");
  open_store();
  EXPECT_TRUE(eventually([&] {
    return db.query_int("SELECT count(*) FROM syncline_feed WHERE gone_at IS NOT NULL").value() == 0 &&
           db.query_int("SELECT count(*) FROM syncline_idempotency").value() == 0;
  }));
  EXPECT_EQ(db.query_int("SELECT count(*) FROM syncline_feed").value(), 12500);
}

}  // namespace syncline::storage::sqlite::testing
