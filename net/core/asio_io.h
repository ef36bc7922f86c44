// Asio's I/O objects on a core: an io_context whose epoll set is one descriptor in the core's own.
//
// It is made when somebody first asks the core for it: a server whose connections and tasks need no Asio
// socket has none, and today none does. Thread: the core (made also before it starts). Failure:
// std::system_error when there is no descriptor left.
//
// Invariants
//  1. poll() runs handlers when the descriptor is ready, and after each task, message or timer of the core:
//  what they cancelled, closed or found done at once waits in Asio's queue, which no descriptor tells of.
//  2. due() is called when a task is put into the core's queue, and the task runs before the second turn from
//  then: so it is good for two turns.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include "net/core/poller.h"

namespace syncline::net {

// An io_context whose pending work can be destroyed while the context itself stays usable for destructors.
class loop_context : public boost::asio::io_context {
 public:
  using boost::asio::io_context::io_context;
  void destroy_pending() { shutdown(); }
};

class asio_io final : private poll_target {
 public:
  explicit asio_io(poller& poll);
  [[nodiscard]] boost::asio::io_context& context() noexcept { return context_; }
  void due() noexcept { due_turns_ = 2; }
  // At each turn of the core: runs what is ready, if there may be anything. Handlers may throw.
  void poll() {
    if (due_turns_ == 0) return;
    --due_turns_;
    context_.poll();
  }
  void destroy_pending() {
    work_.reset();
    context_.destroy_pending();
  }

 private:
  void on_events(std::uint32_t) noexcept override { due(); }

  loop_context context_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  int due_turns_ = 2;
};

}  // namespace syncline::net
