// Permits, shares and reserves between cores, each core's pool driven by hand.
#include "net/core/pool_node.h"

#include <thread>

#include <gtest/gtest.h>

#include "tests/net/pool_by_hand.h"

namespace syncline::net {
namespace {

using std::chrono::milliseconds;
using testing::by_hand_options;
using testing::pool_by_hand;

pool_options with_connections(std::uint32_t count) {
  pool_options options = by_hand_options();
  options.connections_max = count;
  return options;
}

void release_all(pool_by_hand& pool, unsigned at) {
  for (auto& each : pool.waiters) {
    if (each->granted != nullptr) pool.release(*each, false, at);
  }
}

TEST(PoolNode, ACoreBorrowsWhatNobodyHolds) {
  pool_by_hand pool(with_connections(8), 4);
  pool.warm(8, 0);
  EXPECT_EQ(pool.node.held(0), 8U) << "its share is 2";
}

TEST(PoolNode, ACoreBelowItsShareGetsAPermitOfABorrowerAtItsNextRelease) {
  pool_by_hand pool(with_connections(4), 2);
  std::vector<pool_waiter*> busy;
  pool.warm(4, 0);
  for (int i = 0; i < 4; ++i) busy.push_back(&pool.ask(0));
  pool_waiter& local = pool.ask(0);
  pool_waiter& other = pool.ask(1);
  EXPECT_EQ(other.granted, nullptr);
  pool.deliver_wakes();
  pool.release(*busy[0], false, 0);
  ASSERT_EQ(pool.core[0]->closing.size(), 1U) << "a busy borrower would keep it for its own waiters for ever";
  EXPECT_EQ(local.granted, nullptr);
  EXPECT_EQ(pool.core[1]->opening.size(), 0U)
      << "not before it is closed: connections_max is the server's limit";
  pool.finish_close(0);
  pool.deliver_wakes();
  ASSERT_EQ(pool.core[1]->opening.size(), 1U);
  pool.finish_open(1);
  ASSERT_NE(other.granted, nullptr);
  pool.release(*busy[1], false, 0);
  ASSERT_NE(local.granted, nullptr) << "one was owed, not more";
  pool.release(other, false, 1);
  release_all(pool, 0);
}

TEST(PoolNode, AnUnusedConnectionIsGivenUpOnlyAfterItLayIdleForAWhile) {
  pool_by_hand pool(with_connections(2), 2);
  pool.warm(1, 0);
  pool.warm(1, 1);
  pool_waiter& first = pool.ask(1);
  pool_waiter& second = pool.ask(1);
  pool.deliver_wakes();
  EXPECT_EQ(pool.core[0]->closing.size(), 0U) << "it was used a moment ago";
  pool.pass(milliseconds(100));
  pool.core[0]->state.tick(pool.now);
  ASSERT_EQ(pool.core[0]->closing.size(), 1U);
  pool.finish_close(0);
  pool.deliver_wakes();
  ASSERT_EQ(pool.core[1]->opening.size(), 1U);
  pool.finish_open(1);
  ASSERT_NE(second.granted, nullptr);
  pool.release(first, false, 1);
  pool.release(second, false, 1);
}

TEST(PoolNode, APermitPromisedToACoreWhoseWaiterLeftGoesToTheNextCore) {
  pool_by_hand pool(with_connections(1), 3);
  pool.warm(1, 0);
  pool_waiter& holder = pool.ask(0);
  pool_waiter& leaver = pool.ask(1);
  pool_waiter& next = pool.ask(2);
  pool_slot* slot = std::exchange(holder.granted, nullptr);
  pool.core[0]->state.release(*slot, pool.now, true, pool.now);  // broken: its permit is free at once
  EXPECT_EQ(pool.node.count().promised, 1U);
  pool.core[1]->state.leave(leaver, errc::cancelled, pool.now);
  pool.deliver_wakes();
  ASSERT_EQ(pool.core[2]->opening.size(), 1U) << "the permit is promised to a core that wants nothing";
  pool.finish_open(2);
  ASSERT_NE(next.granted, nullptr);
  pool.release(next, false, 2);
}

TEST(PoolNode, WithFewerConnectionsThanCoresEveryCoreHasItsTurnOfAQuantum) {
  pool_options options = with_connections(1);
  pool_by_hand pool(options, 4);
  std::array<int, 4> served{};
  std::array<pool_waiter*, 4> waiting{};
  for (int step = 0; step < 6000; ++step) {  // 6 s of queries of 1 ms
    for (unsigned at = 0; at < 4; ++at) {
      if (waiting[at] != nullptr && waiting[at]->granted != nullptr) {
        ++served[at];
        pool.release(*std::exchange(waiting[at], nullptr), false, at);
      }
      if (waiting[at] != nullptr && waiting[at]->refused) waiting[at] = nullptr;
      if (waiting[at] == nullptr) waiting[at] = &pool.ask(at);
      while (!pool.core[at]->closing.empty()) pool.finish_close(at);
      while (!pool.core[at]->opening.empty()) pool.finish_open(at);
      if (step % 100 == 0) pool.core[at]->state.tick(pool.now);
    }
    pool.deliver_wakes();
    ASSERT_LE(pool.node.count().held, 1U);
    pool.pass(milliseconds(1));
  }
  for (unsigned at = 0; at < 4; ++at) EXPECT_GT(served[at], 500) << "core " << at;
  EXPECT_LT(pool.node.count().moved, 120U) << "and the connection is not opened anew for each query";
  for (auto& each : pool.core) each->state.stop(pool.now);
}

// Eight cores would have one of the ten each, but the server says after five that it has no more.
TEST(PoolNode, CoresShareWhatTheServerTakesWhenThatIsLessThanThePoolMayOpen) {
  const error full(errc::overloaded, "the server takes no more connections");
  pool_by_hand pool(with_connections(10), 8);
  int admits = 5, open = 0, refused_connects = 0;
  std::array<int, 8> served{}, refused{};
  std::array<pool_waiter*, 8> waiting{};
  const auto run = [&](int steps) {  // of 1 ms, which is what a query takes
    for (int step = 0; step < steps; ++step) {
      for (unsigned at = 0; at < 8; ++at) {
        if (waiting[at] != nullptr && waiting[at]->granted != nullptr) {
          ++served[at];
          pool.release(*std::exchange(waiting[at], nullptr), false, at);
        }
        if (waiting[at] != nullptr && waiting[at]->refused) {
          ++refused[at];
          waiting[at] = nullptr;
        }
        if (waiting[at] == nullptr) waiting[at] = &pool.ask(at);
        for (std::size_t i = pool.core[at]->closing.size(); i > 0; --i, --open) pool.finish_close(at);
        for (std::size_t i = pool.core[at]->opening.size(); i > 0; --i) {
          const bool taken = open < admits;
          (taken ? open : refused_connects) += 1;
          taken ? pool.finish_open(at) : pool.fail_open(at, full);
        }
        if (step % 100 == 0) pool.core[at]->state.tick(pool.now);
      }
      pool.deliver_wakes();
      ASSERT_FALSE(pool.node.down());
      pool.pass(milliseconds(1));
    }
  };
  run(6000);
  for (unsigned at = 0; at < 8; ++at) {
    EXPECT_EQ(refused[at], 0) << "core " << at;
    EXPECT_GT(served[at], 1000) << "core " << at;
  }
  EXPECT_LT(refused_connects, 20) << "one more is tried after a backoff, not all the time";
  admits = 10;
  run(4000);  // the longest backoff is 3 s
  EXPECT_EQ(open, 8) << "there is one for each core now";
  const std::uint64_t moved = pool.node.count().moved;
  run(1000);
  EXPECT_EQ(pool.node.count().moved, moved);
  for (auto& each : pool.core) each->state.stop(pool.now);
}

TEST(PoolNode, AServerThatIsFullBeforeAnyConnectionIsOpenIsDown) {
  pool_by_hand pool(with_connections(4), 2);
  pool_waiter& first = pool.ask(0);
  pool_waiter& second = pool.ask(1);
  const error full(errc::overloaded, "the server takes no more connections");
  pool.fail_open(0, full);
  pool.fail_open(1, full);
  EXPECT_EQ(first.reason, errc::down);
  EXPECT_EQ(second.reason, errc::down);
  EXPECT_EQ(second.why, full.what);
  EXPECT_GT(second.retry_after_ms, 0U);
}

// The reserve of a class is the node's: bulk work that ends on one core lets bulk work of another begin
// there.
TEST(PoolNode, RoomInAClassWakesTheCoreThatWaitsForIt) {
  pool_options options = with_connections(10);
  options.reserved_percent = {40, 20, 10, 10, 10};
  pool_by_hand pool(options, 2);
  pool.warm(4, 0);
  pool.warm(2, 1);
  pool_waiter& one = pool.ask(0, work_class::bulk);
  pool_waiter& two = pool.ask(0, work_class::bulk);
  ASSERT_NE(two.granted, nullptr);
  pool_waiter& waits = pool.ask(1, work_class::bulk);
  ASSERT_EQ(waits.granted, nullptr) << "two idle connections there, but bulk has what it may have";
  pool.release(one, false, 0);
  pool.deliver_wakes();
  ASSERT_NE(waits.granted, nullptr) << "nobody told the other core";
  pool.release(two, false, 0);
  pool.release(waits, false, 1);
}

TEST(PoolNode, ACoreWhoseSharedConnectionsAreNeverIdleMakesRoomForAnother) {
  pool_options options = with_connections(10);
  options.reserved_percent = {0, 20, 20, 20, 20};  // leaves two for interactive work
  pool_by_hand pool(options, 2);
  pool.warm(2, 0);
  pool.warm(2, 1);
  const auto shared = [&](unsigned at) -> pool_waiter& {
    return pool.ask(at, work_class::interactive, lease_kind::shared);
  };
  pool_waiter& one = shared(0);
  pool_waiter& two = shared(0);
  pool_waiter& joined = shared(0);
  ASSERT_NE(joined.granted, nullptr);
  pool_waiter& other = shared(1);
  ASSERT_EQ(other.granted, nullptr) << "the class has what it may have";
  pool_waiter& late = shared(0);
  EXPECT_EQ(late.granted, nullptr) << "a connection that is joined again and again is never given up";
  pool.release(two, false, 0);
  pool.deliver_wakes();
  pool.release(one, false, 0);
  pool.deliver_wakes();
  pool.release(joined, false, 0);
  pool.deliver_wakes();
  ASSERT_NE(other.granted, nullptr);
  ASSERT_NE(late.granted, nullptr) << "the other one is its own again";
  pool.release(other, false, 1);
  pool.release(late, false, 0);
}

TEST(PoolNode, WhoWaitsForAPermitLearnsThatTheServerIsDown) {
  pool_by_hand pool(with_connections(1), 2);
  pool_waiter& connects = pool.ask(0);
  pool_waiter& waits = pool.ask(1);
  EXPECT_EQ(pool.core[1]->opening.size(), 0U);
  pool.fail_open(0);
  pool.deliver_wakes();
  EXPECT_TRUE(connects.refused);
  EXPECT_TRUE(waits.refused);
  EXPECT_EQ(waits.reason, errc::down);
}

// Four threads hammer the node as four cores would; TSan watches, and the sums must be right.
TEST(PoolNode, IsSafeFromManyThreadsAndNeverOverItsLimits) {
  struct ignoring final : pool_waker {
    void wake() noexcept override { wakes.fetch_add(1, std::memory_order_relaxed); }
    std::atomic<int> wakes{0};
  };
  pool_options options = with_connections(7);
  options.reserved_percent = {40, 20, 10, 10, 10};
  pool_node node(options, 4, 1);
  std::array<ignoring, 4> wakers;
  std::atomic<int> open{0};
  std::atomic<int> most{0};
  std::vector<std::thread> threads;
  for (unsigned id = 0; id < 4; ++id) {
    node.attach(id, &wakers[id]);
    threads.emplace_back([&, id] {
      for (int i = 0; i < 20'000; ++i) {
        const steady_time now{std::chrono::hours(1) + milliseconds(i)};
        const auto answer = node.begin_connect(id, now, true);
        if (answer.is != pool_node::opening::granted) {
          if (i % 16 == 0) node.wants_nothing(id);
          continue;
        }
        const int count = open.fetch_add(1) + 1;
        int seen = most.load();
        while (seen < count && !most.compare_exchange_weak(seen, count)) {
        }
        node.connected(id, now, answer.role);
        const auto work = static_cast<work_class>(i % 5);
        if (node.use(id, work) && node.end_use(id, work)) node.pass_on();
        open.fetch_sub(1);
        node.give_back(id);
      }
      node.wants_nothing(id);
    });
  }
  for (std::thread& each : threads) each.join();
  EXPECT_LE(most.load(), 7);
  const pool_node::numbers end = node.count();
  EXPECT_EQ(end.held, 0U);
  EXPECT_EQ(end.connecting, 0U);
  for (const std::uint32_t each : end.in_use) EXPECT_EQ(each, 0U);
}

}  // namespace
}  // namespace syncline::net
