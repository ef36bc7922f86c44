// The readiness of one core's connections: an epoll set of its own, waited for through the core's event loop.
//
// Why not the loop's own set: there a read is tried again after each answer only to hear "would block" (2
// recv a request, measured), or each wait costs an epoll_ctl. Here a descriptor is registered once,
// edge-triggered, and a short read says that nothing is left; one wake-up of the loop serves every connection
// that is ready. Use it for sockets that are driven by hand. Thread: the core. Bound: `kEventsMax` events are
// fetched at a time.
//
// Invariants
//  1. A target stays alive from add() until its descriptor is closed or given to another and the batch it was
//  seen in has ended (after_batch).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace boost::asio {
class io_context;
}

namespace syncline::net {

class poll_target {
 public:
  // `events` as in epoll_wait.
  virtual void on_events(std::uint32_t events) noexcept = 0;

 protected:
  ~poll_target() = default;
};

class poller {
 public:
  poller();  // throws std::system_error when there is no descriptor left
  ~poller();
  poller(const poller&) = delete;
  poller& operator=(const poller&) = delete;

  // Waits on `io`; `keep` stays alive while it does. before_batch and after_batch frame each series of
  // on_events.
  void start(boost::asio::io_context& io, std::shared_ptr<void> keep, std::function<void()> before_batch,
             std::function<void()> after_batch);
  void stop();
  // In, out and hang-up, edge-triggered. False when the kernel refuses.
  [[nodiscard]] bool add(int descriptor, poll_target& target) noexcept;
  // The descriptor's events go to another target from now on; those of the batch in progress still go to the
  // old one. What is ready is told again.
  [[nodiscard]] bool change(int descriptor, poll_target& target) noexcept;
  // Before a descriptor is closed. The kernel forgets it by itself only with its last copy, and a process
  // that was forked a moment ago still has one: then events would come for a target that is gone.
  void remove(int descriptor) noexcept;

 private:
  static constexpr int kEventsMax = 256;
  struct waiting;
  [[nodiscard]] bool watch(int how, int descriptor, poll_target& target) noexcept;
  void wait(std::shared_ptr<void> keep);
  void dispatch();

  int set_ = -1;
  bool stopped_ = false;
  std::unique_ptr<waiting> waiting_;
};

}  // namespace syncline::net
