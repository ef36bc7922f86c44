#include "server/admission.h"

#include <array>
#include <atomic>
#include <string_view>

#include <fmt/format.h>

#include "perf/metrics.h"

namespace syncline::server {
namespace {

struct work_count {
  work_count(std::string_view name, std::string_view what, std::string_view setting)
      : in_flight(perf::metrics::add_gauge(name, fmt::format("{} in flight", what))),
        refused(perf::metrics::add_counter(fmt::format("{}_refused_total", name),
                                           fmt::format("{} refused at {}", what, setting))) {}

  std::atomic<std::uint32_t> admitted{0};
  perf::gauge& in_flight;
  perf::counter refused;
};

work_count& count_of(long_work kind) {
  static std::array<work_count, 2> all{{{"syncline_sync_streams", "Sync streams", "sync.streams_max"},
                                        {"syncline_bulk_uploads", "Bulk uploads", "bulk.uploads_max"}}};
  return all[static_cast<std::size_t>(kind)];
}

}  // namespace

admission::admission(long_work of, std::uint32_t max)
    : of_(of), held_(count_of(of).admitted.fetch_add(1, std::memory_order_relaxed) < max) {
  work_count& all = count_of(of_);
  if (held_) {
    all.in_flight.add(1);
    return;
  }
  all.admitted.fetch_sub(1, std::memory_order_relaxed);
  all.refused.add();
}

admission::~admission() {
  if (!held_) return;
  work_count& all = count_of(of_);
  all.admitted.fetch_sub(1, std::memory_order_relaxed);
  all.in_flight.add(-1);
}

}  // namespace syncline::server
