// Turns among the streams of one connection: one of them holds a page, the others hold nothing and wait.
//
// Without it a socket with a hundred subscriptions that nobody reads held a hundred pages (90 KB each,
// measured). Thread: one core. Bound: a pointer per waiting stream; first come, first served. Failure:
// errc::cancelled when the waiter's context is.
//
// Invariant: a turn is given back exactly once by who got it; one that was granted to a stream that gave up
// meanwhile is passed on.
#pragma once

#include <deque>

#include "net/core/event.h"

namespace syncline::server {

class page_turns {
 public:
  struct waiter {
    explicit waiter(net::core& on) : wake(on) {}
    net::event wake;
    bool granted = false;
  };
  [[nodiscard]] net::task<net::result<void>> take(net::request_context& context, waiter& mine);
  void give_back() noexcept;

 private:
  std::deque<waiter*> waiting_;
  bool taken_ = false;
};

}  // namespace syncline::server
