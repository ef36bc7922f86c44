// How long a newcomer will wait, from how long connections are held.
//
// wait = (ahead + 1) * hold / lanes, with `lanes` the leases that are out: Little's law, so it holds for
// exclusive leases and for pipelined ones, whose hold is longer and whose lanes are more. A server that stops
// answering ends no lease and so would never change the mean: the time since the last lease ended counts as
// well, an eighth of it, because gaps between ends are about exponential and one in 3,000 is eight times the
// mean by chance. It counts up to `heard`, when the core last looked for what had ended: a thousand callers
// that begin in one turn of the core's loop are no sign of a slow server. Connections that are coming are
// lanes too, else whoever comes while the first of ten is open would be told ten times the wait.
//
// Thread: a value. Bound: a few words.
#pragma once

#include <algorithm>
#include <cstdint>

#include "net/core/timer_wheel.h"

namespace syncline::net {

class pool_estimator {
 public:
  using duration = std::chrono::microseconds;
  explicit pool_estimator(duration guess = std::chrono::milliseconds(2)) noexcept
      : hold_us_(static_cast<double>(guess.count())) {}

  void lease_begins(steady_time now) noexcept {
    if (lanes_++ == 0) progress_ = now;
  }
  void lease_ends(steady_time now, steady_time since) noexcept {
    --lanes_;
    progress_ = now;
    const auto held = std::chrono::duration_cast<duration>(now - since);
    // 1/32: half of a change is seen after 22 leases, and exponential holds make the mean vary by an eighth.
    hold_us_ += (static_cast<double>(held.count()) - hold_us_) / 32;
  }
  [[nodiscard]] std::uint32_t lanes() const noexcept { return lanes_; }
  [[nodiscard]] duration hold() const noexcept { return duration(static_cast<std::int64_t>(hold_us_)); }
  // Of someone with `ahead` others before it, where `lanes_least` leases can be out at a time.
  [[nodiscard]] duration wait(std::size_t ahead, steady_time heard,
                              std::uint32_t lanes_least = 1) const noexcept {
    double each_us = hold_us_ / std::max(lanes_least, lanes_);
    if (lanes_ != 0 && heard > progress_) {
      const auto gap = std::chrono::duration_cast<duration>(heard - progress_);
      each_us = std::max(each_us, static_cast<double>(gap.count()) / 8);
    }
    // Capped far above every deadline, so that the number fits.
    return duration(static_cast<std::int64_t>(std::min(each_us * static_cast<double>(ahead + 1), 1e12)));
  }

 private:
  double hold_us_;
  std::uint32_t lanes_ = 0;
  steady_time progress_{};
};

}  // namespace syncline::net
