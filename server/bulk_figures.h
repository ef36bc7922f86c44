// What bulk uploads count, registered once, and how long their loops run between two looks at the clock.
// Thread: any.
#pragma once

#include <cstdint>

#include "perf/metrics.h"

namespace syncline::server {

struct bulk_figures {
  perf::counter rows = perf::metrics::add_counter("syncline_bulk_rows_total",
                                                  "Rows of bulk uploads that were stored or found unchanged");
  perf::counter rejected = perf::metrics::add_counter("syncline_bulk_rejected_rows_total",
                                                      "Rows of bulk uploads that were rejected");
};

inline bulk_figures& bulk_counts() {
  static bulk_figures all;
  return all;
}

inline constexpr std::uint32_t kRowsBeforePause = 64;  // about 0.3 ms of parsing

}  // namespace syncline::server
