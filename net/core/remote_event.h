// An event that another thread notifies: a member of what a caller on a core and that thread share.
//
// Use it for the answer of a job. The message to the core is made together with the event, so to notify needs
// no memory: an answer that is there reaches its caller also while memory is short. Thread: its core for
// wait(), any for notify(). Bound: one message. Failure: the constructor throws std::bad_alloc; wait() fails
// as event::wait() does.
#pragma once

#include <memory>

#include "net/core/event.h"

namespace syncline::net {

class remote_event {
 public:
  explicit remote_event(core& on);
  ~remote_event();
  remote_event(const remote_event&) = delete;
  remote_event& operator=(const remote_event&) = delete;

  [[nodiscard]] task<result<void>> wait(request_context& context) { return event_.wait(context); }
  // Once; later calls do nothing. `owner` holds this event; it is kept until the core has heard of it.
  void notify(std::shared_ptr<void> owner) noexcept;

 private:
  struct message;
  event event_;
  std::unique_ptr<message> message_;  // none once it was sent
};

}  // namespace syncline::net
