#include "net/core/request_context.h"

#include <cassert>

#include "net/core/event.h"

namespace syncline::net {

void request_context::cancel() noexcept {
  cancelled_ = true;
  // finish() clears waiting_; the waiter itself runs later, from the core's loop.
  if (waiting_ != nullptr) waiting_->finish(event::outcome::cancelled);
}

void request_context::reset() noexcept {
  assert(waiting_ == nullptr);
  who = access{};
  request_id.clear();
  stage_us.fill(0);
  deadline_ = steady_time::max();
  work_ = work_class::interactive;
  cancelled_ = false;
}

}  // namespace syncline::net
