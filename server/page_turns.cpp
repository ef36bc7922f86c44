#include "server/page_turns.h"

#include <algorithm>

namespace syncline::server {

net::task<net::result<void>> page_turns::take(net::request_context& context, waiter& mine) {
  if (!taken_) {
    taken_ = true;
    co_return net::result<void>();
  }
  mine.granted = false;
  waiting_.push_back(&mine);
  for (;;) {
    auto woken = co_await mine.wake.wait(context);
    if (!woken) {
      if (mine.granted) {
        give_back();
      } else {
        std::erase(waiting_, &mine);
      }
      co_return woken;
    }
    if (mine.granted) co_return woken;
  }
}

void page_turns::give_back() noexcept {
  if (waiting_.empty()) {
    taken_ = false;
    return;
  }
  waiter& next = *waiting_.front();
  waiting_.pop_front();
  next.granted = true;
  next.wake.notify();
}

}  // namespace syncline::server
