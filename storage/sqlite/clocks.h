// The two clocks of the store: how long something took, and what time it is for rows that live for hours.
//
// Thread: any. Failure: unix_seconds() follows a clock that is set; what is measured never goes back.
#pragma once

#include <chrono>
#include <cstdint>

#include "net/core/timer_wheel.h"

namespace syncline::storage::sqlite {

[[nodiscard]] inline std::uint64_t us_since(net::steady_time from) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - from).count());
}

[[nodiscard]] inline std::int64_t unix_seconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace syncline::storage::sqlite
