// Pages of streams from a real MySQL: first syncs, changes, scopes, resets, bounds.
#include <random>

#include "storage/mysql/mysql_store.h"
#include "tests/storage/mysql/mysql_store_fixture.h"

namespace syncline::storage::mysql {
namespace {

using namespace testing;
using lines = std::vector<std::string>;

class MysqlStorePages : public mysql_store_test {
 protected:
  std::shared_ptr<const stream> stream_of(std::vector<stream_part> parts) {
    return store_->make_stream(std::move(parts));
  }
  void remove(const std::string& key) {
    batch_builder b(users(), write_kind::remove);
    b.key(key);
    ASSERT_EQ(fates(write(b)), "d");
  }
};

TEST_F(MysqlStorePages, AFirstSyncSendsEveryRowAndThenOnlyWhatChanges) {
  open_store();
  create_users(1, 10);
  const auto all = stream_of({{&users(), ""}, {&tags(), ""}});
  std::optional<cursor> at;
  page_limits small;
  small.rows_max = 4;
  const lines first = follow(all, at, small);
  ASSERT_EQ(first.size(), 10U);
  EXPECT_EQ(first.front(), "put users 1");
  EXPECT_EQ(first.back(), "put users 10");
  EXPECT_EQ(follow(all, at), lines{});
  create_users(11, 11);
  remove("3");
  batch_builder tag(tags(), write_kind::upsert);
  tag.row({{"tag", T("t")}});
  ASSERT_EQ(fates(write(tag)), "c");
  EXPECT_EQ(follow(all, at), (lines{"put users 11", "remove users 3", "put tags t"}));
  sql("UPDATE users SET deleted_at=NOW() WHERE id=4");
  ASSERT_TRUE(eventually([&] { return follow(all, at) == lines{"remove users 4"}; }));
}

TEST_F(MysqlStorePages, ARowThatMovesLeavesOneScopeAndComesIntoTheOther) {
  open_store();
  create_users(1, 3, 7);
  create_users(4, 5, 8);
  const auto seven = stream_of({{&users(), "team:7"}});
  const auto eight = stream_of({{&users(), "team:8"}});
  const auto both = stream_of({{&users(), "team:7"}, {&users(), "team:8"}});
  std::optional<cursor> of_seven, of_eight, of_both;
  EXPECT_EQ(follow(seven, of_seven), (lines{"put users 1", "put users 2", "put users 3"}));
  EXPECT_EQ(follow(eight, of_eight), (lines{"put users 4", "put users 5"}));
  EXPECT_EQ(follow(both, of_both).size(), 5U);
  create_users(2, 2, 8);
  EXPECT_EQ(follow(seven, of_seven), lines{"remove users 2"});
  EXPECT_EQ(follow(eight, of_eight), lines{"put users 2"});
  EXPECT_EQ(follow(both, of_both), lines{"put users 2"});
}

TEST_F(MysqlStorePages, ManyScopesInOneStreamAreFollowedTogether) {
  open_store();
  std::vector<stream_part> parts;
  for (std::int64_t team = 1; team <= 90; ++team) {
    create_users(team, team, team);
    parts.push_back({&users(), "team:" + std::to_string(team)});
  }
  const auto all = stream_of(std::move(parts));
  std::optional<cursor> at;
  EXPECT_EQ(follow(all, at).size(), 90U);
  sql("UPDATE users SET name='x'");
  std::size_t seen = 0;
  EXPECT_TRUE(eventually([&] { return (seen += follow(all, at).size()) >= 90; }));
  EXPECT_EQ(seen, 90U);
}

TEST_F(MysqlStorePages, APageHoldsNoMoreBytesThanAskedFor) {
  open_store();
  const std::string body(60'000, 'b');
  for (std::int64_t from = 0; from < 60; from += 20) {
    batch_builder b(notes(), write_kind::upsert);
    for (std::int64_t n = from; n < from + 20; ++n)
      b.row({{"owner", T("o")}, {"n", I(n)}, {"body", T(body)}});
    ASSERT_EQ(fates(write(b)), std::string(20, 'c'));
  }
  const auto all = stream_of({{&notes(), ""}});
  page_limits limits;
  limits.bytes_max = 256 * 1024;
  std::optional<cursor> at;
  const auto count = [&](std::size_t wanted) {
    std::size_t rows_seen = 0;
    for (int i = 0; i < 100; ++i) {
      auto made = page(all, at, limits);
      ASSERT_TRUE(made.has_value()) << made.error().text();
      EXPECT_LE(made->bytes.size(), limits.bytes_max + 2048);
      EXPECT_LE(made->changes.size(), 4U);
      rows_seen += made->changes.size();
      at = made->next;
      if (made->up_to_date) break;
    }
    EXPECT_EQ(rows_seen, wanted);
  };
  count(60);
  sql("UPDATE notes SET body=CONCAT(body,'!') WHERE n<30");
  const std::int64_t before = at->seq;
  ASSERT_TRUE(eventually([&] { return store_->watermark() >= before + 30; }));
  count(30);
}

TEST_F(MysqlStorePages, ResetsAreToldAsWhatTheyAre) {
  open_store();
  create_users(1, 2);
  const auto all = stream_of({{&users(), ""}});
  std::optional<cursor> at;
  ASSERT_EQ(follow(all, at).size(), 2U);
  const auto reset_of = [&](const std::function<void(cursor&)>& bend) {
    cursor bent = *at;
    bend(bent);
    auto made = page(all, bent);
    return made ? made->reset : reset_reason::none;
  };
  EXPECT_EQ(reset_of([](cursor&) {}), reset_reason::none);
  EXPECT_EQ(reset_of([](cursor& c) { ++c.declaration; }), reset_reason::declaration_changed);
  EXPECT_EQ(reset_of([](cursor& c) { ++c.generation; }), reset_reason::unknown_generation);
  EXPECT_EQ(reset_of([](cursor& c) { c.seq += 1000; }), reset_reason::feed_went_back);
  EXPECT_EQ(reset_of([](cursor& c) { c.seq = INT64_MAX; }), reset_reason::feed_went_back);
  EXPECT_EQ(reset_of([](cursor& c) { c.seq = -1; }), reset_reason::feed_went_back);
  sql("UPDATE syncline_clock SET horizon=seq");
  EXPECT_EQ(reset_of([](cursor& c) { --c.seq; }), reset_reason::history_purged);
}

// A row may be newer than the clock: committed, and not numbered yet. A database that has lost just that
// change (a restored backup, a replica promoted too early) must not take the client's copy for its own.
TEST_F(MysqlStorePages, ARowNewerThanTheClockIsNoticedWhenItsChangeIsLost) {
  options_.feed_poll_ms = 60'000;  // what others commit stays without a number until we write
  open_store();
  create_users(1, 3);
  const auto all = stream_of({{&users(), ""}});
  std::optional<cursor> bystander, early;
  ASSERT_EQ(follow(all, bystander).size(), 3U);
  early = bystander;
  batch_builder b(users(), write_kind::upsert);
  b.row({{"id", I(1)}, {"name", T("again")}});
  ASSERT_EQ(fates(write(b)), "u");
  sql("INSERT INTO users(id, name) VALUES(9, 'lost')");
  sql("UPDATE users SET name='lost' WHERE id=1");
  ASSERT_EQ(value("SELECT COUNT(*)>0 FROM syncline_pending"), "1");
  const std::int64_t clock = store_->watermark();
  const auto scanned = page(all, std::nullopt), followed = page(all, early);
  ASSERT_TRUE(scanned.has_value() && followed.has_value());
  EXPECT_EQ(scanned->changes.size(), 4U);
  EXPECT_EQ(followed->changes.size(), 1U);
  EXPECT_EQ(scanned->next.newest(), clock + 1);
  EXPECT_EQ(followed->next.newest(), clock + 1) << "row 1 was changed since its entry";
  EXPECT_EQ(page(all, scanned->next)->reset, reset_reason::none) << "while nothing is lost they are good";
  const auto other = page(stream_of({{&tags(), ""}}), std::nullopt);
  ASSERT_TRUE(other.has_value());
  EXPECT_EQ(other->next.newest(), clock) << "what waits for its number is none of this stream's";

  sql("DELETE FROM users WHERE id=9");
  sql("DELETE FROM syncline_pending");
  store_->stop();
  store_.reset();
  open_store();
  EXPECT_EQ(page(all, scanned->next)->reset, reset_reason::feed_went_back);
  EXPECT_EQ(page(all, followed->next)->reset, reset_reason::feed_went_back);
  EXPECT_EQ(page(all, bystander)->reset, reset_reason::none) << "it saw nothing of what is lost";
}

// A client that was cut keeps rows of a page whose cursor it never got; the next cursor it gets speaks for
// them as well, also where its page ends before they come again.
TEST_F(MysqlStorePages, ACursorOfHalfTheChangesCountsWhatWaitsBehindThem) {
  options_.feed_poll_ms = 60'000;
  open_store();
  create_users(1, 3);
  const auto all = stream_of({{&users(), ""}});
  std::optional<cursor> at;
  ASSERT_EQ(follow(all, at).size(), 3U);
  batch_builder b(users(), write_kind::upsert);
  b.row({{"id", I(1)}, {"name", T("again")}});
  b.row({{"id", I(2)}, {"name", T("again")}});
  ASSERT_EQ(fates(write(b)), "uu");
  page_limits one;
  one.rows_max = 1;
  const auto numbered = page(all, at, one);
  ASSERT_TRUE(numbered.has_value());
  EXPECT_EQ(numbered->changes.size(), 1U);
  EXPECT_EQ(numbered->next.newest(), store_->watermark());
  sql("UPDATE users SET name='foreign' WHERE id=2");
  const auto half = page(all, at, one);
  ASSERT_TRUE(half.has_value());
  EXPECT_EQ(half->changes.size(), 1U);
  EXPECT_EQ(half->next.newest(), store_->watermark() + 1);
}

// The same where nothing of what waits is on its first page.
TEST_F(MysqlStorePages, TheFirstPageOfAClientThatComesBackCountsWhatWaits) {
  options_.feed_poll_ms = 60'000;
  open_store();
  create_users(1, 3);
  const auto all = stream_of({{&users(), ""}});
  std::optional<cursor> at;
  ASSERT_EQ(follow(all, at).size(), 3U);
  sql("UPDATE users SET name='foreign' WHERE id=2");
  page_limits limits;
  limits.resumes = true;
  const auto first = page(all, at, limits), later = page(all, at);
  ASSERT_TRUE(first.has_value() && later.has_value());
  EXPECT_TRUE(first->changes.empty());
  EXPECT_EQ(first->next.newest(), store_->watermark() + 1);
  EXPECT_EQ(later->next.newest(), store_->watermark());
}

// A store that stops numbers what waits: else a client would start over at each deployment.
TEST_F(MysqlStorePages, ACursorAboveTheClockIsGoodAfterAPlannedRestart) {
  options_.feed_poll_ms = 60'000;
  open_store();
  create_users(1, 3);
  const auto all = stream_of({{&users(), ""}});
  sql("UPDATE users SET name='foreign' WHERE id=1");
  const auto scanned = page(all, std::nullopt);
  ASSERT_TRUE(scanned.has_value());
  ASSERT_EQ(scanned->next.newest(), store_->watermark() + 1);
  store_->stop();
  store_.reset();
  open_store();
  const auto next = page(all, scanned->next);
  ASSERT_TRUE(next.has_value());
  EXPECT_EQ(next->reset, reset_reason::none);
  EXPECT_EQ(next->changes.size(), 1U) << "the row once more, by its entry";
  EXPECT_EQ(next->next.rows_upto, 0);
}

// A client that pages at random while rows are written at random has at the end exactly what the table has.
TEST_F(MysqlStorePages, AClientThatFollowsEndsWithTheTable) {
  open_store();
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const auto between = [&](int from, int to) { return std::uniform_int_distribution(from, to)(random); };
  const auto seven = stream_of({{&users(), "team:1"}, {&tags(), ""}});
  std::optional<cursor> at;
  std::map<std::string, std::string> copy;
  const auto read_one = [&] {
    page_limits limits;
    limits.rows_max = static_cast<std::uint32_t>(between(1, 20));
    auto made = page(seven, at, limits);
    EXPECT_TRUE(made.has_value()) << made.error().text();
    if (!made) return true;
    for (const change& c : made->changes) {
      const std::string key = c.of->name + " " + std::string(made->key(c));
      if (c.put) copy[key] = made->row(c);
      if (!c.put) copy.erase(key);
    }
    at = made->next;
    return made->up_to_date;
  };
  for (int step = 0; step < 120; ++step) {
    if (between(0, 2) == 0) {
      static_cast<void>(read_one());
      continue;
    }
    batch_builder b(users(), write_kind::upsert);
    for (int i = between(1, 8); i > 0; --i) {
      const std::string name = std::to_string(step) + "." + std::to_string(i);
      b.row({{"id", I(between(1, 60))}, {"name", T(name)}, {"team", I(between(1, 3))}});
    }
    ASSERT_TRUE(write(b).has_value());
    if (between(0, 3) == 0) sql("DELETE FROM users WHERE id=" + std::to_string(between(1, 60)));
  }
  batch_builder last(tags(), write_kind::upsert);
  last.row({{"tag", T("last")}});
  ASSERT_EQ(fates(write(last)), "c");
  while (!read_one()) {
  }
  ASSERT_TRUE(eventually([&] {
    while (!read_one()) {
    }
    return value("SELECT COUNT(*) FROM users WHERE team=1") == std::to_string(copy.size() - 1);
  }));
  for (const auto& [key, row] : copy) {
    if (!key.starts_with("users ")) continue;
    EXPECT_EQ(row, row_of(users(), key.substr(6)));
  }
}

}  // namespace
}  // namespace syncline::storage::mysql
