// Pools of several cores driven by hand: time is what the test says, connects and resets end when it says so,
// and wake-ups between cores arrive when it delivers them, in the order it likes.
#pragma once

#include <algorithm>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "net/core/pool_state.h"

namespace syncline::net::testing {

struct hand_connection final : pooled {
  [[nodiscard]] bool broken() const noexcept override { return is_broken; }
  [[nodiscard]] bool needs_reset() const noexcept override { return is_dirty; }
  bool is_broken = false;
  bool is_dirty = false;
  steady_time since{};  // opened
};

struct core_by_hand final : pool_hands, pool_waker {
  core_by_hand(pool_node& of, unsigned at) : node(of), id(at), state(of, at, *this, at + 1) {
    node.attach(id, this);
  }
  ~core_by_hand() { node.attach(id, nullptr); }

  void open(pool_slot& slot) override { opening.push_back(&slot); }
  void reset(pool_slot& slot) override { resetting.push_back(&slot); }
  void validate(pool_slot& slot) override { validating.push_back(&slot); }
  void give_up(pool_slot& slot) override { given_up.push_back(&slot); }
  void close(pool_slot& slot) override { closing.push_back(&slot); }
  void wake(pool_waiter& waiter) noexcept override { answered.push_back(&waiter); }
  void wake() noexcept override { woken = true; }

  std::vector<pool_slot*> opening, resetting, validating, given_up, closing;
  std::vector<pool_waiter*> answered;  // in the order of the answers
  bool woken = false;
  pool_node& node;
  unsigned id;
  pool_state state;
};

inline pool_options by_hand_options() {
  pool_options options;
  options.name = "test";
  options.reserved_percent = {0, 0, 0, 0, 0};
  return options;
}

struct pool_by_hand {
  explicit pool_by_hand(const pool_options& options, unsigned cores = 1) : node(options, cores, 7) {
    for (unsigned i = 0; i < cores; ++i) core.push_back(std::make_unique<core_by_hand>(node, i));
  }
  ~pool_by_hand() {
    for (auto& each : core) each->state.stop(now);
  }

  pool_waiter& ask(unsigned at = 0, work_class work = work_class::interactive,
                   lease_kind kind = lease_kind::exclusive,
                   steady_time::duration within = std::chrono::hours(1)) {
    waiters.push_back(std::make_unique<pool_waiter>());
    pool_waiter& made = *waiters.back();
    made.work = work;
    made.kind = kind;
    made.deadline = now + within;
    core[at]->state.heard(now);
    last = core[at]->state.ask(made, now);
    return made;
  }
  // Ends the lease that `waiter` has.
  void release(pool_waiter& waiter, bool broken = false, unsigned at = 0) {
    pool_slot* slot = std::exchange(waiter.granted, nullptr);
    core[at]->state.release(*slot, slot->changed, broken, now);
  }
  void finish_open(unsigned at = 0) {
    pool_slot* slot = core[at]->opening.front();
    core[at]->opening.erase(core[at]->opening.begin());
    core[at]->state.opened(*slot, std::make_unique<hand_connection>(), now);
  }
  void fail_open(unsigned at = 0, const error& why = error(errc::down, "nobody is there")) {
    pool_slot* slot = core[at]->opening.front();
    core[at]->opening.erase(core[at]->opening.begin());
    core[at]->state.open_failed(*slot, why, now);
  }
  void finish_close(unsigned at = 0) {
    pool_slot* slot = core[at]->closing.front();
    core[at]->closing.erase(core[at]->closing.begin());
    core[at]->state.closed(*slot, now);
  }
  // Opens `count` connections that then lie idle.
  void warm(std::size_t count, unsigned at = 0,
            std::chrono::milliseconds connect = std::chrono::milliseconds(0)) {
    std::vector<pool_waiter*> holders;
    while (holders.size() < count) {
      holders.push_back(&ask(at));
      if (holders.back()->granted == nullptr) {
        pass(connect);
        finish_open(at);
      }
    }
    for (pool_waiter* each : holders) release(*each, false, at);
  }
  void deliver_wakes() {
    for (bool any = true; any;) {
      any = false;
      for (auto& each : core) {
        if (!std::exchange(each->woken, false)) continue;
        any = true;
        each->state.look(now);
      }
    }
  }
  void pass(std::chrono::microseconds span) { now += span; }
  static hand_connection& connection(const pool_waiter& waiter) {
    return static_cast<hand_connection&>(*waiter.granted->connection);
  }

  steady_time now{std::chrono::hours(1)};
  pool_node node;
  std::vector<std::unique_ptr<core_by_hand>> core;
  std::deque<std::unique_ptr<pool_waiter>> waiters;
  pool_state::verdict last = pool_state::verdict::refused;
};

}  // namespace syncline::net::testing
