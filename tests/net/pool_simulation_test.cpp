// The pool's decisions under load, simulated event by event: no clock, no thread, the same figures on every
// machine. docs/pools.md quotes what these tests print.
#include <cstdio>
#include <map>
#include <queue>
#include <random>

#include <gtest/gtest.h>

#include "tests/net/pool_by_hand.h"

namespace syncline::net {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using testing::by_hand_options;
using testing::hand_connection;

class simulation {
 public:
  simulation(const pool_options& options, microseconds connect, std::uint64_t seed, unsigned cores = 1)
      : connect_(connect), random_(seed), node_(options, cores, seed) {
    for (unsigned id = 0; id < cores; ++id) cores_.push_back(std::make_unique<core>(*this, id, seed));
  }
  ~simulation() {
    for (const auto& each : cores_) each->state.stop(now_);
  }

  struct core;
  struct request {
    pool_waiter waiter;
    core* on = nullptr;
    steady_time came;
    microseconds service{};
    microseconds client{};  // gives up after this
    std::function<void(bool)> then;
  };
  struct outcome {
    std::size_t asked = 0, served = 0, useful = 0, refused_at_once = 0, shed = 0, late = 0, without_time = 0;
    double useful_work_s = 0;
    std::vector<double> answered_ms;
    std::vector<double> shed_after_ms;
    std::size_t opened = 0;
    double last_answer_ms = 0;
  };

  // One core's pool; all have the same time.
  struct core final : pool_hands, pool_waker {
    core(simulation& in, unsigned id, std::uint64_t seed) : all(in), state(in.node_, id, *this, seed) {
      all.node_.attach(id, this);
      all.at(milliseconds(0), [this] { tick(); });
    }
    void open(pool_slot& slot) override {
      ++all.result.opened;
      all.at(all.connect_, [this, &slot] {
        auto made = std::make_unique<hand_connection>();
        made->since = all.now_;
        state.opened(slot, std::move(made), all.now_);
      });
    }
    void reset(pool_slot&) override {}
    void validate(pool_slot& slot) override {
      // Who is asked and says nothing is given up after tend_timeout_ms.
      const bool silent = static_cast<hand_connection&>(*slot.connection).since <= all.forgotten_;
      end_check(slot, silent ? milliseconds(2000) : microseconds(200), !silent);
    }
    void give_up(pool_slot& slot) override { end_check(slot, microseconds(0), false); }
    void close(pool_slot& slot) override {
      all.at(microseconds(0), [this, &slot] { state.closed(slot, all.now_); });
    }
    void wake() noexcept override {
      all.at(microseconds(0), [this] { state.look(all.now_); });
    }
    void wake(pool_waiter& waiter) noexcept override {
      all.at(microseconds(0), [this, &waiter] { all.answered(*all.of_[&waiter]); });
    }
    void tick() {
      state.tick(all.now_);
      all.at(pool_state::kTick, [this] { tick(); });
    }
    // The end that was told last is the one that happens.
    void end_check(pool_slot& slot, microseconds later, bool fit) {
      const int told = ++ends_told[&slot];
      all.at(later, [this, &slot, fit, told] {
        if (ends_told[&slot] == told) state.tended(slot, fit, all.now_);
      });
    }

    simulation& all;
    pool_state state;
    std::map<pool_slot*, int> ends_told;  // of validations
  };

  void ask(microseconds service, microseconds client, work_class work = work_class::interactive,
           std::function<void(bool)> then = {}, unsigned on = 0) {
    requests_.push_back(std::make_unique<request>());
    request& made = *requests_.back();
    of_[&made.waiter] = &made;
    made.then = std::move(then);
    made.on = cores_[on].get();
    made.came = now_;
    made.service = service;
    made.client = client;
    made.waiter.work = work;
    made.waiter.deadline = now_ + client;
    ++result.asked;
    switch (made.on->state.ask(made.waiter, now_)) {
      case pool_state::verdict::granted:
        return serve(made);
      case pool_state::verdict::refused:
        ++result.refused_at_once;
        result.without_time += made.waiter.retry_after_ms == 0 ? 1 : 0;
        return end(made, false);
      case pool_state::verdict::queued:
        at(client, [this, &made] {
          if (!made.waiter.queued) return;
          made.on->state.leave(made.waiter, errc::timed_out, now_);
          ++result.late;
          end(made, false);
        });
    }
  }

  // A firewall forgets the connections that are open now: nothing that is said on them arrives.
  void forget_connections() { forgotten_ = now_; }

  // The core is busy for so long, in one turn, and hears of nothing.
  void work(microseconds took) { now_ += took; }

  void at(microseconds later, std::function<void()> what) {
    events_.push({now_ + later, order_++, std::move(what)});
  }
  void run_until(microseconds end) {
    while (!events_.empty() && events_.top().when <= kStart + end) {
      const event_at next = events_.top();
      events_.pop();
      now_ = std::max(now_, next.when);  // an event waits while the core is busy
      hear();
      next.what();
    }
    now_ = kStart + end;
    hear();
  }
  double exponential(double mean) { return std::exponential_distribution<double>(1 / mean)(random_); }
  [[nodiscard]] double now_ms() const {
    return std::chrono::duration<double, std::milli>(now_ - kStart).count();
  }
  [[nodiscard]] std::size_t idle() const {
    std::size_t out = 0;
    for (const auto& each : cores_) out += each->state.count().idle;
    return out;
  }

  outcome result;

 private:
  struct event_at {
    steady_time when;
    std::uint64_t order;
    std::function<void()> what;
    bool operator<(const event_at& other) const {
      return when != other.when ? when > other.when : order > other.order;
    }
  };

  void hear() {
    for (const auto& each : cores_) each->state.heard(now_);
  }
  void answered(request& which) {
    if (which.waiter.granted != nullptr) return serve(which);
    ++result.shed;
    result.without_time += which.waiter.retry_after_ms == 0 ? 1 : 0;
    result.shed_after_ms.push_back(ms_since(which.came));
    end(which, false);
  }
  void serve(request& which) {
    const steady_time since = now_;
    at(which.service, [this, &which, since] {
      ++result.served;
      const double took = ms_since(which.came);
      if (now_ - which.came <= which.client) {
        ++result.useful;
        result.useful_work_s += std::chrono::duration<double>(which.service).count();
        result.answered_ms.push_back(took);
      }
      result.last_answer_ms = now_ms();
      pool_slot* slot = std::exchange(which.waiter.granted, nullptr);
      which.on->state.release(*slot, since, false, now_);
      end(which, true);
    });
  }
  static void end(request& which, bool well) {
    const std::function<void(bool)> then = std::move(which.then);
    if (then) then(well);
  }
  [[nodiscard]] double ms_since(steady_time when) const {
    return std::chrono::duration<double, std::milli>(now_ - when).count();
  }

  static constexpr steady_time kStart{std::chrono::hours(1)};
  steady_time now_ = kStart;
  steady_time forgotten_{};
  microseconds connect_;
  std::mt19937_64 random_;
  std::priority_queue<event_at> events_;
  std::uint64_t order_ = 0;
  std::vector<std::unique_ptr<request>> requests_;
  std::map<pool_waiter*, request*> of_;
  pool_node node_;
  std::vector<std::unique_ptr<core>> cores_;
};

double percentile(std::vector<double> values, double part) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(part * static_cast<double>(values.size() - 1))];
}

TEST(PoolSimulation, ASpikeOfFiftyOnFiveIdleConnections) {
  pool_options options = by_hand_options();
  options.connections_max = 50;
  options.connections_min = 5;
  simulation run(options, milliseconds(150), 1);
  run.run_until(milliseconds(1000));  // the warm ones are open
  ASSERT_EQ(run.idle(), 5U);
  for (int i = 0; i < 200; ++i) {  // some traffic, so that times are known
    run.ask(milliseconds(2), milliseconds(10'000));
    run.run_until(milliseconds(1000 + 5 * (i + 1)));
  }
  run.result = {};
  for (int i = 0; i < 50; ++i) run.ask(milliseconds(2), milliseconds(10'000));
  run.run_until(milliseconds(4000));
  const std::size_t left = run.idle();
  std::printf("spike: %zu connections opened, %zu at the end, last of 50 answered after %.1f ms\n",
              run.result.opened, left, run.result.last_answer_ms - 2000);
  EXPECT_EQ(run.result.useful, 50U);
  EXPECT_LE(left, 6U) << "poor pools end with 45";
  EXPECT_LE(run.result.last_answer_ms - 2000, 22.0) << "ten rounds of 2 ms";
}

TEST(PoolSimulation, ABurstOnConnectionsThatAFirewallForgotWaitsForOneCheckAndAConnect) {
  pool_options options = by_hand_options();
  options.connections_max = 10;
  options.connections_min = 10;
  simulation run(options, milliseconds(50), 5);
  run.run_until(milliseconds(1000));
  ASSERT_EQ(run.idle(), 10U);
  run.forget_connections();
  run.run_until(milliseconds(60'000));
  for (int i = 0; i < 50; ++i) run.ask(milliseconds(20), milliseconds(10'000));
  run.run_until(milliseconds(90'000));
  const double took = run.result.last_answer_ms - 60'000;
  std::printf("forgotten connections: last of 50 answered after %.1f ms\n", took);
  EXPECT_EQ(run.result.useful, 50U);
  EXPECT_LE(took, 2000 + 3 * 50 + 5 * 20) << "a check, ten connects by fours, and five rounds of the queue";
  EXPECT_EQ(run.idle(), 10U);
}

struct overload_figures {
  double goodput = 0;
  simulation::outcome outcome;
};

struct overload_setting {
  unsigned cores = 1, connections = 10;
  milliseconds client{100};
};

// Requests of 2 ms, each on the next core, as many as `load` times what the connections serve.
overload_figures overload(double load, std::uint64_t seed, const overload_setting& is = {}) {
  pool_options options = by_hand_options();
  options.connections_max = is.connections;
  options.connections_min = is.connections;
  options.lifetime_max_ms = 100'000'000;
  simulation run(options, milliseconds(5), seed, is.cores);
  run.run_until(milliseconds(1000));
  const double between_us = 2000.0 / is.connections / load;
  unsigned turn = 0;
  const milliseconds span(20'000);
  std::function<void()> arrive = [&] {
    if (run.now_ms() > 1000.0 + static_cast<double>(span.count())) return;
    const auto service = microseconds(1 + static_cast<std::int64_t>(run.exponential(2000)));
    run.ask(service, is.client, work_class::interactive, {}, turn++ % is.cores);
    run.at(microseconds(static_cast<std::int64_t>(run.exponential(between_us))), arrive);
  };
  arrive();
  run.run_until(milliseconds(1000) + span + is.client + milliseconds(400));
  overload_figures out;
  out.outcome = run.result;
  const double capacity_s = is.connections * std::chrono::duration<double>(span).count();
  out.goodput = run.result.useful_work_s / capacity_s;
  const auto& r = run.result;
  std::printf(
      "%u cores, %u connections, load %.1fx: useful work %.1f %% of capacity; answered p50 %.1f ms, p99 %.1f "
      "ms; refused at once "
      "%zu, "
      "shed %zu (after %.1f ms p99), late %zu of %zu\n",
      is.cores, is.connections, load, out.goodput * 100, percentile(r.answered_ms, 0.5),
      percentile(r.answered_ms, 0.99), r.refused_at_once, r.shed, percentile(r.shed_after_ms, 0.99), r.late,
      r.asked);
  return out;
}

class PoolOverload : public ::testing::TestWithParam<double> {};

TEST_P(PoolOverload, KeepsUsefulWorkAndRefusesTheRestAtOnce) {
  for (const std::uint64_t seed : {11U, 12U, 13U}) {
    const overload_figures figures = overload(GetParam(), seed);
    const auto& r = figures.outcome;
    EXPECT_GE(figures.goodput, 0.95) << seed;
    EXPECT_LT(percentile(r.answered_ms, 0.99), 60) << seed;
    EXPECT_EQ(r.without_time, 0U) << "each refusal says when to come back";
    EXPECT_EQ(r.served, r.useful) << "nothing is executed for a client that is gone";
    const std::size_t refused = r.refused_at_once + r.shed + r.late;
    EXPECT_EQ(r.late, 0U) << seed;
    EXPECT_GE(static_cast<double>(r.refused_at_once), 0.99 * static_cast<double>(refused)) << seed;
    EXPECT_LT(percentile(r.shed_after_ms, 0.99), 30) << seed;
  }
}

INSTANTIATE_TEST_SUITE_P(Load, PoolOverload, ::testing::Values(1.2, 2.0, 5.0));

TEST(PoolSimulation, BelowCapacityNobodyIsRefused) {
  const overload_figures figures = overload(0.8, 12);
  EXPECT_EQ(figures.outcome.refused_at_once + figures.outcome.shed + figures.outcome.late, 0U);
}

// Fewer connections than cores: they go by turns, each of which costs a connect, and each core has a queue of
// its own.
TEST(PoolSimulation, FourCoresOnTwoConnectionsServePatientClients) {
  static_cast<void>(
      overload(0.7, 13, {.cores = 1, .connections = 2, .client = milliseconds(10'000)}));  // to compare
  for (const double load : {0.7, 1.2, 2.0}) {
    const overload_figures figures =
        overload(load, 13, {.cores = 4, .connections = 2, .client = milliseconds(10'000)});
    const auto& r = figures.outcome;
    EXPECT_EQ(r.served, r.useful) << load;
    EXPECT_EQ(r.without_time, 0U) << load;
    EXPECT_EQ(r.late, 0U) << load;
    if (load < 1) {
      EXPECT_EQ(r.refused_at_once + r.shed, 0U) << load;
    } else {
      EXPECT_GE(figures.goodput, 0.9) << load;
    }
  }
}

// Callers with the time of a usual request: many of them are a queue, not an overload.
TEST(PoolSimulation, TwoThousandPatientCallersOnTenConnectionsAllSucceed) {
  for (const int callers : {1, 11, 100, 2000}) {
    pool_options options = by_hand_options();
    options.connections_max = 10;
    simulation run(options, milliseconds(5), 3);
    std::function<void(bool)> again = [&](bool) {
      if (run.now_ms() > 4000) return;
      run.ask(microseconds(1 + static_cast<std::int64_t>(run.exponential(1000))), milliseconds(10'000),
              work_class::interactive, again);
    };
    for (int i = 0; i < callers; ++i) again(true);
    run.run_until(milliseconds(8000));
    const auto& r = run.result;
    std::printf("%d callers: %zu served, %zu refused, p99 %.1f ms, %zu connections\n", callers, r.served,
                r.refused_at_once + r.shed + r.late, percentile(r.answered_ms, 0.99), r.opened);
    EXPECT_EQ(r.refused_at_once + r.shed + r.late, 0U) << callers;
    EXPECT_LE(r.opened, 10U);
  }
}

// A checkpoint, a slow disk, a neighbour on the host: for a moment no lease ends. With a thousand waiters a
// gap that is taken for the pace of all of them would be minutes.
TEST(PoolSimulation, TwoThousandPatientCallersOutlastAServerThatStalls) {
  for (const int stall_ms : {30, 150, 600}) {
    pool_options options = by_hand_options();
    options.connections_max = 10;
    simulation run(options, milliseconds(5), 3);
    int asked = 0;
    std::function<void(bool)> again = [&](bool well) {
      if (run.now_ms() > 8000) return;
      if (!well) return run.at(milliseconds(1), [&again] { again(true); });
      const bool stalls = asked++ % 12'000 >= 11'990;  // on all connections at about the same time
      run.ask(stalls ? microseconds(stall_ms * 1000)
                     : microseconds(1 + static_cast<std::int64_t>(run.exponential(1000))),
              milliseconds(10'000), work_class::interactive, again);
    };
    for (int i = 0; i < 2000; ++i) again(true);
    run.run_until(milliseconds(12'000));
    const auto& r = run.result;
    std::printf("2000 callers, stalls of %d ms: %zu served, %zu refused, p99 %.1f ms\n", stall_ms, r.served,
                r.refused_at_once + r.shed + r.late, percentile(r.answered_ms, 0.99));
    EXPECT_GT(asked, 40'000) << "several stalls";
    EXPECT_EQ(r.refused_at_once + r.shed + r.late, 0U) << stall_ms;
  }
}

// A core that makes 2,000 requests in one turn of its loop hears of no ended lease meanwhile, and while the
// first of ten connections is open the others are coming: neither is an overload. Naively told, the second of
// them would be "the server has not answered for 40 ms", and half of them would be refused.
TEST(PoolSimulation, TwoThousandThatBeginInOneInstantAllSucceed) {
  for (const bool warm : {false, true}) {
    pool_options options = by_hand_options();
    options.connections_max = 10;
    options.connections_min = warm ? 10 : 0;
    simulation run(options, milliseconds(20), 3);
    run.run_until(milliseconds(500));
    for (const int ms : {500, 561}) {  // the second time just after the first connections are there
      run.run_until(milliseconds(ms));
      for (int i = 0; i < 2000; ++i) {
        run.ask(milliseconds(2), milliseconds(10'000));
        run.work(microseconds(20));
      }
    }
    run.run_until(milliseconds(8000));
    const auto& r = run.result;
    EXPECT_EQ(r.refused_at_once + r.shed + r.late, 0U) << (warm ? "warm" : "cold");
    EXPECT_EQ(r.useful, 4000U);
  }
}

// Bulk work of 300 ms a lease, more of it than fits, beside interactive reads of 2 ms.
TEST(PoolSimulation, BulkWorkDoesNotSlowInteractiveReads) {
  pool_options options = by_hand_options();
  options.connections_max = 10;
  options.connections_min = 10;
  options.reserved_percent = {40, 20, 10, 10, 10};
  simulation run(options, milliseconds(5), 4);
  run.run_until(milliseconds(1000));
  std::function<void(bool)> bulk = [&](bool) {
    if (run.now_ms() > 9000) return;
    run.ask(milliseconds(300), milliseconds(600'000), work_class::bulk, bulk);
  };
  for (int i = 0; i < 30; ++i) bulk(true);
  std::vector<double> reads_ms;
  std::function<void()> read = [&] {
    if (run.now_ms() > 9000) return;
    const double asked = run.now_ms();
    run.ask(milliseconds(2), milliseconds(1000), work_class::interactive,
            [&reads_ms, &run, asked](bool well) {
              ASSERT_TRUE(well);
              reads_ms.push_back(run.now_ms() - asked);
            });
    run.at(microseconds(static_cast<std::int64_t>(run.exponential(2000))),
           read);  // a quarter of four connections
  };
  read();
  run.run_until(milliseconds(12'000));
  std::printf("reads beside bulk: p50 %.1f ms, p99 %.1f ms\n", percentile(reads_ms, 0.5),
              percentile(reads_ms, 0.99));
  EXPECT_LT(percentile(reads_ms, 0.99), 10) << "a shared queue makes them wait for leases of 300 ms";
}

}  // namespace
}  // namespace syncline::net
