// CoDel for a pool: tells a queue that stands from a queue that works off a burst.
//
// When even the shortest wait of an interval was over the target, the queue stands; then who waited for more
// than twice the target is shed. We differ from the paper (Nichols, Jacobson: "Controlling Queue Delay",
// 2012) in three ways. Shedding is by age and not at a growing rate, since callers are requests with a
// deadline and not senders that slow down (as in "Fail at Scale", ACM Queue 2015). And a wait is measured as
// a part of the time its request had: 5 ms of a deadline of 100 ms are as bad as 500 ms of 10 s, so that a
// thousand patient callers are no overload.
//
// Thread: a value. Bound: a few words. Use: `if (codel.leaves(now, part)) shed(waiter);`
//
// Invariants
//  1. A wait of nothing proves that no queue stands: it ends the standing at once.
//  2. Nobody who waited for at most twice the target is shed.
#pragma once

#include <algorithm>

#include "net/core/timer_wheel.h"

namespace syncline::net {

class pool_codel {
 public:
  pool_codel(double target_part, steady_time::duration interval) noexcept
      : target_(target_part), interval_(interval) {}

  // A waiter is at the head and could be served; `part` of its time went by in the queue. True: shed it.
  [[nodiscard]] bool leaves(steady_time now, double part) noexcept {
    if (now >= interval_ends_) {
      // Half the target ends it: callers are refused on arrival at 1.5 targets (entry_part), and with a
      // single threshold the queue would swing between the two bounds and shed a third of what it let in.
      standing_ = seen_ && shortest_ > (standing_ ? target_ / 2 : target_);
      interval_ends_ = now + interval_;
      shortest_ = part;
      seen_ = true;
    } else {
      shortest_ = std::min(shortest_, part);
    }
    return standing_ && part > 2 * target_;
  }
  // A caller was served without waiting.
  void served_at_once() noexcept {
    shortest_ = 0;
    standing_ = false;
  }
  [[nodiscard]] bool standing() const noexcept { return standing_; }
  // While the queue stands, who is estimated to wait for more is better refused on arrival. Between the
  // target and twice it: lower and the queue would stop standing, which lets it grow again; higher and more
  // of those let in are shed later.
  [[nodiscard]] double entry_part() const noexcept { return 1.5 * target_; }

 private:
  double target_;
  steady_time::duration interval_;
  steady_time interval_ends_{};
  double shortest_ = 0;
  bool seen_ = false;
  bool standing_ = false;
};

}  // namespace syncline::net
