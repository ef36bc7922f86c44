// What one core's pool decides, as a value driven by `now`: no socket, no coroutine, no clock.
//
// Who gets which connection, who waits, who is refused, what is opened and closed. pool.h gives it hands;
// tests and simulations give it others and let time pass as they like. Thread: the core. Bound: its part of
// the node's permits; `waiters_max` waiters. Failure: ask() refuses with a reason and retry_after_ms.
//
// Invariants
//  1. A slot holds one permit from the node from open() until it is removed, on every path.
//  2. Somebody waits in a class only while no idle connection is one that class may use now, after each call.
//  3. A connection that is broken, expired or failed a reset or validation is never granted.
//  4. A granted waiter is in no queue; its slot has one use that ends with release(), once.
//  5. Connects belong to nobody: a waiter that leaves takes no connect with it, and what was opened goes to
//  the
//     next waiter or lies idle.
//  6. In a class nobody is granted before one who came earlier.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "net/core/pool_codel.h"
#include "net/core/pool_estimator.h"
#include "net/core/pool_meter.h"
#include "net/core/pool_node.h"
#include "net/core/pool_queue.h"
#include "net/core/pool_slot.h"

namespace syncline::net {

// What the state asks for. None of it may call back before it returns.
struct pool_hands {
  virtual void open(pool_slot& slot) = 0;      // ends with opened() or open_failed()
  virtual void reset(pool_slot& slot) = 0;     // ends with tended()
  virtual void validate(pool_slot& slot) = 0;  // ends with tended()
  virtual void give_up(pool_slot& slot) = 0;   // a validation: tended() comes soon, fit or not
  virtual void close(pool_slot& slot) = 0;     // ends with closed()
  virtual void wake(pool_waiter& waiter) noexcept = 0;

 protected:
  ~pool_hands() = default;
};

class pool_state {
 public:
  enum class verdict : std::uint8_t { granted, queued, refused };

  pool_state(pool_node& node, unsigned id, pool_hands& hands, std::uint64_t seed);
  ~pool_state();
  pool_state(const pool_state&) = delete;
  pool_state& operator=(const pool_state&) = delete;

  [[nodiscard]] verdict ask(pool_waiter& waiter, steady_time now);
  // The loop has looked for what ended; what follows until the next call knows no more than that.
  void heard(steady_time now) noexcept { heard_ = now; }
  // A queued waiter gives up.
  void leave(pool_waiter& waiter, errc why, steady_time now);
  // One use of a granted slot ends; `since` is when it began.
  void release(pool_slot& slot, steady_time since, bool broken, steady_time now);

  void opened(pool_slot& slot, std::unique_ptr<pooled> connection, steady_time now);
  void open_failed(pool_slot& slot, const error& why, steady_time now);
  void tended(pool_slot& slot, bool fit, steady_time now);
  void closed(pool_slot& slot, steady_time now);
  // What was asked for will never be answered: its task was destroyed with its core.
  // Nothing is opened any more after that.
  void abandoned(pool_slot& slot) noexcept;

  void look(steady_time now);  // the node woke us
  void tick(steady_time now);  // every kTickMs: ages, warm connections, the probe of a server that is down
  static constexpr std::chrono::milliseconds kTick{100};
  void stop(steady_time now);

  struct numbers {
    std::size_t idle = 0, busy = 0, connecting = 0, tending = 0, closing = 0, waiting = 0;
  };
  [[nodiscard]] numbers count() const noexcept;
  [[nodiscard]] bool empty() const noexcept { return slots_.empty(); }
  [[nodiscard]] std::size_t waiting(work_class work) const noexcept { return queue_.waiting(work); }
  // Who has the connections, for how long, the longest first.
  [[nodiscard]] std::string holders(steady_time now) const;

 private:
  struct of_class {
    pool_codel codel;
    pool_estimator estimator;
  };
  [[nodiscard]] of_class& of(work_class work) noexcept { return classes_[static_cast<std::size_t>(work)]; }
  [[nodiscard]] verdict refuse(pool_waiter& waiter, pool_meter::refusal why, steady_time now);
  void refuse_all(pool_meter::refusal why, steady_time now);
  [[nodiscard]] bool fits(const pool_waiter& waiter);
  [[nodiscard]] std::chrono::microseconds queue_wait(work_class work) noexcept;
  [[nodiscard]] std::chrono::microseconds estimate(work_class work);
  [[nodiscard]] pool_slot* find(const pool_waiter& waiter, steady_time now);
  [[nodiscard]] pool_slot* take_idle(steady_time now);
  [[nodiscard]] pool_slot* join(const pool_waiter& waiter);
  void grant(pool_waiter& waiter, pool_slot& slot, steady_time now);
  [[nodiscard]] bool serve_one(steady_time now);
  void serve(steady_time now);
  void grow(steady_time now);
  void settle(steady_time now);
  void start_connect(connect_role role, steady_time now);
  void change(pool_slot& slot, pool_slot::condition to, steady_time now) noexcept;
  void end_use(work_class work);
  void make_free(pool_slot& slot, steady_time now);
  void close(pool_slot& slot, pool_meter::ending why, steady_time now);
  void destroy(pool_slot& slot, pool_meter::ending why);
  void distrust_idle(steady_time asked);
  void remove(pool_slot& slot) noexcept;
  void pay_debts(steady_time now);
  void retire_idle(steady_time now);
  void report(steady_time now);
  void show() noexcept;
  [[nodiscard]] std::size_t counted(pool_slot::condition what) const noexcept {
    return counts_[static_cast<std::size_t>(what)];
  }
  [[nodiscard]] std::size_t open() const noexcept;

  pool_node& node_;
  const pool_options& options_;
  const unsigned id_;
  pool_hands& hands_;
  pool_meter meter_;
  pool_queue queue_;
  std::vector<of_class> classes_;
  std::vector<std::unique_ptr<pool_slot>> slots_;
  pool_idle idle_;
  std::array<std::size_t, 6> counts_{};              // slots by condition
  std::chrono::microseconds connect_takes_{20'000};  // a guess until the first one
  bool connect_known_ = false;
  std::uint64_t random_;
  steady_time heard_{};
  steady_time served_from_{};  // when the first usable connection came after all had been found dead
  bool all_dead_ = false;      // and none has come since
  bool wanting_ = false;       // the node has noted something for us
  bool pass_on_ = false;       // another core waits for what we let go
  bool lending_ = false;       // asked for an idle connection that was not idle for long enough yet
  bool stopping_ = false;
  steady_time reported_{};
  std::uint64_t shed_since_report_ = 0;
};

}  // namespace syncline::net
