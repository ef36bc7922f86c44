// The thread that holds one session of Oracle's connector and runs what is queued for it.
//
// Thread: run_next() and stop() any; the session is made, used and destroyed on its own thread, which ends by
// itself after stop() and the statement under way. Bound: the queue is as long as what its connection's
// users start. Failure: each statement's own; broken() when the session is of no use any more.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>

#include "storage/mysql/connector/statement_run.h"
#include "storage/mysql/session_options.h"

namespace syncline::storage::mysql {

class session_thread {
 public:
  // errc::overloaded when 512 live, most of which must hang then; errc::down without a thread.
  [[nodiscard]] static net::result<std::shared_ptr<session_thread>> start(
      std::shared_ptr<const session_options> options);
  // Until those that were stopped have ended, for the end of the process: they must not run beside static
  // destructors.
  static void wait_for_closed(std::chrono::milliseconds within);

  void run_next(std::shared_ptr<statement_run> statement);
  void stop();  // what is queued fails
  [[nodiscard]] bool broken() const noexcept { return broken_.load(std::memory_order_relaxed); }
  void mark_broken() noexcept { broken_.store(true, std::memory_order_relaxed); }

 private:
  void loop(const std::shared_ptr<const session_options>& options);
  // Null: stopped.
  [[nodiscard]] std::shared_ptr<statement_run> next();

  std::mutex guard_;
  std::condition_variable queued_;
  std::deque<std::shared_ptr<statement_run>> queue_;
  bool stopped_ = false;
  std::atomic<bool> broken_{false};
};

}  // namespace syncline::storage::mysql
