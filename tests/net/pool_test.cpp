// The pool on real cores: coroutines, cancellation at every point, several cores, stop and the end of a core.
#include "net/core/pool.h"

#include <atomic>
#include <random>

#include <gtest/gtest.h>

#include "tests/net/run_task.h"

namespace syncline::net {
namespace {

using std::chrono::milliseconds;
using testing::eventually;
using testing::in;
using testing::run_on;
using testing::run_task;
using testing::start_task;

struct link final : pooled {
  explicit link(std::atomic<int>& count) : open(count) { open.fetch_add(1); }
  ~link() override { open.fetch_sub(1); }
  [[nodiscard]] bool broken() const noexcept override { return is_broken; }
  [[nodiscard]] bool needs_reset() const noexcept override { return dirty; }
  std::atomic<int>& open;
  bool is_broken = false;
  bool dirty = false;
  int users = 0;
};

// A server whose connects take `takes`, or wait at a gate, or fail.
struct gated_connector final : pool_connector {
  task<result<std::unique_ptr<pooled>>> connect(request_context& context) override {
    under_way.fetch_add(1);
    int seen = most_under_way.load();
    while (seen < under_way.load() && !most_under_way.compare_exchange_weak(seen, under_way.load())) {
    }
    connects.fetch_add(1);
    while (closed_gate.load() && !context.cancelled() && !context.expired()) {
      const auto slept = co_await sleep_until(context, in(milliseconds(1)));
      if (slept.has_error()) break;
    }
    const bool refused = refuses.load() || context.cancelled() || context.expired();
    under_way.fetch_sub(1);
    if (refused) co_return error(errc::down, "the gate is shut");
    co_return std::make_unique<link>(open);
  }
  task<result<void>> reset(request_context& context, pooled& connection) override {
    resets.fetch_add(1);
    while (reset_hangs.load()) {
      const auto slept = co_await sleep_until(context, in(milliseconds(1)));
      if (slept.has_error()) co_return slept.error();
    }
    static_cast<link&>(connection).dirty = false;
    co_return result<void>();
  }
  // The first fails when there are two; the second hears nothing; then all is well.
  task<result<void>> validate(request_context& context, pooled&) override {
    const int mine = validations.fetch_add(1);
    if (mine > 1) co_return result<void>();
    while (mine != 0 || validations.load() < 2) {
      const auto slept = co_await sleep_until(context, in(milliseconds(1)));
      if (slept.has_error()) co_return slept.error();
    }
    co_return error(errc::down, "nothing is there");
  }
  std::atomic<int> validations{0};
  std::atomic<int> open{0}, connects{0}, under_way{0}, most_under_way{0}, resets{0};
  std::atomic<bool> closed_gate{false}, refuses{false}, reset_hangs{false};
};

struct cores_and_pools {
  explicit cores_and_pools(unsigned cores, pool_options options)
      : group(core_group_options{cores, false}), node(std::move(options), cores, 5) {
    for (unsigned i = 0; i < cores; ++i)
      pools.push_back(std::make_unique<pool<link>>(group.at(i), node, server));
    group.start();
  }
  ~cores_and_pools() {
    group.stop();
    pools.clear();
  }
  core_group group;
  gated_connector server;
  pool_node node;
  std::vector<std::unique_ptr<pool<link>>> pools;
};

pool_options real_connections(std::uint32_t count) {
  pool_options options;
  options.name = "real";
  options.connections_max = count;
  options.reserved_percent = {0, 0, 0, 0, 0};
  return options;
}

TEST(Pool, GivesAConnectionAndTakesItBack) {
  cores_and_pools on(1, real_connections(2));
  pool<link>& links = *on.pools[0];
  run_task(on.group.at(0), [&]() -> task<void> {
    request_context context(links.on());
    link* first = nullptr;
    {
      result<lease<link>> got = co_await links.acquire(context);
      EXPECT_TRUE(got.has_value());
      first = &**got;
    }
    result<lease<link>> again = co_await links.acquire(context);
    EXPECT_TRUE(again.has_value());
    EXPECT_EQ(&**again, first);
    again->mark_broken();
    again->end();
    EXPECT_EQ(links.state().count().idle, 0U);
    EXPECT_EQ(on.server.open.load(), 0) << "destroyed, not kept";
  });
}

// Callers that come while the connect is under way wait for the pool; one that is cancelled leaves the
// connect to the next.
TEST(Pool, CancellingTheFirstCallerMidConnectLeaksNothing) {
  cores_and_pools on(1, real_connections(1));
  pool<link>& links = *on.pools[0];
  on.server.closed_gate = true;
  run_task(on.group.at(0), [&]() -> task<void> {
    auto leaver = std::make_shared<request_context>(links.on());
    auto left = std::make_shared<event>(links.on());
    auto leave = [](pool<link>& from, std::shared_ptr<request_context> context,
                    std::shared_ptr<event> ended) -> task<void> {
      const auto got = co_await from.acquire(*context);
      EXPECT_TRUE(got.has_error());
      EXPECT_EQ(got.error().code, errc::cancelled);
      ended->notify();
    };
    spawn(links.on(), leave(links, leaver, left));
    while (on.server.under_way.load() == 0) co_await yield_core();
    leaver->cancel();
    request_context context(links.on());
    EXPECT_TRUE((co_await left->wait(context)).has_value());
    on.server.closed_gate = false;
    const auto got = co_await links.acquire(context);
    EXPECT_TRUE(got.has_value());
    EXPECT_EQ(on.server.connects.load(), 1) << "the connect went to the next";
    EXPECT_EQ(on.node.count().held, 1U);
  });
}

// Naive: the connection is handed to a waiter that was cancelled in the same round, and is lost with it.
TEST(Pool, AHandOverThatCrossesACancellationGoesToTheNextWaiter) {
  cores_and_pools on(1, real_connections(1));
  pool<link>& links = *on.pools[0];
  run_task(on.group.at(0), [&]() -> task<void> {
    request_context context(links.on());
    auto holder = co_await links.acquire(context);
    EXPECT_TRUE(holder.has_value());
    auto crossed = std::make_shared<request_context>(links.on());
    auto served = std::make_shared<event>(links.on());
    auto first = [](pool<link>& from, std::shared_ptr<request_context> own) -> task<void> {
      const auto got = co_await from.acquire(*own);
      EXPECT_TRUE(got.has_error());
    };
    auto second = [](pool<link>& from, std::shared_ptr<event> done) -> task<void> {
      request_context own(from.on());
      const auto got = co_await from.acquire(own);
      EXPECT_TRUE(got.has_value());
      done->notify();
    };
    spawn(links.on(), first(links, crossed));
    spawn(links.on(), second(links, served));
    while (links.state().count().waiting != 2) co_await yield_core();
    // In one turn of the loop, in both orders: handed over then cancelled, cancelled then handed over.
    crossed->cancel();
    holder->end();
    const auto woken = co_await served->wait(context, in(milliseconds(10'000)));
    EXPECT_TRUE(woken.has_value()) << "the second waits beside an idle connection";
    auto again = co_await links.acquire(context);
    crossed->reset();
    auto served_again = std::make_shared<event>(links.on());
    spawn(links.on(), first(links, crossed));
    spawn(links.on(), second(links, served_again));
    while (links.state().count().waiting != 2) co_await yield_core();
    again->end();
    crossed->cancel();
    const auto woken_again = co_await served_again->wait(context, in(milliseconds(10'000)));
    EXPECT_TRUE(woken_again.has_value());
    EXPECT_EQ(links.state().count().busy, 0U);
  });
}

TEST(Pool, ADeadlineEndsTheWait) {
  cores_and_pools on(1, real_connections(1));
  pool<link>& links = *on.pools[0];
  on.server.closed_gate = true;
  run_task(on.group.at(0), [&]() -> task<void> {
    request_context context(links.on());
    context.set_deadline(in(milliseconds(60)));
    const auto got = co_await links.acquire(context);
    EXPECT_TRUE(got.has_error());
    EXPECT_EQ(got.error().code, errc::timed_out);
    EXPECT_EQ(links.state().count().waiting, 0U);
    EXPECT_GT(context.stage_us[static_cast<std::size_t>(stage::wait)], 0U);
  });
  on.server.closed_gate = false;
}

TEST(Pool, AServerThatIsDownIsAnErrorWithATimeAndComesBackByItself) {
  cores_and_pools on(1, real_connections(4));
  pool<link>& links = *on.pools[0];
  on.server.refuses = true;
  run_task(on.group.at(0), [&]() -> task<void> {
    request_context context(links.on());
    const auto refused = co_await links.acquire(context);
    EXPECT_TRUE(refused.has_error());
    EXPECT_EQ(refused.error().code, errc::down);
    EXPECT_EQ(refused.error().text(), "the server cannot be reached: real: the gate is shut");
    EXPECT_GT(refused.error().retry_after_ms, 0U);
    on.server.refuses = false;
  });
  EXPECT_TRUE(eventually([&] { return on.server.open.load() == 1; })) << "the probe opened one";
  run_task(on.group.at(0), [&]() -> task<void> {
    request_context context(links.on());
    const auto got = co_await links.acquire(context);
    EXPECT_TRUE(got.has_value());
  });
}

TEST(Pool, AResetThatHangsIsGivenUpAndItsPermitComesBack) {
  pool_options options = real_connections(1);
  options.tend_timeout_ms = 50;
  cores_and_pools on(1, options);
  pool<link>& links = *on.pools[0];
  on.server.reset_hangs = true;
  run_task(on.group.at(0), [&]() -> task<void> {
    request_context context(links.on());
    auto first = co_await links.acquire(context);
    EXPECT_TRUE(first.has_value());
    (*first)->dirty = true;
    first->end();
    const auto second = co_await links.acquire(context);
    EXPECT_TRUE(second.has_value());
    EXPECT_EQ(on.server.resets.load(), 1);
    EXPECT_EQ(on.server.connects.load(), 2) << "the unresponsive one was destroyed";
    EXPECT_EQ(on.server.open.load(), 1);
  });
}

TEST(Pool, AFailedValidationEndsAnotherThatIsUnderWay) {
  pool_options options = real_connections(2);
  options.validate_after_idle_ms = 20;
  options.tend_timeout_ms = 60'000;
  cores_and_pools on(1, options);
  pool<link>& links = *on.pools[0];
  net::core& core = on.group.at(0);
  run_task(core, [&]() -> task<void> {
    request_context context(links.on());
    const auto one = co_await links.acquire(context);
    const auto two = co_await links.acquire(context);
    EXPECT_TRUE(one.has_value() && two.has_value());
  });
  std::this_thread::sleep_for(milliseconds(30));
  const auto use = [&](work_class work) {
    return start_task(core, [&links, work]() -> task<void> {
      request_context context(links.on(), work);
      const auto got = co_await links.acquire(context);
      EXPECT_TRUE(got.has_value());
    });
  };
  auto first = use(work_class::interactive);
  auto second = use(work_class::sync);
  first.get();
  second.get();
  EXPECT_GE(on.server.validations.load(), 2);
  EXPECT_TRUE(eventually([&] {
    bool none = false;
    run_on(core, [&] { none = links.state().count().tending == 0; });
    return none;
  })) << "it keeps a permit for its 60 s";
}

TEST(Pool, SharedLeasesUseOneConnectionTogether) {
  pool_options options = real_connections(1);
  options.pipeline_limit = 3;
  cores_and_pools on(1, options);
  pool<link>& links = *on.pools[0];
  run_task(on.group.at(0), [&]() -> task<void> {
    request_context context(links.on());
    auto one = co_await links.acquire(context, lease_kind::shared);
    auto two = co_await links.acquire(context, lease_kind::shared);
    auto three = co_await links.acquire(context, lease_kind::shared);
    EXPECT_TRUE(three.has_value());
    EXPECT_EQ(&**one, &**three);
    context.set_deadline(in(milliseconds(30)));
    const auto four = co_await links.acquire(context, lease_kind::shared);
    EXPECT_TRUE(four.has_error());
  });
}

TEST(Pool, StopWaitsForTheLastLeaseAndClosesEverything) {
  cores_and_pools on(1, real_connections(3));
  pool<link>& links = *on.pools[0];
  run_task(on.group.at(0), [&]() -> task<void> {
    request_context context(links.on());
    auto one = std::make_shared<result<lease<link>>>(co_await links.acquire(context));
    auto two = co_await links.acquire(context);
    two->end();
    auto stopped = std::make_shared<event>(links.on());
    auto stop = [](pool<link>& which, std::shared_ptr<event> done) -> task<void> {
      request_context own(which.on());
      EXPECT_TRUE((co_await which.stop(own)).has_value());
      done->notify();
    };
    spawn(links.on(), stop(links, stopped));
    while (links.state().count().idle != 0) co_await yield_core();
    const auto late = co_await links.acquire(context);
    EXPECT_TRUE(late.has_error());
    EXPECT_EQ(late.error().code, errc::closed);
    one->value().end();
    EXPECT_TRUE((co_await stopped->wait(context)).has_value());
    EXPECT_EQ(on.server.open.load(), 0);
    EXPECT_EQ(on.node.count().held, 0U);
  });
}

// The end of a core destroys tasks wherever they are: waiting, holding, connecting, resetting.
TEST(Pool, TheEndOfItsCoreReturnsEveryPermit) {
  pool_options options = real_connections(3);
  core_group group(core_group_options{1, false});
  gated_connector server;
  pool_node node(options, 1, 5);
  {
    pool<link> links(group.at(0), node, server);
    group.start();
    std::atomic<int> holding{0};
    auto hold = [](pool<link>& from, std::atomic<int>& count, bool dirty) -> task<void> {
      request_context own(from.on());
      auto got = co_await from.acquire(own);
      if (got.has_error()) co_return;
      (*got)->dirty = dirty;
      count.fetch_add(1);
      co_await sleep_until(own, steady_time::max());
    };
    spawn(group.at(0), hold(links, holding, true));
    spawn(group.at(0), hold(links, holding, false));
    ASSERT_TRUE(eventually([&] { return holding.load() == 2; }));
    server.closed_gate = true;
    for (int i = 0; i < 20; ++i) spawn(group.at(0), hold(links, holding, true));
    ASSERT_TRUE(eventually([&] { return server.under_way.load() == 1; }));
    group.stop();
  }
  EXPECT_EQ(node.count().held, 0U);
  EXPECT_EQ(server.open.load(), 0);
}

// Four cores, three connections, callers that are cancelled at random points: nobody waits for ever, no
// connection has two users, none is lost.
TEST(Pool, ManyCoresShareFewConnectionsUnderRandomCancellation) {
  const std::uint64_t seed = std::random_device{}();
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  pool_options options = real_connections(3);
  options.permit_quantum_ms = 20;
  options.connects_max = 2;
  cores_and_pools on(4, options);
  std::atomic<int> running{0};
  std::atomic<int> served{0};
  std::array<std::atomic<int>, 4> served_by{};
  auto caller = [&](unsigned at, std::uint64_t own_seed) -> task<void> {
    // Small: a Mersenne twister is 2.5 KB of coroutine frame.
    std::minstd_rand random(static_cast<std::minstd_rand::result_type>(own_seed));
    pool<link>& links = *on.pools[at];
    for (int i = 0; i < 40; ++i) {
      request_context context(links.on(), static_cast<work_class>(random() % kWorkClasses));
      if (random() % 3 == 0) context.set_deadline(in(milliseconds(1 + random() % 20)));
      auto got = co_await links.acquire(context);
      if (got.has_error()) {
        co_await yield_core();
        continue;
      }
      EXPECT_EQ((*got)->users++, 0);
      request_context pause(links.on());
      if (random() % 4 == 0)
        co_await sleep_until(pause, in(milliseconds(1)));
      else
        co_await yield_core();
      --(*got)->users;
      if (random() % 10 == 0) (*got)->is_broken = true;
      if (random() % 10 == 1) (*got)->dirty = true;
      served.fetch_add(1);
      served_by[at].fetch_add(1);
      EXPECT_LE(on.server.open.load(), 3) << "connections_max is the server's limit";
    }
    running.fetch_sub(1);
  };
  std::vector<std::future<void>> ended;
  for (unsigned at = 0; at < 4; ++at) {
    for (int i = 0; i < 6; ++i) {
      running.fetch_add(1);
      const std::uint64_t own_seed = seed + ended.size();
      ended.push_back(start_task(on.group.at(at), [&caller, at, own_seed] { return caller(at, own_seed); }));
    }
  }
  for (auto& each : ended) ASSERT_EQ(each.wait_for(std::chrono::seconds(60)), std::future_status::ready);
  EXPECT_EQ(running.load(), 0);
  EXPECT_GT(served.load(), 100);
  for (const auto& each : served_by) EXPECT_GT(each.load(), 0) << "a core had no turn";
  EXPECT_LE(on.server.most_under_way.load(), 2);
}

TEST(Pool, MetricsShowItsStates) {
  pool_options options = real_connections(2);
  options.name = "shown";
  cores_and_pools on(1, options);
  pool<link>& links = *on.pools[0];
  run_task(on.group.at(0), [&]() -> task<void> {
    request_context context(links.on());
    auto one = co_await links.acquire(context);
    auto two = co_await links.acquire(context);
    two->end();
    const std::string text = perf::metrics::scrape();
    EXPECT_NE(text.find("syncline_pool_connections{pool=\"shown\",state=\"busy\"} 1\n"), std::string::npos);
    EXPECT_NE(text.find("syncline_pool_connections{pool=\"shown\",state=\"idle\"} 1\n"), std::string::npos);
    EXPECT_NE(text.find("syncline_pool_connects_total{pool=\"shown\"} 2\n"), std::string::npos);
    EXPECT_NE(text.find("syncline_pool_wait_seconds_count{class=\"interactive\",pool=\"shown\"} 2\n"),
              std::string::npos);
    EXPECT_NE(text.find("syncline_pool_waiting{class=\"bulk\",pool=\"shown\"} 0\n"), std::string::npos);
    EXPECT_NE(text.find("syncline_pool_refused_total{class=\"sync\",pool=\"shown\",reason=\"shed\"} 0\n"),
              std::string::npos);
  });
}

}  // namespace
}  // namespace syncline::net
