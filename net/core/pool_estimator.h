// How long a newcomer will wait, from how long connections are held.
//
// wait = (ahead + 1) * hold / lanes, with `lanes` the leases that are out: Little's law, so it holds for
// exclusive leases and for pipelined ones, whose hold is longer and whose lanes are more. `hold` is a mean
// that leaves out what is rare and long: a stall, or one statement in a thousand that takes 5,000 times as
// long, which then makes the estimate too low; CoDel is for those.
//
// A server that stops answering ends no lease and so would never change the mean: the time since the last
// lease ended counts as well, an eighth of it for each who waits, because gaps between ends are about
// exponential and one in 3,000 is eight times the mean by chance, and all of it at most: who has stalled for
// so long will stall for about as long again and then go on as before, so with a thousand waiters a stall of
// 20 ms is no reason to refuse one who has seconds. It counts up to `heard`, when the core last looked for
// what had ended: a thousand callers that begin in one turn of the core's loop are no sign of a slow server.
// Connections that are coming are lanes too, else whoever comes while the first of ten is open would be told
// ten times the wait.
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
    // Over what ends in kMemoryMs, but over 32 leases at least, of which exponential holds make the mean vary
    // by an eighth, and 1,024 at most.
    const double mean_us = std::max(hold_us_, 1.0);
    const double ends = std::clamp((lanes_ + 1) * kMemoryMs * 1000 / mean_us, 32.0, 1024.0);
    const double held_us = std::chrono::duration<double, std::micro>(now - since).count();
    // A stall holds up a lease of each lane. More in a row than that are another pace.
    const double outlier_us = 32 * mean_us;
    outliers_ = held_us > outlier_us ? outliers_ + 1 : 0;
    if (outliers_ > 2 * (lanes_ + 1)) {
      hold_us_ += (held_us - hold_us_) / 32;
    } else {
      hold_us_ += (std::min(held_us, outlier_us) - hold_us_) / ends;
    }
  }
  [[nodiscard]] std::uint32_t lanes() const noexcept { return lanes_; }
  [[nodiscard]] duration hold() const noexcept { return duration(static_cast<std::int64_t>(hold_us_)); }
  // Of someone with `ahead` others before it, where `lanes_least` leases can be out at a time.
  [[nodiscard]] duration wait(std::size_t ahead, steady_time heard,
                              std::uint32_t lanes_least = 1) const noexcept {
    const double each_us = hold_us_ / std::max(lanes_least, lanes_);
    double wait_us = each_us * static_cast<double>(ahead + 1);
    if (lanes_ != 0 && heard > progress_) {
      const auto gap = std::chrono::duration_cast<duration>(heard - progress_);
      const auto gap_us = static_cast<double>(gap.count());
      if (gap_us > 8 * each_us) wait_us += std::min(gap_us, gap_us / 8 * static_cast<double>(ahead + 1));
    }
    // Capped far above every deadline, so that the number fits.
    return duration(static_cast<std::int64_t>(std::min(wait_us, 1e12)));
  }

 private:
  static constexpr double kMemoryMs = 50;
  double hold_us_;
  std::uint32_t lanes_ = 0;
  std::uint32_t outliers_ = 0;  // in a row
  steady_time progress_{};
};

}  // namespace syncline::net
