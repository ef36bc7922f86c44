#include <algorithm>

#include "tests/store/store_fixture.h"

namespace syncline::storage::testing {

class StoreFeed : public store_suite {
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
INSTANTIATE_TEST_SUITE_P(On, StoreFeed, every_engine(), ::testing::PrintToStringParamName());

TEST_P(StoreFeed, AFirstSyncPagesThroughTheRowsAndThenFollows) {
  open_store();
  create_users(1, 5);
  const auto what = all_users();
  auto first = page(what, std::nullopt, {2, 1 << 20});
  ASSERT_TRUE(first.has_value()) << first.error().text();
  ASSERT_EQ(first->changes.size(), 2U);
  EXPECT_TRUE(first->changes[0].put);
  EXPECT_EQ(first->row(first->changes[0]),
            R"({"id":1,"name":"user 1","email":null,"team":1,"state":{},"score":1.5,"deleted_at":null})");
  EXPECT_FALSE(first->up_to_date);
  std::optional<cursor> at = first->next;
  EXPECT_EQ(follow(what, at, {2, 1 << 20}), (lines{"put users 3", "put users 4", "put users 5"}));
  EXPECT_FALSE(at->scanning.has_value());
  EXPECT_EQ(follow(what, at), lines{});
  create_users(6, 6);
  remove_user(2);
  EXPECT_EQ(follow(what, at), (lines{"put users 6", "remove users 2"}));
}

TEST_P(StoreFeed, ChangesDuringAFirstSyncReachTheClient) {
  open_store();
  create_users(1, 6);
  const auto what = all_users();
  auto first = page(what, std::nullopt, {3, 1 << 20});
  ASSERT_TRUE(first.has_value());
  std::optional<cursor> at = first->next;
  remove_user(1);      // sent already
  remove_user(5);      // not sent yet
  create_users(0, 0);  // before the scan's place
  const lines rest = follow(what, at, {100, 1 << 20});
  EXPECT_EQ(rest, (lines{"remove users 1", "remove users 5", "put users 0", "put users 4", "put users 6"}));
}

// Rows before the scan's place that change with every page fill its bytes again and again.
TEST_P(StoreFeed, ABusyTableDoesNotHoldUpAFirstSync) {
  open_store();
  create_users(1, 40);
  const auto what = all_users();
  const page_limits few{100, 600};  // some six rows
  auto first = page(what, std::nullopt, few);
  ASSERT_TRUE(first.has_value());
  std::optional<cursor> at = first->next;
  int pages = 1;
  for (; pages < 60 && at->scanning; ++pages) {
    for (std::int64_t id = 1; id <= 10; ++id) move_user(id, 100 + pages);
    auto next = page(what, at, few);
    ASSERT_TRUE(next.has_value()) << next.error().text();
    at = next->next;
  }
  EXPECT_FALSE(at->scanning.has_value()) << "after " << pages << " pages";
}

TEST_P(StoreFeed, ARowThatMovesLeavesOneScopeAndEntersTheOther) {
  open_store();
  create_users(1, 3, 1);
  create_users(4, 5, 2);
  const auto one = team(1);
  const auto two = team(2);
  const auto both = store_->make_stream({{&users(), "team:1"}, {&users(), "team:2"}});
  const auto whole = all_users();
  std::optional<cursor> at_one, at_two, at_both, at_whole;
  EXPECT_EQ(follow(one, at_one), (lines{"put users 1", "put users 2", "put users 3"}));
  EXPECT_EQ(follow(two, at_two), (lines{"put users 4", "put users 5"}));
  EXPECT_EQ(follow(both, at_both).size(), 5U);
  EXPECT_EQ(follow(whole, at_whole).size(), 5U);
  move_user(2, 2);
  EXPECT_EQ(follow(one, at_one), lines{"remove users 2"});
  EXPECT_EQ(follow(two, at_two), lines{"put users 2"});
  // The row left one part of this stream and is still in another: it must not be removed.
  EXPECT_EQ(follow(both, at_both), lines{"put users 2"});
  EXPECT_EQ(follow(whole, at_whole), lines{"put users 2"});
}

// It goes from a part that was read to one whose scan is still to come, and from there away.
TEST_P(StoreFeed, ARowThatMovesAheadOfTheScanAndIsDeletedDoesNotStay) {
  open_store();
  create_users(1, 5, 1);
  const auto what = store_->make_stream({{&users(), "team:1"}, {&users(), "team:2"}});
  for (const bool deleted : {false, true}) {
    auto first = page(what, std::nullopt, {2, 1 << 20});
    ASSERT_TRUE(first.has_value());
    ASSERT_EQ(first->changes.size(), 2U);
    move_user(1, 2);
    auto second = page(what, first->next, {2, 1 << 20});
    ASSERT_TRUE(second.has_value());
    ASSERT_FALSE(second->changes.empty());
    EXPECT_EQ(second->key(second->changes[0]), "1");
    EXPECT_TRUE(second->changes[0].put) << "by the part that is still to come";
    if (deleted) remove_user(1);
    std::optional<cursor> at = second->next;
    const lines rest = follow(what, at, {2, 1 << 20});
    std::string last;
    for (const std::string& line : rest)
      if (line.ends_with(" users 1")) last = line;
    EXPECT_EQ(last, deleted ? "remove users 1" : "put users 1");
    if (!deleted) move_user(1, 1);
  }
}

// Cut behind the first rows of a part, before a cursor of it: the client may hold them.
TEST_P(StoreFeed, ACursorBeforeAPartStillTellsOfItsRemovals) {
  open_store();
  create_users(1, 2, 1);
  create_users(3, 4, 2);
  const auto what = store_->make_stream({{&users(), "team:1"}, {&users(), "team:2"}});
  auto first = page(what, std::nullopt, {2, 1 << 20});
  ASSERT_TRUE(first.has_value());
  ASSERT_TRUE(first->next.scanning && first->next.scanning->part == 1 && !first->next.scanning->begun);
  auto cut = page(what, first->next, {2, 1 << 20});
  ASSERT_TRUE(cut.has_value());
  ASSERT_EQ(cut->changes.size(), 2U);
  remove_user(3);
  std::optional<cursor> at = first->next;
  EXPECT_EQ(follow(what, at, {2, 1 << 20}), (lines{"remove users 3", "put users 4"}));
}

TEST_P(StoreFeed, PagesAreCutByRowsAndBytesAndLoseNothing) {
  open_store();
  const auto what = store_->make_stream({{&users(), ""}, {&notes(), ""}});
  std::optional<cursor> at;
  EXPECT_EQ(follow(what, at), lines{});
  create_users(1, 20);
  batch_builder b(notes(), write_kind::upsert);
  for (int i = 0; i < 20; ++i) b.row({{"owner", T("o")}, {"n", I(i)}});
  ASSERT_TRUE(write(b).has_value());
  std::optional<cursor> by_rows = at, by_bytes = at;
  EXPECT_EQ(follow(what, by_rows, {1, 1 << 20}).size(), 40U);
  EXPECT_EQ(follow(what, by_bytes, {1000, 10}).size(), 40U);
  auto small = page(what, at, {1000, 300});
  ASSERT_TRUE(small.has_value());
  EXPECT_LE(small->bytes.size(), 300U);
  EXPECT_GE(small->changes.size(), 2U);
}

TEST_P(StoreFeed, ACursorOfAnotherDeclarationStartsOver) {
  open_store();
  create_users(1, 2);
  std::optional<cursor> at;
  (void)follow(team(1), at);
  std::optional<cursor> other = at;
  EXPECT_EQ(follow(team(2), other), lines{"reset declaration-changed"});
  cursor foreign = *at;
  foreign.generation ^= 1;
  other = foreign;
  EXPECT_EQ(follow(team(1), other), lines{"reset unknown-generation"});
  foreign = *at;
  foreign.seq += 1000;
  other = foreign;
  EXPECT_EQ(follow(team(1), other), lines{"reset feed-went-back"});
}

TEST_P(StoreFeed, ACursorBelowTheHorizonStartsOver) {
  open_store();
  create_users(1, 5);
  const auto what = all_users();
  std::optional<cursor> old, fresh;
  (void)follow(what, old);
  for (int i = 1; i <= 3; ++i) remove_user(i);
  (void)follow(what, fresh);
  const auto purged = database_->purge(all_, -10);
  ASSERT_TRUE(purged.has_value()) << purged.error().text();
  EXPECT_GT(*purged, 0U);
  EXPECT_EQ(follow(what, old), lines{"reset history-purged"});
  EXPECT_EQ(follow(what, fresh), lines{});
}

TEST_P(StoreFeed, ARestartKeepsCursorsAlsoInTheMiddleOfAFirstSync) {
  open_store();
  create_users(1, 6);
  auto what = all_users();
  std::optional<cursor> done;
  (void)follow(what, done);
  auto first = page(what, std::nullopt, {3, 1 << 20});
  std::optional<cursor> middle = first->next;
  close_store();
  run("DELETE FROM users WHERE id=2; INSERT INTO users(id,name,team) VALUES(9,'nine',1)");
  open_store();
  what = all_users();
  EXPECT_EQ(follow(what, done), (lines{"remove users 2", "put users 9"}));
  EXPECT_EQ(follow(what, middle, {100, 1 << 20}), (lines{"remove users 2", "put users 9", "put users 4",
                                                         "put users 5", "put users 6", "put users 9"}));
}

TEST_P(StoreFeed, TheListenerIsToldBeforeAWriteIsAcknowledged) {
  open_store();
  for (int i = 0; i < 50; ++i) {
    create_users(i, i);
    ASSERT_GE(listener_.last(), store_->watermark());
  }
  std::int64_t last = 0;
  std::size_t items = 0;
  for (const auto& notice : listener_.notices()) {
    EXPECT_GT(notice->watermark, last);
    last = notice->watermark;
    for (const auto& item : notice->items) {
      EXPECT_EQ(item.resource, users().ordinal);
      EXPECT_EQ(item.scope, "team:1");
      EXPECT_TRUE(item.primary);
      ++items;
    }
  }
  EXPECT_EQ(items, 50U);
  EXPECT_EQ(last, store_->watermark());
}

TEST_P(StoreFeed, ForeignCommitsAreNoticed) {
  open_store();
  create_users(1, 3);
  const auto what = all_users();
  std::optional<cursor> at;
  (void)follow(what, at);
  std::int64_t watermark = store_->watermark();
  run("UPDATE users SET name='foreign' WHERE id=2");
  ASSERT_TRUE(eventually([&] { return store_->watermark() > watermark; }));
  EXPECT_EQ(listener_.last(), store_->watermark());
  EXPECT_EQ(follow(what, at), lines{"put users 2"});
  // REPLACE hides the rows it throws out from the table's own triggers.
  run("UPDATE users SET email='a@x' WHERE id=1");
  watermark = store_->watermark();
  run("REPLACE INTO users(id, name, email) VALUES(3, 'three', 'a@x')");
  ASSERT_TRUE(eventually([&] { return store_->watermark() > watermark; }));
  lines seen = follow(what, at);
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(seen, (lines{"put users 3", "remove users 1"}));
}

TEST_P(StoreFeed, TombstonesAndOldRecordsArePurgedInTheBackground) {
  settings_.tombstone_days = 0;
  settings_.idempotency_keep_h = 0;
  settings_.purge_interval_s = 1;
  open_store();
  create_users(1, 3);
  batch_builder b(users(), write_kind::remove);
  b.key("2");
  b.batch.remember.emplace();
  b.batch.remember->key = "old";
  ASSERT_EQ(fates(write(b)), "d");
  EXPECT_TRUE(eventually([&] { return store_->read_figures().horizon > 0; }));
  EXPECT_TRUE(eventually([&] {
    auto known = ask<std::optional<idempotency>>(
        [this](net::request_context& context) { return store_->recall(context, "old"); });
    return known.has_value() && !known->has_value();
  }));
  std::optional<cursor> fresh;
  EXPECT_EQ(follow(all_users(), fresh), (lines{"put users 1", "put users 3"}));
}

}  // namespace syncline::storage::testing
