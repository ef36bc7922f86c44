#include <algorithm>

#include "net/core/pool_state.h"
#include "perf/log.h"

namespace syncline::net {

namespace {

constexpr std::size_t kHoldersMax = 8;

}  // namespace

std::string pool_state::holders(steady_time now) const {
  std::vector<const pool_slot*> busy;
  for (const auto& each : slots_) {
    if (each->is == pool_slot::condition::busy) busy.push_back(each.get());
  }
  std::sort(busy.begin(), busy.end(),
            [](const pool_slot* a, const pool_slot* b) { return a->changed < b->changed; });
  std::string out;
  for (std::size_t i = 0; i < busy.size() && i < kHoldersMax; ++i) {
    const auto held = std::chrono::duration_cast<std::chrono::milliseconds>(now - busy[i]->changed).count();
    const std::string_view who = busy[i]->held_by();
    out += fmt::format("{}{} {} {} ms", i == 0 ? "" : ", ", to_string(busy[i]->work), who.empty() ? "-" : who,
                       held);
    if (busy[i]->uses > 1) out += fmt::format(" x{}", busy[i]->uses);
  }
  if (busy.size() > kHoldersMax) out += fmt::format(", and {} more", busy.size() - kHoldersMax);
  return out;
}

// At most once per report_interval_ms: whoever is overloaded has no time for log lines.
void pool_state::report(steady_time now) {
  if (now - reported_ < std::chrono::milliseconds(options_.report_interval_ms)) return;
  reported_ = now;
  const numbers has = count();
  perf::log_warn("waiters for a connection are refused", {{"pool", options_.name},
                                                          {"core", id_},
                                                          {"refused", shed_since_report_},
                                                          {"waiting", has.waiting},
                                                          {"busy", has.busy},
                                                          {"idle", has.idle},
                                                          {"connecting", has.connecting},
                                                          {"connections_max", options_.connections_max},
                                                          {"holders", holders(now)}});
  shed_since_report_ = 0;
}

void pool_state::show() noexcept {
  const numbers has = count();
  meter_.show(pool_meter::state::idle, has.idle);
  meter_.show(pool_meter::state::busy, has.busy);
  meter_.show(pool_meter::state::connecting, has.connecting);
  meter_.show(pool_meter::state::tending, has.tending);
  meter_.show(pool_meter::state::closing, has.closing);
  for (std::size_t i = 0; i < kWorkClasses; ++i) {
    const auto work = static_cast<work_class>(i);
    const pool_waiter* head = queue_.head(work);
    meter_.show_waiting(work, queue_.waiting(work), head == nullptr ? steady_time{} : head->since);
  }
  meter_.show_down(node_.down());
}

}  // namespace syncline::net
