// What one core's pool decides, with time and connections by hand.
#include "net/core/pool_state.h"

#include <gtest/gtest.h>

#include "tests/net/pool_by_hand.h"

namespace syncline::net {
namespace {

using std::chrono::milliseconds;
using testing::by_hand_options;
using testing::pool_by_hand;
using verdict = pool_state::verdict;

TEST(PoolState, AFreeConnectionIsGivenAtOnceTheMostRecentlyUsedFirst) {
  pool_by_hand pool(by_hand_options());
  pool.warm(3);
  pool_waiter& first = pool.ask();
  ASSERT_NE(first.granted, nullptr);
  pool_slot* used = first.granted;
  pool.release(first);
  pool_waiter& second = pool.ask();
  EXPECT_EQ(second.granted, used);
  pool.release(second);
}

TEST(PoolState, WaitersAreServedInTheOrderTheyCame) {
  pool_options options = by_hand_options();
  options.connections_max = 1;
  pool_by_hand pool(options);
  pool.warm(1);
  pool_waiter* holder = &pool.ask();
  std::vector<pool_waiter*> waiters;
  for (int i = 0; i < 5; ++i) waiters.push_back(&pool.ask());
  for (pool_waiter* each : waiters) {
    pool.release(*holder);
    ASSERT_NE(each->granted, nullptr) << "newest-first would serve the last";
    holder = each;
  }
  pool.release(*holder);
}

TEST(PoolState, ANewcomerNeverPassesAWaiter) {
  pool_options options = by_hand_options();
  options.connections_max = 1;
  pool_by_hand pool(options);
  pool.warm(1);
  pool_waiter& holder = pool.ask();
  pool_waiter& first = pool.ask();
  pool.release(holder);
  pool_waiter& late = pool.ask();
  EXPECT_NE(first.granted, nullptr);
  EXPECT_EQ(late.granted, nullptr);
  pool.release(first);
  ASSERT_NE(late.granted, nullptr);
  pool.release(late);
}

TEST(PoolState, AWaiterThatLeavesPassesItsTurnOn) {
  pool_options options = by_hand_options();
  options.connections_max = 1;
  pool_by_hand pool(options);
  pool.warm(1);
  pool_waiter& holder = pool.ask();
  pool_waiter& leaver = pool.ask();
  pool_waiter& next = pool.ask();
  pool.release(holder);
  ASSERT_NE(leaver.granted, nullptr);
  // It was cancelled in the round in which it was granted: it gives back without having used.
  pool.release(leaver);
  ASSERT_NE(next.granted, nullptr) << "the connection is idle and nobody was told";
  pool.release(next);
}

TEST(PoolState, AnExclusiveWaiterThatLeavesLetsTheSharedOnesBehindItJoin) {
  pool_options options = by_hand_options();
  options.connections_max = 1;
  pool_by_hand pool(options);
  pool.warm(1);
  pool_waiter& holder = pool.ask(0, work_class::interactive, lease_kind::shared);
  pool_waiter& exclusive = pool.ask();
  pool_waiter& shared = pool.ask(0, work_class::interactive, lease_kind::shared);
  EXPECT_EQ(shared.granted, nullptr) << "it would pass the exclusive one";
  pool.core[0]->state.leave(exclusive, errc::cancelled, pool.now);
  ASSERT_NE(shared.granted, nullptr);
  pool.release(shared);
  pool.release(holder);
}

TEST(PoolState, ASharedConnectionTakesUsersUpToThePipelineLimit) {
  pool_options options = by_hand_options();
  options.connections_max = 1;
  options.pipeline_limit = 4;
  pool_by_hand pool(options);
  pool.warm(1);
  std::vector<pool_waiter*> users;
  for (int i = 0; i < 4; ++i) {
    users.push_back(&pool.ask(0, work_class::interactive, lease_kind::shared));
    ASSERT_NE(users.back()->granted, nullptr);
  }
  pool_waiter& fifth = pool.ask(0, work_class::interactive, lease_kind::shared);
  pool_waiter& other = pool.ask(0, work_class::sync, lease_kind::shared);
  EXPECT_EQ(fifth.granted, nullptr);
  EXPECT_EQ(other.granted, nullptr) << "a shared connection belongs to one class";
  pool.release(*users[0]);
  ASSERT_NE(fifth.granted, nullptr);
  for (std::size_t i = 1; i < 4; ++i) pool.release(*users[i]);
  pool.release(fifth);
  ASSERT_NE(other.granted, nullptr);
  pool.release(other);
}

TEST(PoolState, ABrokenConnectionIsNeverGivenOut) {
  pool_options options = by_hand_options();
  options.connections_max = 2;
  pool_by_hand pool(options);
  pool.warm(2);
  pool_waiter& one = pool.ask();
  pool_waiter& two = pool.ask();
  pool_by_hand::connection(one).is_broken = true;
  pool.release(one);
  pool.release(two, true);
  EXPECT_EQ(pool.core[0]->state.count().idle, 0U);
  EXPECT_EQ(pool.node.count().held, 0U) << "their permits came back";
  pool_waiter& next = pool.ask();
  EXPECT_EQ(next.granted, nullptr);
  pool.finish_open();
  ASSERT_NE(next.granted, nullptr);
  // It breaks while it lies idle: most recently used, so it would be the first to be given out.
  testing::hand_connection& dies = pool_by_hand::connection(next);
  pool.release(next);
  dies.is_broken = true;
  pool_waiter& last = pool.ask();
  EXPECT_EQ(last.granted, nullptr);
  EXPECT_EQ(pool.core[0]->state.count().connecting, 1U);
  pool.fail_open();
}

TEST(PoolState, OneUserOfASharedConnectionBreaksItForNewOnes) {
  pool_options options = by_hand_options();
  options.connections_max = 1;
  pool_by_hand pool(options);
  pool.warm(1);
  pool_waiter& one = pool.ask(0, work_class::interactive, lease_kind::shared);
  pool_waiter& two = pool.ask(0, work_class::interactive, lease_kind::shared);
  pool.release(one, true);
  pool_waiter& next = pool.ask(0, work_class::interactive, lease_kind::shared);
  EXPECT_EQ(next.granted, nullptr);
  pool.release(two);
  pool.finish_open();
  ASSERT_NE(next.granted, nullptr);
  pool.release(next);
}

TEST(PoolState, ADirtyConnectionIsResetBeforeTheNextUserAndDestroyedWhenThatFails) {
  pool_options options = by_hand_options();
  options.connections_max = 1;
  pool_by_hand pool(options);
  pool.warm(1);
  pool_waiter& one = pool.ask();
  pool_by_hand::connection(one).is_dirty = true;
  pool_waiter& two = pool.ask();
  pool.release(one);
  EXPECT_EQ(two.granted, nullptr);
  ASSERT_EQ(pool.core[0]->resetting.size(), 1U);
  pool.core[0]->state.tended(*pool.core[0]->resetting[0], false, pool.now);
  EXPECT_EQ(two.granted, nullptr);
  ASSERT_EQ(pool.core[0]->opening.size(), 1U) << "the waiter gets a new one";
  pool.finish_open();
  ASSERT_NE(two.granted, nullptr);
  pool.release(two);
}

TEST(PoolState, WaitersThatCannotBeServedInTimeAreRefusedAtOnceWithATime) {
  pool_options options = by_hand_options();
  options.connections_max = 1;
  pool_by_hand pool(options);
  pool.warm(1);
  pool_waiter& holder = pool.ask();
  std::size_t queued = 0;
  const milliseconds deadline(100);
  while (true) {
    pool_waiter& next = pool.ask(0, work_class::interactive, lease_kind::exclusive, deadline);
    if (pool.last == verdict::refused) {
      EXPECT_EQ(next.reason, errc::overloaded);
      EXPECT_GE(next.retry_after_ms, 50U);
      break;
    }
    ASSERT_LT(++queued, 1000U);
  }
  EXPECT_GT(queued, 0U);
  EXPECT_LE(queued, 25U) << "25 ms of waiting, 1 or 2 ms each";
  pool.ask();
  EXPECT_EQ(pool.last, verdict::queued) << "who has time may wait";
  pool.release(holder);
  for (auto& each : pool.waiters) {
    if (each->granted != nullptr) pool.release(*each);
  }
}

TEST(PoolState, AWaitIsEstimatedByTheConnectionsThatTheClassMayUse) {
  pool_options options = by_hand_options();
  options.connections_max = 10;
  options.reserved_percent = {40, 20, 10, 10, 10};
  pool_by_hand pool(options);
  pool.warm(5);
  pool_waiter& first = pool.ask(0, work_class::bulk);
  pool_waiter& second = pool.ask(0, work_class::bulk);
  ASSERT_NE(second.granted, nullptr);
  std::size_t queued = 0;
  do {
    pool.ask(0, work_class::bulk, lease_kind::exclusive, milliseconds(100));
    ASSERT_LT(++queued, 1000U);
  } while (pool.last == verdict::queued);
  EXPECT_LE(queued - 1, 25U) << "25 ms of waiting for one of two, 2 ms each";
  EXPECT_GE(queued - 1, 20U);
  pool.core[0]->state.stop(pool.now);
  pool.release(first);
  pool.release(second);
}

TEST(PoolState, EntriesAreBounded) {
  pool_options options = by_hand_options();
  options.connections_max = 1;
  options.waiters_max = 3;
  pool_by_hand pool(options);
  for (int i = 0; i < 3; ++i) {
    pool.ask();
    EXPECT_EQ(pool.last, verdict::queued);
  }
  pool_waiter& fourth = pool.ask();
  EXPECT_EQ(pool.last, verdict::refused);
  EXPECT_EQ(fourth.reason, errc::overloaded);
  EXPECT_GT(fourth.retry_after_ms, 0U);
  pool.fail_open();
}

TEST(PoolState, AStandingQueueIsShedAndThePatientAreNot) {
  pool_options options = by_hand_options();
  options.connections_max = 1;
  pool_by_hand pool(options);
  pool.warm(1);
  pool_waiter* holder = &pool.ask();
  std::deque<pool_waiter*> line;
  int shed = 0;
  auto run = [&](milliseconds budget) {
    shed = 0;
    for (int i = 0; i < 300; ++i) {
      while (line.size() < 12)
        line.push_back(&pool.ask(0, work_class::interactive, lease_kind::exclusive, budget));
      // Refused on arrival: not what is counted here.
      std::erase_if(line, [](const pool_waiter* each) { return each->refused; });
      pool.pass(milliseconds(2));
      pool.release(*holder);
      while (!line.empty() && line.front()->granted == nullptr && line.front()->refused) {
        shed += line.front()->retry_after_ms > 0 ? 1 : 0;
        line.pop_front();
      }
      if (line.empty()) {
        holder = &pool.ask();
        continue;
      }
      holder = line.front();
      line.pop_front();
      ASSERT_NE(holder->granted, nullptr);
    }
  };
  run(milliseconds(10'000));
  EXPECT_EQ(shed, 0) << "24 ms of 10 s are no overload";
  run(milliseconds(100));
  EXPECT_GT(shed, 0) << "24 ms of 100 ms, all the time, are";
  pool.core[0]->state.stop(pool.now);
  pool.release(*holder);
}

TEST(PoolState, ASpikeOpensFewConnections) {
  pool_options options = by_hand_options();
  options.connections_max = 50;
  pool_by_hand pool(options);
  pool.warm(5, 0, milliseconds(150));
  for (int i = 0; i < 200; ++i) {
    pool_waiter& query = pool.ask();
    pool.pass(milliseconds(2));
    pool.release(query);
  }
  for (int i = 0; i < 50; ++i) pool.ask();
  EXPECT_EQ(pool.core[0]->opening.size(), 1U) << "45 callers wait for the pool, not each for a connect";
  for (auto& each : pool.waiters) {
    if (each->granted != nullptr) pool.release(*each);
  }
}

TEST(PoolState, AtMostSoManyConnectsAtATimeOverAllCores) {
  pool_options options = by_hand_options();
  options.connections_max = 100;
  options.connects_max = 3;
  pool_by_hand pool(options, 4);
  for (unsigned at = 0; at < 4; ++at) {
    for (int i = 0; i < 20; ++i) pool.ask(at);
  }
  std::size_t under_way = 0;
  for (auto& each : pool.core) under_way += each->opening.size();
  EXPECT_EQ(under_way, 3U) << "80 callers, cold: not 80 connects";
  // The cores that had to wait for a connect to end are woken by it.
  int served_cores = 0;
  for (int round = 0; round < 100; ++round) {
    for (unsigned at = 0; at < 4; ++at) {
      if (!pool.core[at]->opening.empty()) pool.finish_open(at);
    }
    pool.deliver_wakes();
  }
  for (auto& each : pool.core) served_cores += each->answered.empty() ? 0 : 1;
  EXPECT_EQ(served_cores, 4);
  for (auto& each : pool.core) each->state.stop(pool.now);
}

TEST(PoolState, WhileTheServerIsDownCallersFailAtOnceAndAProbeBringsItBack) {
  pool_by_hand pool(by_hand_options());
  pool_waiter& first = pool.ask();
  pool_waiter& second = pool.ask();
  while (!pool.core[0]->opening.empty()) pool.fail_open();
  EXPECT_TRUE(first.refused);
  EXPECT_TRUE(second.refused);
  EXPECT_EQ(first.reason, errc::down);
  EXPECT_EQ(first.why, "nobody is there");
  EXPECT_GT(first.retry_after_ms, 0U);
  for (int i = 0; i < 100; ++i) {
    pool.ask();
    EXPECT_EQ(pool.last, verdict::refused);
  }
  EXPECT_TRUE(pool.core[0]->opening.empty()) << "no caller of a server that is down starts a connect";
  pool.core[0]->state.tick(pool.now);
  EXPECT_TRUE(pool.core[0]->opening.empty()) << "not before the backoff";
  pool.pass(milliseconds(200));
  pool.core[0]->state.tick(pool.now);
  pool.core[0]->state.tick(pool.now);
  ASSERT_EQ(pool.core[0]->opening.size(), 1U) << "one probe";
  pool.ask();
  EXPECT_EQ(pool.last, verdict::refused) << "nobody waits for a probe";
  pool.finish_open();
  pool_waiter& after = pool.ask();
  ASSERT_NE(after.granted, nullptr);
  pool.release(after);
}

TEST(PoolState, ARefusedConnectDoesNotFailWaitersWhileConnectionsAreOpen) {
  pool_by_hand pool(by_hand_options());
  pool.warm(1);
  pool_waiter& holder = pool.ask();
  pool_waiter& waits = pool.ask();
  ASSERT_EQ(pool.core[0]->opening.size(), 1U);
  pool.fail_open();  // the server has reached its max_connections, say
  EXPECT_FALSE(waits.refused);
  pool.release(holder);
  ASSERT_NE(waits.granted, nullptr);
  pool.release(waits);
}

TEST(PoolState, ConnectionsEndWithTheirLifetimeSpreadAndIdleOnesDownToTheWarmMinimum) {
  pool_options options = by_hand_options();
  options.connections_min = 2;
  options.connections_max = 8;
  options.idle_timeout_ms = 1'000'000'000;
  pool_by_hand pool(options);
  pool.warm(8);
  pool.pass(milliseconds(options.lifetime_max_ms * 8 / 10 - 1));
  pool.core[0]->state.tick(pool.now);
  EXPECT_EQ(pool.core[0]->closing.size(), 0U);
  pool.pass(milliseconds(options.lifetime_max_ms / 10));
  pool.core[0]->state.tick(pool.now);
  const std::size_t early = pool.core[0]->closing.size();
  EXPECT_GT(early, 0U);
  EXPECT_LT(early, 8U) << "opened together, they do not all end together";
  pool.pass(milliseconds(options.lifetime_max_ms / 10 + 1));
  pool.core[0]->state.tick(pool.now);
  EXPECT_EQ(pool.core[0]->closing.size(), 8U);
  EXPECT_EQ(pool.core[0]->opening.size(), 0U) << "permits are free only when closed";
  while (!pool.core[0]->closing.empty()) pool.finish_close();
  pool.core[0]->state.tick(pool.now);
  EXPECT_EQ(pool.core[0]->opening.size(), 2U) << "the warm minimum";
  while (!pool.core[0]->opening.empty()) pool.finish_open();
}

TEST(PoolState, IdleConnectionsCloseDownToTheWarmMinimum) {
  pool_options options = by_hand_options();
  options.connections_min = 2;
  pool_by_hand pool(options);
  pool.warm(6);
  pool.pass(milliseconds(options.idle_timeout_ms));
  pool.core[0]->state.tick(pool.now);
  EXPECT_EQ(pool.core[0]->closing.size(), 4U);
}

TEST(PoolState, LongBulkWorkLeavesInteractiveItsConnections) {
  pool_options options = by_hand_options();
  options.connections_max = 10;
  options.reserved_percent = {40, 20, 10, 10, 10};
  pool_by_hand pool(options);
  std::vector<pool_waiter*> bulk;
  for (int i = 0; i < 20; ++i) bulk.push_back(&pool.ask(0, work_class::bulk));
  for (int i = 0; i < 10; ++i) {
    if (!pool.core[0]->opening.empty()) pool.finish_open();
  }
  int busy = 0;
  for (pool_waiter* each : bulk) busy += each->granted != nullptr ? 1 : 0;
  EXPECT_EQ(busy, 2) << "its own and the one that nobody reserved";
  for (int i = 0; i < 4; ++i) {
    pool_waiter& quick = pool.ask();
    if (quick.granted == nullptr) pool.finish_open();
    EXPECT_NE(quick.granted, nullptr) << i;
  }
  pool.core[0]->state.stop(pool.now);
  for (auto& each : pool.waiters) {
    if (each->granted != nullptr) pool.release(*each);
  }
}

TEST(PoolState, OnASingleConnectionNoClassStarvesAnother) {
  pool_options options = by_hand_options();
  options.connections_max = 1;
  options.reserved_percent = {40, 20, 10, 10, 10};
  pool_by_hand pool(options);
  pool.warm(1);
  pool_waiter* holder = &pool.ask();
  pool_waiter& bulk = pool.ask(0, work_class::bulk);
  int before = 0;
  std::deque<pool_waiter*> line;
  while (bulk.granted == nullptr) {
    ASSERT_LT(++before, 20) << "interactive work alone is served";
    line.push_back(&pool.ask());
    pool.release(*holder);
    if (bulk.granted != nullptr) break;
    holder = line.front();
    line.pop_front();
  }
  pool.release(bulk);
  for (pool_waiter* each : line) {
    if (each->granted != nullptr) pool.release(*each);
  }
}

TEST(PoolState, StopRefusesWaitersAndLeavesNothingOpen) {
  pool_by_hand pool(by_hand_options());
  pool.warm(2);
  pool_waiter& one = pool.ask();
  pool_waiter& two = pool.ask();
  pool_waiter& waits = pool.ask();
  ASSERT_EQ(pool.core[0]->opening.size(), 1U);
  pool.core[0]->state.stop(pool.now);
  EXPECT_EQ(waits.reason, errc::closed);
  pool.ask();
  EXPECT_EQ(pool.last, verdict::refused);
  pool.release(one);
  pool.release(two);
  pool.finish_open();
  while (!pool.core[0]->closing.empty()) pool.finish_close();
  EXPECT_TRUE(pool.core[0]->state.empty());
  EXPECT_EQ(pool.node.count().held, 0U);
}

}  // namespace
}  // namespace syncline::net
