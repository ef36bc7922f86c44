// Gives the core its turn when a task has held it for a millisecond.
//
// Use it in every loop over rows: `turn mine; for (…) { co_await mine.give_way(); … }`. Thread: the core.
#pragma once

#include <chrono>

#include "net/core/event.h"
#include "net/core/task.h"

namespace syncline::net {

class turn {
 public:
  [[nodiscard]] task<void> give_way() {
    if (std::chrono::steady_clock::now() - began_ < std::chrono::milliseconds(1)) co_return;
    co_await yield_core();
    restart();
  }
  // After a wait: others had their turn meanwhile.
  void restart() { began_ = std::chrono::steady_clock::now(); }

 private:
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

}  // namespace syncline::net
