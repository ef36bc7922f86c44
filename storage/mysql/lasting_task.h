// A root task that lasts until it is stopped: begun again kLastingPause after an exception ended it, which is
// a lack of memory most likely, so that no background work stands still for good and nobody waits for its end
// in vain.
//
// Use it for a loop that looks at a flag of its own. Thread: made, started and stopped on threads that are no
// core; `body` and `interrupt` run on the core given. Bound: one body at a time. Failure: the exception is
// logged.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "net/core/task.h"

namespace syncline::storage::mysql {

inline constexpr std::chrono::milliseconds kLastingPause{500};

class lasting_task {
 public:
  // `body` is called for each beginning; its task ends soon after `interrupt` was called. What both refer to
  // outlives stop().
  lasting_task(net::core& on, std::string name, std::function<net::task<void>()> body,
               std::function<void()> interrupt);
  ~lasting_task();  // stops
  lasting_task(const lasting_task&) = delete;
  lasting_task& operator=(const lasting_task&) = delete;

  void start();
  void stop();  // waits for the body's end; the core's loop still runs

 private:
  struct life;
  std::shared_ptr<life> life_;
  bool running_ = false;
};

}  // namespace syncline::storage::mysql
