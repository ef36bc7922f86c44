// The inside of a core: its event loop, inbox, timers and the waits it must destroy when the loop ends.
//
// Not for use outside net/core. Thread: the core, except inbox and sleeping.
//
// A turn of the loop (core_turn.cpp): fetch events, waiting when nothing else is to be done; give them out;
// run messages; then each handler of a task that was posted so far, once. `ready` is Asio's queue of those
// handlers, and a turn is one of them, so that Asio's memory for coroutine frames, which lives as long as one
// run(), is always the same. `ready` has no I/O object, hence no reactor: it costs no system call.
//
// How a core ends, on its own thread, before join() returns:
//  1. The loop leaves after the message that stop() sent, so what the stopping thread posted before has run.
//  2. The inbox closes. What is in it, or is posted from now on, is destroyed without being run.
//  3. Suspended waits for events are destroyed, then everything that Asio holds (sockets, timers, posted
//  handlers). With them go the frames of their tasks: their destructors still find the core, its timers and
//  its contexts alive, and may notify, post, spawn or disarm; nothing of it runs any more.
//  4. The contexts themselves stay until the core is destroyed, since sockets outside of tasks still refer to
//  them.
//
// Invariants
//  1. The core sleeps only after `sleeping` was set and the inbox was then found empty; who makes the inbox
//  non-empty looks at `sleeping` after that. Both are sequentially consistent, so one of the two sees the
//  other.
#pragma once

#include <chrono>
#include <optional>
#include <thread>

#include <boost/asio/io_context.hpp>

#include "net/core/asio_io.h"
#include "net/core/core_access.h"
#include "net/core/poller.h"
#include "perf/metrics.h"

namespace syncline::net {

class kernel_descriptor {
 public:
  kernel_descriptor(int descriptor, const char* call);  // throws std::system_error when it is none
  ~kernel_descriptor();
  kernel_descriptor(const kernel_descriptor&) = delete;
  kernel_descriptor& operator=(const kernel_descriptor&) = delete;
  [[nodiscard]] int get() const noexcept { return descriptor_; }

 private:
  int descriptor_;
};

struct core::loop {
  loop(core& on, std::chrono::microseconds busy);
  ~loop();
  loop(const loop&) = delete;
  loop& operator=(const loop&) = delete;

  void push(std::unique_ptr<core_message> message);
  void run();  // the thread's body
  void end() noexcept;
  void wake_at(steady_time when) noexcept;
  [[nodiscard]] boost::asio::io_context& io();
  void run_ready();  // what a handler posted since the last turn, and the next turn
  void turn() noexcept;
  void fetch() noexcept;
  [[nodiscard]] bool spin() noexcept;
  void drain() noexcept;

  struct awakened final : poll_target {
    void on_events(std::uint32_t) noexcept override {}
  };
  struct alarmed final : poll_target {
    explicit alarmed(loop& l) : of(l) {}
    void on_events(std::uint32_t) noexcept override;
    loop& of;
  };

  core& self;
  const std::chrono::microseconds busy_poll;
  // Before the contexts: entries in frames that those destroy are disarmed on the way.
  timer_wheel wheel;
  core_waiter* waiters = nullptr;
  std::atomic<core_message*> inbox{nullptr};  // newest first
  std::atomic<bool> sleeping{false};
  std::uint64_t turns = 0;
  bool stopping = false;
  bool ended = false;  // the thread that ran end() only
  poller poll;
  kernel_descriptor wake_descriptor;   // eventfd: written by who fills the inbox of a core that sleeps
  kernel_descriptor alarm_descriptor;  // timerfd: the wheel's next wake-up
  awakened wake_target;
  alarmed alarm_target;
  loop_context ready{1};
  // A handler that a turn runs by poll_one() may be the last one that Asio has counted: without this the
  // context would stop.
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> ready_work{ready.get_executor()};
  std::optional<asio_io> asio;
  std::thread thread;
  perf::counter messages;
  perf::counter uncaught;
  perf::counter sleeps;
  perf::counter spin_hits;
  std::uint64_t tasks_gauge = 0;
};

}  // namespace syncline::net
