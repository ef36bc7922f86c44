// Something one task waits for on its core: an answer from another thread, a change of the feed, room in a
// queue.
//
// Use it below every wait that is not a socket. One waiter at a time. notify() is remembered: the next wait
// returns at once; to end a wait needs no memory. Thread: the core it was made for; others use
// remote_event.h. Failure: errc::timed_out at the deadline of the context or at `until`, errc::cancelled when
// the context is cancelled. In both cases the event may be waited for again. Who waits for an event that is
// destroyed gets errc::cancelled.
//
// Invariants
//  1. A waiter is resumed exactly once, from the core's loop, never inside notify().
//     When the core ends the waiter is destroyed instead, and neither the event nor the context points to it
//     any more.
//  2. While a task waits, its context points here, so cancel() finds it.
#pragma once

#include <cstdint>

#include "net/core/request_context.h"
#include "net/core/task.h"
#include "net/core/timer_wheel.h"

namespace syncline::net {

class event {
 public:
  explicit event(core& on) noexcept;
  ~event();
  event(const event&) = delete;
  event& operator=(const event&) = delete;

  [[nodiscard]] task<result<void>> wait(request_context& context, steady_time until = steady_time::max());
  void notify() noexcept;
  [[nodiscard]] bool waiting() const noexcept { return waiter_ != nullptr; }
  [[nodiscard]] core& on() const noexcept { return *core_; }

 private:
  friend class request_context;
  struct waiter;
  enum class outcome : std::uint8_t { notified, timed_out, cancelled };
  void finish(outcome how) noexcept;

  core* core_;
  waiter* waiter_ = nullptr;
  bool notified_ = false;
  timer_entry timer_;
};

// Suspends the task until `when`, or until its context is cancelled.
[[nodiscard]] task<result<void>> sleep_until(request_context& context, steady_time when);
// Lets others on this core run: loops over rows do this each millisecond.
[[nodiscard]] task<void> yield_core();

}  // namespace syncline::net
