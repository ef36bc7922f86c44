// Random callers, connects that succeed or fail, connections that break, cores that wake in any order,
// against a model that only knows the promises: who came first, how many may be open, what is broken, and
// that in the end everybody has been answered and every permit is back.
#include <cstdlib>
#include <map>
#include <random>
#include <set>

#include <gtest/gtest.h>

#include "tests/net/pool_by_hand.h"

namespace syncline::net {
namespace {

using std::chrono::milliseconds;
using testing::by_hand_options;
using testing::pool_by_hand;

struct model {
  model(const pool_options& options, unsigned cores, std::uint64_t seed)
      : limit(options), pool(options, cores), queued(cores), random(seed) {}

  std::size_t pick(std::size_t count) { return static_cast<std::size_t>(random() % count); }

  void ask(unsigned at) {
    const auto work = static_cast<work_class>(pick(kWorkClasses));
    const lease_kind kind = pick(3) == 0 ? lease_kind::shared : lease_kind::exclusive;
    const milliseconds within = pick(4) == 0 ? milliseconds(50) : milliseconds(5'000'000);
    pool_waiter& made = pool.ask(at, work, kind, within);
    if (pool.last == pool_state::verdict::granted) {
      ASSERT_TRUE(queued[at][work].empty()) << "passed one who came earlier";
      hold(at, made);
    } else if (pool.last == pool_state::verdict::queued) {
      queued[at][work].push_back(&made);
    } else {
      ASSERT_TRUE(made.refused);
    }
    collect();
  }

  void hold(unsigned at, pool_waiter& who) {
    ASSERT_FALSE(pool_by_hand::connection(who).is_broken) << "a broken connection was handed out";
    ASSERT_FALSE(pool_by_hand::connection(who).is_dirty) << "not reset";
    auto& users = users_of[who.granted];
    if (!users.empty()) {
      ASSERT_EQ(who.kind, lease_kind::shared);
      for (const pool_waiter* each : users) {
        ASSERT_EQ(each->kind, lease_kind::shared) << "an exclusive connection has two users";
        ASSERT_EQ(each->work, who.work);
      }
    }
    users.insert(&who);
    ASSERT_LE(users.size(), limit.pipeline_limit);
    holders.push_back({at, &who});
  }

  // Whoever was answered must be the first of its class that is still waiting.
  void collect() {
    for (unsigned at = 0; at < pool.core.size(); ++at) {
      std::vector<pool_waiter*> answered;
      answered.swap(pool.core[at]->answered);
      for (pool_waiter* each : answered) {
        auto& line = queued[at][each->work];
        if (line.empty()) continue;  // refused within ask()
        const auto found = std::find(line.begin(), line.end(), each);
        if (found == line.end()) continue;
        ASSERT_EQ(found, line.begin()) << "out of order";
        line.pop_front();
        if (each->granted != nullptr) {
          hold(at, *each);
        } else {
          ASSERT_TRUE(each->refused);
        }
      }
    }
  }

  void release(std::size_t which, bool allow_damage) {
    const auto [at, who] = holders[which];
    holders.erase(holders.begin() + static_cast<std::ptrdiff_t>(which));
    auto& users = users_of[who->granted];
    users.erase(who);
    if (users.empty()) users_of.erase(who->granted);
    const std::size_t fate = allow_damage ? pick(20) : 19;
    if (fate == 0) pool_by_hand::connection(*who).is_broken = true;
    if (fate < 4 && fate > 0) pool_by_hand::connection(*who).is_dirty = true;
    pool.release(*who, fate == 4, at);
    collect();
  }

  void leave(unsigned at) {
    auto& line = queued[at][static_cast<work_class>(pick(kWorkClasses))];
    if (line.empty()) return;
    const std::size_t which = pick(line.size());
    pool_waiter* who = line[which];
    line.erase(line.begin() + static_cast<std::ptrdiff_t>(which));
    pool.core[at]->state.leave(*who, errc::cancelled, pool.now);
    collect();
  }

  void background(unsigned at, bool allow_damage) {
    auto take = [this](std::vector<pool_slot*>& from) {
      const std::size_t which = pick(from.size());
      pool_slot* out = from[which];
      from.erase(from.begin() + static_cast<std::ptrdiff_t>(which));
      return out;
    };
    auto& core = *pool.core[at];
    const bool fails = allow_damage && pick(6) == 0;
    if (!core.opening.empty()) {
      pool_slot* slot = take(core.opening);
      if (fails) {
        const errc why = pick(2) == 0 ? errc::overloaded : errc::down;
        core.state.open_failed(*slot, error(why, "no"), pool.now);
      } else {
        core.state.opened(*slot, std::make_unique<testing::hand_connection>(), pool.now);
      }
    } else if (!core.resetting.empty()) {
      pool_slot* slot = take(core.resetting);
      static_cast<testing::hand_connection&>(*slot->connection).is_dirty = false;
      core.state.tended(*slot, !fails, pool.now);
    } else if (!core.validating.empty()) {
      core.state.tended(*take(core.validating), !fails, pool.now);
    } else if (!core.closing.empty()) {
      core.state.closed(*take(core.closing), pool.now);
    }
    collect();
  }

  void look(unsigned at) {
    if (std::exchange(pool.core[at]->woken, false)) pool.core[at]->state.look(pool.now);
    collect();
  }

  void check() {
    const pool_node::numbers has = pool.node.count();
    ASSERT_LE(has.held + has.promised, limit.connections_max);
    ASSERT_LE(has.connecting, limit.connects_max);
    std::size_t slots = 0;
    for (unsigned at = 0; at < pool.core.size(); ++at) {
      const pool_state::numbers count = pool.core[at]->state.count();
      slots += count.idle + count.busy + count.connecting + count.tending + count.closing;
      std::size_t waiting = 0;
      for (const auto& [work, line] : queued[at]) waiting += line.size();
      ASSERT_EQ(waiting, count.waiting);
      ASSERT_LE(count.waiting, limit.waiters_max);
    }
    ASSERT_EQ(slots, has.held) << "a permit leaked or was used twice";
  }

  // Everything that is under way ends well, and then nobody may be left waiting.
  void drain() {
    for (int round = 0; round < 20'000; ++round) {
      pool.pass(milliseconds(10));
      bool any = false;
      while (!holders.empty()) release(0, false);
      for (unsigned at = 0; at < pool.core.size(); ++at) {
        auto& core = *pool.core[at];
        any = any || core.state.count().waiting != 0;
        while (!(core.opening.empty() && core.resetting.empty() && core.validating.empty() &&
                 core.closing.empty())) {
          background(at, false);
        }
        look(at);
        if (round % 10 == 0) core.state.tick(pool.now);
      }
      collect();
      if (!any && holders.empty()) return;
    }
    FAIL() << "somebody waits for ever";
  }

  pool_options limit;
  pool_by_hand pool;
  std::vector<std::map<work_class, std::deque<pool_waiter*>>> queued;
  std::vector<std::pair<unsigned, pool_waiter*>> holders;
  std::map<const pool_slot*, std::set<const pool_waiter*>> users_of;
  std::mt19937_64 random;
};

void run_one(std::uint64_t seed) {
  std::mt19937_64 choose(seed);
  pool_options options = by_hand_options();
  options.connections_max = static_cast<std::uint32_t>(1 + choose() % 12);
  options.connects_max = static_cast<std::uint32_t>(1 + choose() % 4);
  options.pipeline_limit = static_cast<std::uint32_t>(1 + choose() % 4);
  options.waiters_max = 40;
  options.connections_min = static_cast<std::uint32_t>(choose() % 3);
  options.lifetime_max_ms = 5'000;
  options.idle_timeout_ms = 2'000;
  options.validate_after_idle_ms = 300;
  if (choose() % 2 == 0) options.reserved_percent = {40, 20, 10, 10, 10};
  model run(options, static_cast<unsigned>(1 + choose() % 4), seed);
  for (int step = 0; step < 1500; ++step) {
    const auto at = static_cast<unsigned>(run.pick(run.pool.core.size()));
    const std::size_t what = run.pick(20);
    if (what < 8) {
      run.ask(at);
    } else if (what < 13) {
      if (!run.holders.empty()) run.release(run.pick(run.holders.size()), true);
    } else if (what < 16) {
      run.background(at, true);
    } else if (what < 17) {
      run.leave(at);
    } else if (what < 18) {
      run.look(at);
    } else if (what < 19) {
      run.pool.pass(milliseconds(run.pick(40)));
    } else {
      run.pool.core[at]->state.tick(run.pool.now);
      run.collect();
    }
    run.check();
    if (::testing::Test::HasFatalFailure()) return;
  }
  run.drain();
  run.check();
  for (auto& each : run.pool.core) each->state.stop(run.pool.now);
  for (unsigned at = 0; at < run.pool.core.size(); ++at) {
    auto& core = *run.pool.core[at];
    while (!(core.opening.empty() && core.closing.empty() && core.validating.empty() &&
             core.resetting.empty())) {
      run.background(at, false);
    }
    ASSERT_TRUE(core.state.empty());
  }
  ASSERT_EQ(run.pool.node.count().held, 0U);
  ASSERT_EQ(run.pool.node.count().promised, 0U);
  for (const std::uint32_t each : run.pool.node.count().in_use) ASSERT_EQ(each, 0U);
}

TEST(PoolRandom, KeepsItsPromisesUnderAnyOrderOfEvents) {
  const char* replay = std::getenv("SYNCLINE_POOL_SEED");
  const std::uint64_t first = replay != nullptr ? std::strtoull(replay, nullptr, 10) : std::random_device{}();
  const std::uint64_t runs = replay != nullptr ? 1 : 150;
  std::printf("seeds %llu to %llu; replay one with SYNCLINE_POOL_SEED\n",
              static_cast<unsigned long long>(first), static_cast<unsigned long long>(first + runs - 1));
  for (std::uint64_t seed = first; seed < first + runs; ++seed) {
    SCOPED_TRACE(seed);
    run_one(seed);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace syncline::net
