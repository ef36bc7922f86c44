#include "server/cache_clock.h"

#include <chrono>

namespace syncline::server {

using std::chrono::seconds;
using std::chrono::steady_clock;

cache_clock::cache_clock(net::core& on, cache::l1& l1)
    : on_(&on),
      l1_(&l1),
      timer_([](void* self) noexcept { static_cast<cache_clock*>(self)->turn(); }, this) {}

void cache_clock::start() {
  on_->post([this] { turn(); });
}

void cache_clock::turn() noexcept {
  const auto now = steady_clock::now();
  const auto passed = std::chrono::duration_cast<seconds>(now.time_since_epoch());
  l1_->set_time(static_cast<std::uint32_t>(passed.count()));
  on_->timers().arm(timer_, now + seconds(1));
}

}  // namespace syncline::server
