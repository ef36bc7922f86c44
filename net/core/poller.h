// The readiness of one core's descriptors: its only epoll set, and the only thing a core ever waits for.
//
// A descriptor is registered once, edge-triggered, and a short read says that nothing is left: no second recv
// to hear "would block", no epoll_ctl per wait. Asio's own set is one descriptor in this one (asio_io.h): a
// set of connections inside Asio's set cost up to 0.44 system calls a request more. Use it for sockets that
// are driven by hand. Thread: the core; add() also before it starts. Bound: `kEventsMax` events are fetched
// at a time.
//
// Invariants
//  1. A target stays alive from add() until its descriptor is closed or given to another and the batch it was
//  seen in has ended (end_batch), or until forget().
//  2. Everything that happens between begin_batch and end_batch is one batch: on_events of targets, and
//  timers.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "net/core/timer_wheel.h"

namespace syncline::net {

class poll_target {
 public:
  // `events` as in epoll_wait.
  virtual void on_events(std::uint32_t events) noexcept = 0;

 protected:
  ~poll_target() = default;
};

// Who has something to do around each batch, for all its targets together.
class batch_part {
 public:
  virtual void begin_batch(steady_time now) noexcept = 0;
  virtual void end_batch() noexcept = 0;

 protected:
  ~batch_part() = default;
};

class poller {
 public:
  poller();  // throws std::system_error when there is no descriptor left
  ~poller();
  poller(const poller&) = delete;
  poller& operator=(const poller&) = delete;

  // `keep` stays alive until leave() or the end of the core.
  void join(batch_part& part, std::shared_ptr<void> keep);
  void leave(batch_part& part) noexcept;
  // Another batch soon, even when nothing is ready, after others on the core had their turn.
  void again() noexcept { again_ = true; }

  // What is told besides hang-up. `input` leaves out room to write, which a unix socket tells each time its
  // peer reads.
  enum class interest : std::uint8_t { both, input };
  // Edge-triggered. False when the kernel refuses.
  [[nodiscard]] bool add(int descriptor, poll_target& target, interest in = interest::both) noexcept;
  // The descriptor's events go to this target from now on; those of the batch in progress still go to the
  // old one. What is ready is told again.
  [[nodiscard]] bool change(int descriptor, poll_target& target, interest in = interest::both) noexcept;
  // Before a descriptor is closed. The kernel forgets it by itself only with its last copy, and a process
  // that was forked a moment ago still has one: then events would come for a target that is gone.
  void remove(int descriptor) noexcept;
  // The same for the only descriptor of a target, which hears of nothing any more, also of this batch: it may
  // be destroyed at once.
  void forget(int descriptor, const poll_target& target) noexcept;

  // For the core's loop.
  enum class edge : std::uint8_t { triggered, level };
  [[nodiscard]] bool add_input(int descriptor, poll_target& target, edge how) noexcept;
  [[nodiscard]] bool asked_again() const noexcept { return again_; }
  // Waits until something is ready, or not at all; how many events were fetched.
  [[nodiscard]] int fetch(bool wait) noexcept;
  // Gives out what was fetched: one batch.
  void dispatch() noexcept;
  void forget_parts() noexcept;

 private:
  static constexpr int kEventsMax = 256;
  struct member {
    batch_part* part;
    std::shared_ptr<void> keep;
  };
  [[nodiscard]] bool watch(int how, int descriptor, std::uint32_t events, poll_target& target) noexcept;

  int set_;
  int fetched_ = 0;
  bool again_ = false;
  std::vector<member> parts_;
  std::array<epoll_event, kEventsMax> events_;  // the first `fetched_` are filled
};

}  // namespace syncline::net
