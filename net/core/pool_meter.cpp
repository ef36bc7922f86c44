#include "net/core/pool_meter.h"

namespace syncline::net {

namespace {

constexpr std::array<std::string_view, kWorkClasses> kClassNames{"interactive", "sync", "refresh", "bulk",
                                                                 "outbox"};
constexpr std::array<std::string_view, pool_meter::kRefusals> kRefusalNames{
    "full", "deadline", "shed", "timed_out", "cancelled", "down", "closed"};
constexpr std::array<std::string_view, pool_meter::kStates> kStateNames{"idle", "busy", "connecting",
                                                                        "tending", "closing"};
constexpr std::array<std::string_view, pool_meter::kEndings> kEndingNames{"broken", "expired", "idle",
                                                                          "unfit",  "lent",    "stopped"};

double seconds_since(std::int64_t ticks) {
  if (ticks == 0) return 0;
  const steady_time then{steady_time::duration(ticks)};
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - then).count();
}

}  // namespace

std::string_view to_string(work_class work) noexcept {
  return kClassNames[static_cast<std::size_t>(work)];
}

pool_meter::pool_meter(const std::string& name)
    : connects_(perf::metrics::add_counter("syncline_pool_connects_total", "Connections opened.",
                                           {{"pool", name}})),
      connect_errors_(perf::metrics::add_counter("syncline_pool_connect_errors_total",
                                                 "Connections that could not be opened.", {{"pool", name}})) {
  for (std::size_t i = 0; i < kWorkClasses; ++i) {
    const perf::labels of_class{{"pool", name}, {"class", std::string(kClassNames[i])}};
    wait_[i] = perf::metrics::add_histogram("syncline_pool_wait_seconds",
                                            "Time from asking for a connection to having it.", of_class);
    for (std::size_t why = 0; why < kRefusals; ++why) {
      perf::labels with = of_class;
      with.emplace_back("reason", std::string(kRefusalNames[why]));
      refused_[i][why] = perf::metrics::add_counter("syncline_pool_refused_total",
                                                    "Callers who got no connection, and why.", with);
    }
    handles_.push_back(perf::metrics::add_gauge_callback(
        "syncline_pool_waiting", "Callers who wait for a connection.", of_class,
        [this, i] { return static_cast<double>(waiting_[i].load(std::memory_order_relaxed)); }));
    // Summed over cores like every gauge; with one core waiting, as is usual, it is that core's.
    handles_.push_back(perf::metrics::add_gauge_callback(
        "syncline_pool_oldest_wait_seconds", "Age of the oldest waiter, added up over cores.", of_class,
        [this, i] { return seconds_since(oldest_[i].load(std::memory_order_relaxed)); }));
  }
  for (std::size_t i = 0; i < kStates; ++i) {
    handles_.push_back(perf::metrics::add_gauge_callback(
        "syncline_pool_connections", "Connections by state.",
        {{"pool", name}, {"state", std::string(kStateNames[i])}},
        [this, i] { return static_cast<double>(states_[i].load(std::memory_order_relaxed)); }));
  }
  for (std::size_t i = 0; i < kEndings; ++i) {
    endings_[i] = perf::metrics::add_counter("syncline_pool_closed_total", "Connections closed, and why.",
                                             {{"pool", name}, {"reason", std::string(kEndingNames[i])}});
  }
  handles_.push_back(perf::metrics::add_gauge_callback(
      "syncline_pool_down_cores", "Cores that see the server refuse connections.", {{"pool", name}},
      [this] { return down_.load(std::memory_order_relaxed) ? 1.0 : 0.0; }));
}

pool_meter::~pool_meter() {
  for (const std::uint64_t each : handles_) perf::metrics::remove_gauge_callback(each);
}

}  // namespace syncline::net
