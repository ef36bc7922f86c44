// How long a newcomer will wait, from how long connections are held.
//
// wait = (ahead + 1) * hold / lanes, with `lanes` the leases that are out: Little's law, so it holds for
// exclusive leases and for pipelined ones, whose hold is longer and whose lanes are more. In the mean of the
// holds what is rare and long, such as a stall, counts as 32 times the mean. Where one statement in a
// thousand takes 5,000 times as long the estimate is too low, and CoDel has to shed.
//
// A server that stops answering ends no lease and so would never change the mean: time in which no lease ends
// counts as well, from eight times what usually is between two ends, since gaps are about exponential and one
// in 3,000 is longer by chance. Each who waits adds an eighth of it, and all together no more than all of it:
// who has stalled for so long will stall for about as long again and then go on as before. So with a thousand
// waiters a stall of 20 ms is no reason to refuse one who has seconds. It counts up to `heard`, when the core
// last looked for what had ended: a thousand callers that begin in one turn of the core's loop are no sign of
// a slow server. Connections that are coming are lanes too, else whoever comes while the first of ten is open
// would be told ten times the wait.
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
    const double mean_us = std::max(hold_us_, 1.0);
    const double held_us = std::chrono::duration<double, std::micro>(now - since).count();
    // A stall holds up one lease of each lane; twice as many in a row are another pace.
    const double outlier_us = 32 * mean_us;
    const bool outlier = held_us > outlier_us;
    outliers_ = outlier ? outliers_ + 1 : 0;
    outlier_lanes_ = outlier ? std::max(outlier_lanes_, lanes_ + 1) : 0;
    // Over what ends in kMemoryMs, but over 32 leases at least, of which exponential holds make the mean vary
    // by an eighth, and 1,024 at most.
    const double lanes = std::max(lanes_ + 1, outlier_lanes_);
    const double ends = std::clamp(lanes * kMemoryMs * 1000 / mean_us, 32.0, 1024.0);
    if (outliers_ > 2 * outlier_lanes_) {
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
      const double stall_us = std::max(static_cast<double>(gap.count()) - 8 * each_us, 0.0);
      wait_us += std::min(stall_us, stall_us / 8 * static_cast<double>(ahead + 1));
    }
    // Capped far above every deadline, so that the number fits.
    return duration(static_cast<std::int64_t>(std::min(wait_us, 1e12)));
  }

 private:
  static constexpr double kMemoryMs = 50;
  double hold_us_;
  std::uint32_t lanes_ = 0;
  std::uint32_t outliers_ = 0;       // in a row
  std::uint32_t outlier_lanes_ = 0;  // most lanes that were out meanwhile
  steady_time progress_{};
};

}  // namespace syncline::net
