// Moves the clock of L1 on, once a second, by a timer of one core.
//
// Thread: start() on any, the rest is that core's; destroy it after the core has stopped. Bound: one timer.
// Failure: none; a core that is late makes entries live that much longer.
#pragma once

#include "cache/l1.h"
#include "net/core/core.h"

namespace syncline::server {

class cache_clock {
 public:
  cache_clock(net::core& on, cache::l1& l1);
  cache_clock(const cache_clock&) = delete;
  cache_clock& operator=(const cache_clock&) = delete;

  void start();

 private:
  void turn() noexcept;

  net::core* on_;
  cache::l1* l1_;
  net::timer_entry timer_;
};

}  // namespace syncline::server
