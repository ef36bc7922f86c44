// What becomes of connections that lay idle for long: one is checked before it is used, and one that fails
// tells of the others.
#include <gtest/gtest.h>

#include "net/core/pool_state.h"
#include "tests/net/pool_by_hand.h"

namespace syncline::net {
namespace {

using std::chrono::milliseconds;
using testing::by_hand_options;
using testing::pool_by_hand;

TEST(PoolChecks, AfterLongIdlenessItIsValidatedAndAFailureIsNotHandedOn) {
  pool_options options = by_hand_options();
  options.connections_max = 1;
  pool_by_hand pool(options);
  pool.warm(1);
  pool.pass(milliseconds(options.validate_after_idle_ms));
  pool_waiter& one = pool.ask();
  EXPECT_EQ(one.granted, nullptr);
  ASSERT_EQ(pool.core[0]->validating.size(), 1U);
  EXPECT_TRUE(pool.core[0]->opening.empty()) << "what is being validated may be enough";
  // The asker goes away meanwhile; the one that comes next must not get an unproven connection.
  pool.core[0]->state.leave(one, errc::timed_out, pool.now);
  pool_waiter& two = pool.ask();
  EXPECT_EQ(two.granted, nullptr);
  pool.core[0]->state.tended(*pool.core[0]->validating[0], false, pool.now);
  EXPECT_EQ(two.granted, nullptr);
  ASSERT_EQ(pool.core[0]->opening.size(), 1U);
  pool.finish_open();
  EXPECT_NE(two.granted, nullptr);
  pool.release(two);
}

TEST(PoolChecks, AfterOneFailedCheckNoOtherIdleConnectionIsTriedAndWaitersGetNewOnes) {
  pool_options options = by_hand_options();
  options.connections_max = 5;
  pool_by_hand pool(options);
  pool.warm(5);
  pool.pass(milliseconds(options.validate_after_idle_ms));
  std::vector<pool_waiter*> waiters;
  for (int i = 0; i < 3; ++i) waiters.push_back(&pool.ask());
  ASSERT_EQ(pool.core[0]->validating.size(), 1U);
  pool.pass(milliseconds(options.tend_timeout_ms));
  pool.core[0]->state.tended(*std::exchange(pool.core[0]->validating, {})[0], false, pool.now);
  EXPECT_TRUE(pool.core[0]->validating.empty()) << "the next waits for 2 s as well, and so on";
  EXPECT_EQ(pool.core[0]->opening.size(), 3U) << "dead ones hold no permits";
  EXPECT_EQ(pool.node.count().held, 3U);
  while (!pool.core[0]->opening.empty()) pool.finish_open();
  for (pool_waiter* each : waiters) {
    ASSERT_NE(each->granted, nullptr);
    pool.release(*each);
  }
}

TEST(PoolChecks, AFailedCheckEndsThoseThatBeganAfterIt) {
  pool_by_hand pool(by_hand_options());
  pool.warm(2);
  pool.pass(milliseconds(pool.node.options().validate_after_idle_ms));
  pool.ask();
  pool.pass(milliseconds(100));
  pool.core[0]->state.tick(pool.now);
  ASSERT_EQ(pool.core[0]->validating.size(), 2U) << "who still waits then has the next one asked";
  pool.core[0]->state.tended(*pool.core[0]->validating[0], false, pool.now);
  ASSERT_EQ(pool.core[0]->given_up.size(), 1U) << "its permit is wanted";
  EXPECT_EQ(pool.core[0]->given_up[0], pool.core[0]->validating[1]);
  pool.core[0]->state.stop(pool.now);
}

TEST(PoolChecks, AFailedCheckCostsNoConnectionThatHasWorkedSinceItBegan) {
  pool_options options = by_hand_options();
  options.connections_max = 2;
  options.validate_after_idle_ms = 100;
  pool_by_hand pool(options);
  pool.warm(2);
  pool_waiter& works = pool.ask();
  pool.pass(milliseconds(options.validate_after_idle_ms));
  pool_waiter& waits = pool.ask();
  ASSERT_EQ(pool.core[0]->validating.size(), 1U);
  pool.pass(milliseconds(1));
  pool.release(works);
  ASSERT_NE(waits.granted, nullptr);
  pool.release(waits);
  pool.core[0]->state.tended(*pool.core[0]->validating[0], false, pool.now);
  EXPECT_EQ(pool.core[0]->state.count().idle, 1U);
}

}  // namespace
}  // namespace syncline::net
