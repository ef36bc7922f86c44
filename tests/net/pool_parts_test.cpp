// The values a pool decides with, each driven by hand: CoDel, estimator, circuit, classes, queue.
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "net/core/pool_breaker.h"
#include "net/core/pool_classes.h"
#include "net/core/pool_codel.h"
#include "net/core/pool_estimator.h"
#include "net/core/pool_queue.h"

namespace syncline::net {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr steady_time kStart{std::chrono::hours(1)};

TEST(PoolCodel, ABurstIsWorkedOffWithoutSheddingAnyone) {
  pool_codel codel(0.05, milliseconds(100));
  // Each 90 ms somebody waits for nearly everything it had, and once in each interval somebody does not wait.
  for (int i = 0; i < 100; ++i) {
    const steady_time at = kStart + milliseconds(i * 45);
    EXPECT_FALSE(codel.leaves(at, i % 2 == 0 ? 0.9 : 0.01)) << i;
  }
}

TEST(PoolCodel, AQueueThatStandsForAnIntervalShedsWhoWaitedLongest) {
  pool_codel codel(0.05, milliseconds(100));
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(codel.leaves(kStart + milliseconds(i), 0.2)) << "not yet proven";
  EXPECT_TRUE(codel.leaves(kStart + milliseconds(100), 0.2));
  EXPECT_TRUE(codel.standing());
  EXPECT_FALSE(codel.leaves(kStart + milliseconds(101), 0.1)) << "twice the target is not over it";
}

TEST(PoolCodel, AnEmptyQueueEndsTheStandingAtOnce) {
  pool_codel codel(0.05, milliseconds(100));
  static_cast<void>(codel.leaves(kStart, 0.2));
  ASSERT_TRUE(codel.leaves(kStart + milliseconds(100), 0.2));
  codel.served_at_once();
  EXPECT_FALSE(codel.leaves(kStart + milliseconds(101), 0.9));
  EXPECT_FALSE(codel.leaves(kStart + milliseconds(201), 0.9)) << "the interval saw a wait of nothing";
}

TEST(PoolEstimator, WaitIsQueueTimesHoldOverLanes) {
  pool_estimator estimator(milliseconds(2));
  for (int i = 0; i < 10; ++i) estimator.lease_begins(kStart);
  EXPECT_EQ(estimator.wait(49, kStart), milliseconds(10));
  EXPECT_EQ(estimator.wait(0, kStart), microseconds(200));
}

TEST(PoolEstimator, FollowsTheHoldTimes) {
  pool_estimator estimator(milliseconds(2));
  estimator.lease_begins(kStart);
  for (int i = 1; i <= 300; ++i) {
    estimator.lease_begins(kStart);
    estimator.lease_ends(kStart, kStart - milliseconds(8));
  }
  EXPECT_NEAR(static_cast<double>(estimator.hold().count()), 8000, 50);
}

TEST(PoolEstimator, AStallIsNotThePaceAndAServerThatIsSlowerForGoodIsBelieved) {
  pool_estimator estimator(milliseconds(1));
  for (int i = 0; i < 10; ++i) estimator.lease_begins(kStart);
  const auto ends = [&](int leases, microseconds held) {
    for (int i = 0; i < leases; ++i) {
      estimator.lease_begins(kStart);
      estimator.lease_ends(kStart, kStart - held);
    }
  };
  ends(1000, milliseconds(1));
  // One of a second on each of ten connections.
  ends(10, milliseconds(1000));
  EXPECT_LE(estimator.hold(), milliseconds(3)) << "plainly it would be 20";
  // From a server in this machine's memory to one behind a broken cable.
  ends(5000, microseconds(1));
  EXPECT_LE(estimator.hold(), microseconds(20));
  ends(60, milliseconds(2000));
  EXPECT_GE(estimator.hold(), milliseconds(1000)) << "that is its pace now";
}

TEST(PoolEstimator, AStallThatNobodyWaitsBehindIsNotThePaceEither) {
  pool_estimator estimator(milliseconds(1));
  for (int i = 0; i < 10; ++i) estimator.lease_begins(kStart);
  for (int i = 0; i < 10; ++i) estimator.lease_ends(kStart, kStart - milliseconds(1000));
  EXPECT_LE(estimator.hold(), milliseconds(3));
}

// While nothing ends, a thousand who wait do not make the stall a thousand times longer.
TEST(PoolEstimator, AStallIsAddedToTheWaitOnce) {
  pool_estimator estimator(milliseconds(1));
  for (int i = 0; i < 10; ++i) estimator.lease_begins(kStart);
  EXPECT_EQ(estimator.wait(999, kStart + microseconds(700)), milliseconds(100)) << "by chance";
  EXPECT_EQ(estimator.wait(999, kStart + microseconds(200'800)), milliseconds(300));
  // All hold a lock's wait, and the next one has ten seconds.
  EXPECT_LE(estimator.wait(0, kStart + milliseconds(2600)), milliseconds(400));
}

// A frozen server ends no lease, so a mean alone promises 2 ms for ever.
TEST(PoolEstimator, AServerThatStopsAnsweringIsSeenWithoutAnyLeaseEnding) {
  pool_estimator estimator(milliseconds(2));
  for (int i = 0; i < 10; ++i) estimator.lease_begins(kStart);
  EXPECT_GE(estimator.wait(0, kStart + milliseconds(4000)), milliseconds(500));
  EXPECT_EQ(estimator.wait(0, kStart, 20), microseconds(100)) << "nothing heard, twice the lanes coming";
}

TEST(PoolBreaker, FourConnectsThatFailTogetherAreOneFailure) {
  pool_breaker breaker(milliseconds(100), milliseconds(3000), 1);
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(breaker.begins());
  for (int i = 0; i < 4; ++i) breaker.failed(kStart, false);
  EXPECT_TRUE(breaker.open());
  EXPECT_LE(breaker.retry_at(), kStart + milliseconds(100));
  EXPECT_GE(breaker.retry_at(), kStart + milliseconds(50));
}

TEST(PoolBreaker, OneProbeAtATimeAndNoneBeforeTheBackoff) {
  pool_breaker breaker(milliseconds(100), milliseconds(3000), 1);
  breaker.failed(kStart, false);
  EXPECT_FALSE(breaker.allows(breaker.retry_at() - milliseconds(1)));
  EXPECT_TRUE(breaker.allows(breaker.retry_at()));
  EXPECT_TRUE(breaker.begins());
  EXPECT_FALSE(breaker.allows(kStart + std::chrono::hours(1))) << "a probe is under way";
  breaker.gave_up(true);
  EXPECT_TRUE(breaker.allows(kStart + std::chrono::hours(1))) << "one that was given up blocks nobody";
  breaker.succeeded();
  EXPECT_TRUE(breaker.allows(kStart));
}

TEST(PoolBreaker, BackoffDoublesToItsBoundAndDiffersBetweenNodes) {
  pool_breaker one(milliseconds(100), milliseconds(3000), 1);
  pool_breaker other(milliseconds(100), milliseconds(3000), 2);
  int different = 0;
  for (int i = 0; i < 40; ++i) {
    one.failed(kStart, i != 0);
    other.failed(kStart, i != 0);
    const milliseconds most(std::min(3000, i < 10 ? 100 << i : 3000));
    EXPECT_LE(one.retry_at() - kStart, most) << i;
    EXPECT_GE(one.retry_at() - kStart, most / 2) << i;
    different += one.retry_at() != other.retry_at() ? 1 : 0;
  }
  EXPECT_GT(different, 30);
}

TEST(PoolClasses, AReserveIsFreeHoweverMuchTheOthersTake) {
  pool_classes classes(10, {40, 20, 10, 10, 10});
  int bulk = 0;
  while (classes.use(work_class::bulk)) ++bulk;
  EXPECT_EQ(bulk, 2) << "its own, and the one that nobody reserved";
  int interactive = 0;
  while (classes.use(work_class::interactive)) ++interactive;
  EXPECT_EQ(interactive, 4);
  EXPECT_TRUE(classes.use(work_class::sync));
  EXPECT_TRUE(classes.use(work_class::sync));
  EXPECT_TRUE(classes.use(work_class::refresh));
  EXPECT_TRUE(classes.use(work_class::outbox));
  EXPECT_FALSE(classes.use(work_class::outbox));
}

TEST(PoolClasses, RandomUseKeepsEveryReserveServable) {
  const std::uint64_t seed = std::random_device{}();
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  std::mt19937_64 random(seed);
  for (std::uint32_t total = 1; total <= 40; ++total) {
    pool_classes classes(total, {40, 20, 10, 10, 10});
    for (int i = 0; i < 2000; ++i) {
      const auto work = static_cast<work_class>(random() % kWorkClasses);
      if (random() % 2 == 0) {
        const bool below = classes.in_use(work) < classes.reserve(work);
        const bool got = classes.use(work);
        ASSERT_TRUE(got || !below) << "total " << total;
      } else if (classes.in_use(work) > 0) {
        classes.end_use(work);
      }
      std::uint32_t used = 0;
      for (std::size_t c = 0; c < kWorkClasses; ++c) used += classes.in_use(static_cast<work_class>(c));
      ASSERT_LE(used, total);
    }
  }
}

TEST(PoolClasses, ASingleConnectionIsForEveryone) {
  pool_classes classes(1, {40, 20, 10, 10, 10});
  EXPECT_TRUE(classes.use(work_class::outbox));
  EXPECT_FALSE(classes.use(work_class::interactive));
}

TEST(PoolQueue, EveryClassHasItsTurnInProportion) {
  pool_queue queue({40, 20, 10, 10, 0});
  std::vector<std::unique_ptr<pool_waiter>> waiters;
  std::array<int, kWorkClasses> grants{};
  auto add = [&](work_class work) {
    waiters.push_back(std::make_unique<pool_waiter>());
    waiters.back()->work = work;
    queue.push(*waiters.back(), kStart);
  };
  for (std::size_t c = 0; c < kWorkClasses; ++c) add(static_cast<work_class>(c));
  for (int i = 0; i < 8100; ++i) {
    const work_class next = queue.turns().classes[0];
    queue.remove(*queue.head(next));
    queue.took_turn(next);
    ++grants[static_cast<std::size_t>(next)];
    add(next);
  }
  EXPECT_NEAR(grants[0], 4000, 50);
  EXPECT_NEAR(grants[1], 2000, 50);
  EXPECT_NEAR(grants[3], 1000, 50);
  EXPECT_GE(grants[4], 50) << "without a weight it still has turns";
}

TEST(PoolQueue, AnAbsenceSavesUpNoTurns) {
  pool_queue queue({10, 10, 10, 10, 10});
  std::vector<std::unique_ptr<pool_waiter>> waiters;
  auto turn = [&](work_class work) {
    waiters.push_back(std::make_unique<pool_waiter>());
    waiters.back()->work = work;
    queue.push(*waiters.back(), kStart);
  };
  for (int i = 0; i < 1000; ++i) {
    turn(work_class::interactive);
    queue.remove(*queue.head(work_class::interactive));
    queue.took_turn(work_class::interactive);
  }
  for (int i = 0; i < 10; ++i) {
    turn(work_class::interactive);
    turn(work_class::bulk);
  }
  int bulk = 0;
  for (int i = 0; i < 10; ++i) {
    const work_class next = queue.turns().classes[0];
    queue.remove(*queue.head(next));
    queue.took_turn(next);
    bulk += next == work_class::bulk ? 1 : 0;
  }
  EXPECT_LE(bulk, 6);
  EXPECT_GE(bulk, 4);
}

TEST(PoolQueue, RemovalFromTheMiddleKeepsTheOrder) {
  pool_queue queue({10, 10, 10, 10, 10});
  std::array<pool_waiter, 5> waiters;
  for (pool_waiter& each : waiters) queue.push(each, kStart);
  queue.remove(waiters[2]);
  queue.remove(waiters[0]);
  queue.remove(waiters[4]);
  EXPECT_EQ(queue.head(work_class::interactive), &waiters[1]);
  queue.remove(waiters[1]);
  EXPECT_EQ(queue.head(work_class::interactive), &waiters[3]);
  queue.remove(waiters[3]);
  EXPECT_EQ(queue.waiting(), 0U);
  queue.push(waiters[0], kStart);
  EXPECT_EQ(queue.head(work_class::interactive), &waiters[0]);
}

}  // namespace
}  // namespace syncline::net
