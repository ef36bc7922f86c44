#include "server/stream_place.h"

#include <atomic>

#include "perf/metrics.h"

namespace syncline::server {
namespace {

struct place_figures {
  perf::gauge& in_flight = perf::metrics::add_gauge("syncline_sync_streams", "Sync streams in flight");
  perf::counter refused = perf::metrics::add_counter("syncline_sync_streams_refused_total",
                                                     "Sync streams refused at sync.streams_max");
};
place_figures& place_counts() {
  static place_figures all;
  return all;
}

std::atomic<std::uint32_t> taken{0};

}  // namespace

stream_place::stream_place(std::uint32_t max) : held_(taken.fetch_add(1, std::memory_order_relaxed) < max) {
  if (held_) {
    place_counts().in_flight.add(1);
    return;
  }
  taken.fetch_sub(1, std::memory_order_relaxed);
  place_counts().refused.add();
}

stream_place::~stream_place() {
  if (!held_) return;
  taken.fetch_sub(1, std::memory_order_relaxed);
  place_counts().in_flight.add(-1);
}

}  // namespace syncline::server
