// The inside of a core: its event loop, inbox, timers and the waits it must destroy when the loop ends.
//
// Not for use outside net/core. Thread: the core, except inbox and close_mutex.
//
// How a core ends, on its own thread, before join() returns:
//  1. The loop leaves after the message that stop() sent, so what the stopping thread posted before has run.
//  2. The inbox closes. What is in it, or is posted from now on, is destroyed without being run.
//  3. Suspended waits for events are destroyed, then everything that Asio holds (sockets, timers, posted
//  handlers). With
//     them go the frames of their tasks: their destructors still find the core, its timers and its context
//     alive, and may notify, post, spawn or disarm; nothing of it runs any more.
//  4. The io_context itself stays until the core is destroyed, since sockets outside of tasks still refer to
//  it.
//
// Invariants
//  1. A non-empty, open inbox has exactly one wake-up on its way.
//  2. After `closed` is set under close_mutex no other thread touches `io`.
#pragma once

#include <mutex>
#include <optional>
#include <thread>

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include "net/core/core_access.h"
#include "perf/metrics.h"

namespace syncline::net {

// An io_context whose pending work can be destroyed while the context itself stays usable for destructors.
class loop_context : public boost::asio::io_context {
 public:
  using boost::asio::io_context::io_context;
  void destroy_pending() { shutdown(); }
};

struct core::loop {
  explicit loop(core& on);
  ~loop();
  loop(const loop&) = delete;
  loop& operator=(const loop&) = delete;

  void push(std::unique_ptr<core_message> message);
  void drain() noexcept;
  void run();  // the thread's body
  void end() noexcept;
  void wake_at(steady_time when);

  using timer = boost::asio::basic_waitable_timer<std::chrono::steady_clock,
                                                  boost::asio::wait_traits<std::chrono::steady_clock>,
                                                  boost::asio::io_context::executor_type>;
  core& self;
  // Before io: entries in frames that io destroys are disarmed on the way.
  timer_wheel wheel;
  core_waiter* waiters = nullptr;
  std::atomic<core_message*> inbox{nullptr};  // newest first
  std::mutex close_mutex;
  bool closed = false;  // under close_mutex
  bool ended = false;   // the thread that ran end() only
  loop_context io{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work;
  std::optional<timer> kernel_timer;
  std::thread thread;
  perf::counter messages;
  perf::counter uncaught;
  std::uint64_t tasks_gauge = 0;
};

}  // namespace syncline::net
