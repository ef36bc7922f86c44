// A core: one pinned thread with its own event loop, timers and messages; a core_group is all of them.
//
// Everything a request needs lives on the core that accepted it. What another thread has to say to a core is
// posted. Thread: post() and spawn() may be called from any thread, the rest from the core itself. Bound: a
// posted message is one allocation; senders bound themselves (a job queue, one notice per commit and core).
// Failure: a message that throws is logged, counted and dropped.
//
// The end of a core (in detail in core_loop.h): after stop() the loop leaves, messages and tasks that are
// left are destroyed on the core's own thread without being run, and join() returns only then. So what tasks
// refer to (pools, stores, threads for blocking jobs) must live until join() or core_group::stop() has
// returned, and the core object must outlive what posts to it: make the core_group first, stop() it first,
// destroy it last. A message posted to a core that has ended is destroyed at once.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "net/core/timer_wheel.h"

namespace boost::asio {
class io_context;
}

namespace syncline::net {

class poller;

class core {
 public:
  // Before it sleeps the core spins for `busy_poll`.
  core(unsigned id, bool pin, std::chrono::microseconds busy_poll = {});
  ~core();
  core(const core&) = delete;
  core& operator=(const core&) = delete;

  [[nodiscard]] unsigned id() const noexcept { return id_; }
  // For Asio's sockets and the like; made at the first call. To be used in tasks, messages, timers and its
  // own handlers, not in poll_target::on_events() (asio_io.h says why), nor by other threads while the core
  // runs.
  [[nodiscard]] boost::asio::io_context& io();
  [[nodiscard]] poller& poll() noexcept;
  [[nodiscard]] timer_wheel& timers() noexcept;
  // Runs `message` on this core, after what it is doing. Messages of one sender arrive in order; one wake-up
  // serves a batch.
  void post(std::function<void()> message);
  // The core this thread is, or nullptr.
  [[nodiscard]] static core* current() noexcept;
  // Turns of the loop so far. What ends outside is heard of between turns only.
  [[nodiscard]] std::uint64_t turns() const noexcept;
  // Root tasks that have not ended yet; any thread.
  [[nodiscard]] std::uint64_t tasks_in_flight() const noexcept {
    return tasks_in_flight_.load(std::memory_order_relaxed);
  }

  void start();  // starts the thread
  void stop();   // lets the loop end, once it has run what this thread posted before; then join(). A core
                 // starts once
  void join();

 private:
  friend struct core_access;
  struct loop;
  unsigned id_;
  bool pin_;
  std::atomic<std::uint64_t> tasks_in_flight_{0};
  std::unique_ptr<loop> loop_;
};

struct core_group_options {
  unsigned cores = 0;  // 0: as many as the process may run on
  bool pin = true;     // ignored where the process may run on fewer processors than cores
  std::uint32_t busy_poll_us =
      0;  // how long an idle core looks for work before it sleeps; costs that CPU time
};

class core_group {
 public:
  explicit core_group(const core_group_options& options);
  ~core_group();  // stops and joins

  [[nodiscard]] std::size_t size() const noexcept { return cores_.size(); }
  [[nodiscard]] core& at(std::size_t i) noexcept { return *cores_[i]; }
  void start();
  void stop();  // from a thread that is no core; waits for all

 private:
  std::vector<std::unique_ptr<core>> cores_;
};

}  // namespace syncline::net
