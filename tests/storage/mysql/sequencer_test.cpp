#include "storage/mysql/sequencer.h"

#include <thread>
#include "perf/metrics.h"

#include "storage/mysql/clock_hold.h"
#include "storage/mysql/text_rows.h"
#include "tests/storage/mysql/sequencer_fixture.h"

namespace syncline::storage::mysql {
namespace {

using namespace testing;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class MysqlSequencer : public mysql_feed_test {
 protected:
  void SetUp() override {
    mysql_feed_test::SetUp();
    if (IsSkipped()) return;
    sql("CREATE TABLE notes (id BIGINT PRIMARY KEY, owner INT, body VARCHAR(100), KEY (owner))");
    all_.add(make_resource("notes", "id:int64 owner:int64 body", {"id"}, {{"user", "owner"}}));
    migrated(all_);
  }
  catalog all_;
};

TEST_F(MysqlSequencer, WhatIsPendingBecomesEntriesInOrder) {
  auto node = started(all_);
  sql("INSERT INTO notes VALUES (1,7,'a'),(2,8,'b')");
  sql("UPDATE notes SET owner=9 WHERE id=1");
  const std::int64_t at = node->settled();
  EXPECT_EQ(at, clock_seq());
  EXPECT_EQ(node->made->watermark(), at);
  EXPECT_EQ(feed(), (lines{"notes [user:8] 2", "notes [user:7] 1 gone", "notes [user:9] 1"}));
  EXPECT_EQ(one_field("SELECT COUNT(*) FROM syncline_pending"), "0");
  EXPECT_THAT(node->heard.keys(), ::testing::IsSupersetOf({"user:8 2", "user:7 1", "user:9 1"}));
  EXPECT_TRUE(node->heard.in_order());
  EXPECT_FALSE(node->heard.published_before());
}

TEST_F(MysqlSequencer, ForeignCommitsAreFoundByPolling) {
  auto node = started(all_);
  sql("INSERT INTO notes VALUES (1,7,'a')");
  EXPECT_TRUE(eventually([&] { return node->heard.keys() == lines{"user:7 1"}; }));
  EXPECT_TRUE(eventually([&] { return node->made->watermark() == 1; }));
}

TEST_F(MysqlSequencer, ALargeBacklogGoesInRoundsAndSettleWaitsForItsOwn) {
  mysql_options options;
  options.feed_round_rows = 10;
  options.feed_poll_ms = 60'000;
  auto node = started(all_, options);
  for (int i = 0; i < 5; ++i) {
    std::string rows = "INSERT INTO notes VALUES ";
    for (int k = 0; k < 21; ++k) rows += (k == 0 ? "(" : ",(") + std::to_string(i * 100 + k) + ",7,'x')";
    sql(rows);
  }
  EXPECT_EQ(node->settled(), 105);
  EXPECT_EQ(one_field("SELECT COUNT(*)=105 AND MAX(seq)=105 FROM syncline_feed"), "1");
}

TEST_F(MysqlSequencer, TwoNodesTellTheSame) {
  auto first = started(all_);
  auto second = started(all_);
  for (int i = 0; i < 20; ++i) {
    sql("INSERT INTO notes VALUES (" + std::to_string(i) + ",1,'x')");
    if (i % 3 == 2) continue;
    feed_node& asked = i % 3 == 0 ? *first : *second;
    EXPECT_GE(asked.settled(), i + 1);
  }
  first->settled();
  second->settled();
  for (feed_node* each : {first.get(), second.get()}) {
    EXPECT_EQ(each->made->watermark(), 20);
    const lines heard = each->heard.keys();
    EXPECT_EQ(std::set<std::string>(heard.begin(), heard.end()).size(), 20U);
    EXPECT_EQ(each->heard.everything(), 0);
  }
}

TEST_F(MysqlSequencer, ManyCallersShareARound) {
  mysql_options options;
  options.feed_poll_ms = 60'000;
  auto node = started(all_, options);
  node->settled();
  const perf::counter rounds = perf::metrics::add_counter("syncline_mysql_feed_rounds_total", "");
  const std::uint64_t before = rounds.value();
  constexpr int kCallers = 200;
  std::atomic<int> answered{0};
  auto asks = [&]() -> task<void> {
    request_context context(on_);
    const net::result<std::int64_t> got = co_await node->made->settle(context);
    EXPECT_TRUE(got.has_value());
    ++answered;
  };
  const std::function<task<void>()> kept = asks;
  net::testing::run_on(on_, [&] {
    for (int i = 0; i < kCallers; ++i) net::spawn(on_, kept());
  });
  EXPECT_TRUE(eventually([&] { return answered == kCallers; }));
  EXPECT_LT(rounds.value() - before, 20U);
}

// A deadlock rolls the whole transaction back and leaves the session alone: what was sent behind the
// statement that lost runs by itself then, and would delete what was to be entered.
TEST_F(MysqlSequencer, ARoundThatLosesADeadlockLosesNoEntry) {
  auto node = started(all_);
  sql("INSERT INTO notes VALUES (1,7,'a')");
  const std::int64_t before = node->settled();
  auto other = open_connection(here());
  sql("START TRANSACTION", other.get());
  std::string many = "INSERT INTO notes VALUES (1000,8,'x')";
  for (int i = 1001; i < 1300; ++i) many += ",(" + std::to_string(i) + ",8,'x')";
  sql(many, other.get());  // more to undo than the round has: the round is the one that loses
  sql("SELECT seq FROM syncline_feed WHERE scope='user:7' FOR UPDATE", other.get());
  sql("UPDATE notes SET body='b' WHERE id=1");
  const auto clock_is_held = [&] {
    return get<text_rows>([&](request_context& context) {
             return query(context, *db_, "SELECT seq FROM syncline_clock FOR UPDATE NOWAIT");
           })
        .has_error();
  };
  EXPECT_TRUE(eventually([&] {
    for (int i = 0; i < 5; ++i) {
      if (!clock_is_held()) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return true;
  })) << "the round waits for the entry";
  sql("SELECT seq FROM syncline_clock FOR UPDATE", other.get());
  sql("ROLLBACK", other.get());
  EXPECT_TRUE(eventually([&] { return node->settled() > before; })) << node->trouble.text();
  EXPECT_EQ(one_field("SELECT seq FROM syncline_feed WHERE `key`='1'"), std::to_string(clock_seq()));
  close(other);
}

TEST_F(MysqlSequencer, AFeedThatWentBackBeginsAGeneration) {
  auto node = started(all_);
  sql("INSERT INTO notes VALUES (1,7,'a'),(2,7,'b'),(3,7,'c')");
  EXPECT_EQ(node->settled(), 3);
  const std::string before = one_field("SELECT MAX(number) FROM syncline_generation");
  // A backup of an earlier time is restored in place.
  sql("START TRANSACTION");
  sql("UPDATE syncline_clock SET seq=1");
  sql("DELETE FROM syncline_feed WHERE seq>1");
  sql("COMMIT");
  EXPECT_TRUE(eventually([&] { return node->made->watermark() == 1; }));
  EXPECT_EQ(node->heard.everything(), 1);
  EXPECT_NE(one_field("SELECT MAX(number) FROM syncline_generation"), before);
  EXPECT_EQ(one_field("SELECT first_seq FROM syncline_generation ORDER BY number DESC LIMIT 1"), "1");
}

// A node that runs finds it in its rounds.
TEST_F(MysqlSequencer, AClockPutBackUnderANodeMovesOnAndWritesOverNone) {
  auto node = started(all_);
  sql("INSERT INTO notes VALUES (1,7,'a'),(2,7,'b'),(3,7,'c')");
  EXPECT_EQ(node->settled(), 3);
  sql("UPDATE syncline_clock SET seq=1");
  EXPECT_TRUE(eventually([&] { return node->heard.everything() == 1; }));
  sql("INSERT INTO notes VALUES (4,7,'d')");
  EXPECT_EQ(node->settled(), 4) << node->trouble.text();
  EXPECT_EQ(one_field("SELECT GROUP_CONCAT(`key` ORDER BY seq) FROM syncline_feed"), "1,2,3,4");
  EXPECT_EQ(one_field("SELECT MIN(first_seq) FROM syncline_generation"), "-1");
}

// A dump that does not lock reads the clock before the feed.
TEST_F(MysqlSequencer, AClockThatEntriesHavePassedMovesOnAndWritesOverNone) {
  {
    auto node = started(all_);
    sql("INSERT INTO notes VALUES (1,7,'a'),(2,7,'b'),(3,7,'c')");
    EXPECT_EQ(node->settled(), 3);
  }
  sql("UPDATE syncline_clock SET seq=1");
  auto node = started(all_);
  sql("INSERT INTO notes VALUES (4,7,'d'),(5,7,'e')");
  EXPECT_EQ(node->settled(), 5) << node->trouble.text();
  EXPECT_EQ(one_field("SELECT GROUP_CONCAT(`key` ORDER BY seq) FROM syncline_feed"), "1,2,3,4,5");
  EXPECT_EQ(one_field("SELECT MIN(first_seq) FROM syncline_generation"), "-1")
      << "what was numbered between the moments of the tables is in no feed: no cursor may go on";
}

TEST_F(MysqlSequencer, AnotherServerBeginsAGeneration) {
  auto node = started(all_);
  sql("INSERT INTO notes VALUES (1,7,'a')");
  EXPECT_EQ(node->settled(), 1);
  const std::string before = one_field("SELECT COUNT(*) FROM syncline_generation");
  sql("UPDATE syncline_clock SET server='who it was before the failover'");
  EXPECT_TRUE(eventually([&] { return node->heard.everything() == 1; }));
  EXPECT_EQ(one_field("SELECT server=@@server_uuid FROM syncline_clock"), "1");
  EXPECT_EQ(one_field("SELECT COUNT(*)-" + before + " FROM syncline_generation"), "1");
}

// The feed was restored, and another node noticed and moved on before this one looked.
TEST_F(MysqlSequencer, AGenerationThatBeganBelowWhatWasToldIsNoticed) {
  auto node = started(all_);
  sql("INSERT INTO notes VALUES (1,7,'a'),(2,7,'b'),(3,7,'c')");
  EXPECT_EQ(node->settled(), 3);
  sql("START TRANSACTION");
  sql("INSERT INTO syncline_generation (id,first_seq,created_at) VALUES (99,1,0)");
  sql("UPDATE syncline_clock SET seq=10");
  sql("COMMIT");
  EXPECT_TRUE(eventually([&] { return node->heard.everything() == 1; }));
  EXPECT_TRUE(eventually([&] { return node->made->watermark() == 10; }));
  auto other = started(all_);
  other->settled();
  node->settled();
  EXPECT_EQ(node->heard.everything(), 1) << "a node that merely starts is no break";
}

// A dump of before is restored, the clock moved on past what was told, and a node that began meanwhile got
// the number that the lost generation had.
TEST_F(MysqlSequencer, AGenerationWhoseNumberCameBackIsNoticedByItsId) {
  auto node = started(all_);
  sql("INSERT INTO notes VALUES (1,7,'a'),(2,7,'b'),(3,7,'c')");
  EXPECT_EQ(node->settled(), 3);
  const std::string number = one_field("SELECT MAX(number) FROM syncline_generation");
  sql("START TRANSACTION");
  sql("DELETE FROM syncline_generation WHERE number=" + number);
  sql("INSERT INTO syncline_generation VALUES (" + number + ",99,1,0)");
  sql("UPDATE syncline_clock SET seq=10");
  sql("COMMIT");
  EXPECT_TRUE(eventually([&] { return node->made->watermark() == 10; }));
  EXPECT_EQ(node->heard.everything(), 1);
  EXPECT_EQ(node->made->generation_id(), 99);
}

TEST_F(MysqlSequencer, AClockThatIsHeldIsWaitedForAndThenReported) {
  auto node = started(all_);
  node->settled();
  sql("INSERT INTO notes VALUES (1,7,'a')");
  auto holder = open_connection(here());
  sql("START TRANSACTION", holder.get());
  sql("SELECT * FROM syncline_clock FOR UPDATE", holder.get());
  EXPECT_EQ(node->settled(), -1);
  EXPECT_EQ(node->trouble.code, errc::down);
  EXPECT_THAT(node->trouble.detail, HasSubstr("1205"));
  EXPECT_FALSE(node->made->healthy());
  EXPECT_THAT(node->made->trouble(), HasSubstr("another transaction"));
  EXPECT_EQ(node->settled(10), -1) << "bounded by the caller's deadline";
  sql("COMMIT", holder.get());
  EXPECT_TRUE(eventually([&] { return node->made->watermark() == 1; }));
  EXPECT_TRUE(eventually([&] { return node->made->healthy(); }));
  close(holder);
}

// What a node sets for its own connection, here with a second instead of ten.
TEST_F(MysqlSequencer, ANodeThatHangsWithTheClockIsThrownOut) {
  auto hangs = open_connection(here());
  sql("SET SESSION mysqlx_wait_timeout=1", hangs.get());
  sql("START TRANSACTION", hangs.get());
  sql("SELECT * FROM syncline_clock FOR UPDATE", hangs.get());
  auto node = std::make_unique<feed_node>(all_, here());
  node->made->start();
  sql("INSERT INTO notes VALUES (1,7,'a')");
  EXPECT_TRUE(eventually([&] { return node->made->watermark() == 1; }));
  close(hangs);
}

// Numbering, purges and generations as much as the sequencer; what is done between takes as long as it takes.
TEST_F(MysqlSequencer, WhoHoldsTheClockAndSaysNothingIsThrownOut) {
  const auto limits = get<lines>([&](request_context& context) -> task<net::result<lines>> {
    lines seen;
    const auto look = [&]() -> task<void> {
      auto asking = query(context, *db_, "SELECT CAST(@@SESSION.mysqlx_wait_timeout AS CHAR)");
      net::result<text_rows> got = co_await std::move(asking);
      seen.push_back(got ? std::string(got->front().text(0)) : got.error().text());
    };
    co_await look();
    for (const bool ends_well : {true, false}) {
      auto beginning = clock_hold::begin(context, *db_);
      net::result<clock_hold> hold = co_await std::move(beginning);
      if (!hold) co_return hold.error();
      co_await look();
      if (ends_well) {
        auto ending = hold->commit(context);
        static_cast<void>(co_await std::move(ending));
      } else {
        auto undoing = hold->rollback(context);
        co_await std::move(undoing);
      }
      co_await look();
    }
    co_return seen;
  });
  ASSERT_TRUE(limits) << limits.error().text();
  const std::string usual = limits->front(), short_one = std::to_string(kHoldMaxS);
  EXPECT_NE(usual, short_one);
  EXPECT_EQ(*limits, (lines{usual, short_one, usual, short_one, usual}));
}

// Their rows are locked; the sequencer must not touch them, also where a scan would seem cheaper to MySQL.
TEST_F(MysqlSequencer, OpenTransactionsOfWritersHoldNothingUp) {
  mysql_options options;
  options.feed_poll_ms = 60'000;
  auto node = started(all_, options);
  auto writer = open_connection(here());
  sql("START TRANSACTION", writer.get());
  for (int i = 0; i < 20; ++i) {
    sql("INSERT INTO notes VALUES (" + std::to_string(100 + i) + ",7,'open')", writer.get());
    sql("INSERT INTO notes VALUES (" + std::to_string(i) + ",7,'committed')");
  }
  EXPECT_EQ(node->settled(900), 20) << "within less than the lock wait of a second";
  sql("COMMIT", writer.get());
  EXPECT_EQ(node->settled(), 40);
  close(writer);
}

TEST_F(MysqlSequencer, AKilledConnectionLosesNothing) {
  auto node = started(all_);
  for (int i = 1; i <= 5; ++i) {
    const std::size_t keys = node->heard.keys().size();
    const int everything = node->heard.everything();
    lines others;
    EXPECT_TRUE(eventually([&] { return !(others = other_connections()).empty(); }));
    for (const std::string& id : others) sql("KILL " + id);
    sql("INSERT INTO notes VALUES (" + std::to_string(i) + ",7,'a')");
    EXPECT_EQ(node->settled(), i) << node->trouble.text();
    // A kill between the commit of a round and what is asked behind it makes the notice one of everything.
    EXPECT_TRUE(node->heard.keys().size() == keys + 1 || node->heard.everything() > everything) << i;
  }
}

// MysqlServerRestartFeed shows the other side: a server that began anew begins one.
TEST_F(MysqlSequencer, ALostConnectionAloneBeginsNoGeneration) {
  auto node = started(all_);
  sql("INSERT INTO notes VALUES (1,7,'a')");
  EXPECT_EQ(node->settled(), 1);
  const std::string before = one_field("SELECT COUNT(*) FROM syncline_generation");
  const lines others = other_connections();
  EXPECT_GE(others.size(), 1U);
  for (const std::string& id : others) sql("KILL " + id);
  sql("INSERT INTO notes VALUES (2,7,'a')");
  EXPECT_EQ(node->settled(), 2);
  EXPECT_EQ(one_field("SELECT COUNT(*) FROM syncline_generation"), before);
  EXPECT_EQ(node->heard.everything(), 0);
}

// Whoever moves the clock, not only a round: here the purge.
TEST_F(MysqlSequencer, WhoeverHoldsTheClockOfAnotherServerBeginsAGeneration) {
  started(all_)->settled();
  sql("UPDATE syncline_clock SET seq=5, server='who it was before the failover'");
  const std::string before = one_field("SELECT COUNT(*) FROM syncline_generation");
  const auto purged = get<purge_result>(
      [&](request_context& context) { return purge_tombstones(context, *db_, all_, 0, 100); });
  ASSERT_TRUE(purged.has_value()) << purged.error().text();
  EXPECT_EQ(one_field("SELECT COUNT(*)-" + before + " FROM syncline_generation"), "1");
  EXPECT_EQ(one_field("SELECT first_seq FROM syncline_generation ORDER BY number DESC LIMIT 1"), "5");
  EXPECT_EQ(one_field("SELECT server=@@server_uuid FROM syncline_clock"), "1");
}

TEST_F(MysqlSequencer, ANodeStopsWhileItWaits) {
  auto holder = open_connection(here());
  auto node = started(all_);
  sql("START TRANSACTION", holder.get());
  sql("SELECT * FROM syncline_clock FOR UPDATE", holder.get());
  std::atomic<bool> answered{false};
  auto asks = [&]() -> task<void> {
    request_context context(on_);
    const net::result<std::int64_t> got = co_await node->made->settle(context);
    EXPECT_EQ(got.error().code, errc::down);
    answered = true;
  };
  const std::function<task<void>()> kept = asks;
  net::testing::run_on(on_, [&] { net::spawn(on_, kept()); });
  node->made->stop();
  EXPECT_TRUE(eventually([&] { return answered.load(); }));
  node.reset();
  close(holder);
}

TEST_F(MysqlSequencer, TooManyChangesAreToldAsEverything) {
  auto node = started(all_);
  sql("SET SESSION cte_max_recursion_depth=1000000");
  sql("INSERT INTO syncline_feed SELECT 1,'user:1',CAST(n AS CHAR),n,NULL FROM (WITH RECURSIVE s(n) AS "
      "(SELECT 1 UNION "
      "ALL SELECT n+1 FROM s WHERE n<50001) SELECT n FROM s) AS numbers");
  sql("UPDATE syncline_clock SET seq=50001");
  EXPECT_TRUE(eventually([&] { return node->made->watermark() == 50'001; }));
  EXPECT_EQ(node->heard.everything(), 1);
}

}  // namespace
}  // namespace syncline::storage::mysql
