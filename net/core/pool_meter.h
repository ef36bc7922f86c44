// What /metrics shows of a pool. All cores of one pool name add up.
//
// Thread: the core writes, a scrape reads from its own thread. Bound: about 200 counter slots a pool name.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "net/core/request_context.h"
#include "perf/metrics.h"

namespace syncline::net {

class pool_meter {
 public:
  // Why a caller got no connection.
  enum class refusal : std::uint8_t { full, deadline, shed, timed_out, cancelled, down, closed };
  static constexpr std::size_t kRefusals = 7;
  enum class state : std::uint8_t { idle, busy, connecting, tending, closing };
  static constexpr std::size_t kStates = 5;
  // Why a connection was closed.
  enum class ending : std::uint8_t { broken, expired, idle, unfit, lent, stopped };
  static constexpr std::size_t kEndings = 6;

  explicit pool_meter(const std::string& name);
  ~pool_meter();
  pool_meter(const pool_meter&) = delete;
  pool_meter& operator=(const pool_meter&) = delete;

  void acquired(work_class work, steady_time::duration waited) const noexcept {
    wait_[at(work)].record_us(
        static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(waited).count()));
  }
  void refused(work_class work, refusal why) const noexcept {
    refused_[at(work)][static_cast<std::size_t>(why)].add();
  }
  void connect_ended(bool well) const noexcept { (well ? connects_ : connect_errors_).add(); }
  void ended(ending why) const noexcept { endings_[static_cast<std::size_t>(why)].add(); }
  void show(state which, std::size_t count) noexcept {
    states_[static_cast<std::size_t>(which)].store(static_cast<std::uint32_t>(count),
                                                   std::memory_order_relaxed);
  }
  void show_waiting(work_class work, std::size_t count, steady_time oldest_since) noexcept {
    waiting_[at(work)].store(static_cast<std::uint32_t>(count), std::memory_order_relaxed);
    oldest_[at(work)].store(count == 0 ? 0 : oldest_since.time_since_epoch().count(),
                            std::memory_order_relaxed);
  }
  void show_down(bool down) noexcept { down_.store(down, std::memory_order_relaxed); }

 private:
  static std::size_t at(work_class work) noexcept { return static_cast<std::size_t>(work); }

  std::array<perf::histogram, kWorkClasses> wait_;
  std::array<std::array<perf::counter, kRefusals>, kWorkClasses> refused_;
  std::array<perf::counter, kEndings> endings_;
  perf::counter connects_;
  perf::counter connect_errors_;
  std::array<std::atomic<std::uint32_t>, kStates> states_{};
  std::array<std::atomic<std::uint32_t>, kWorkClasses> waiting_{};
  std::array<std::atomic<std::int64_t>, kWorkClasses> oldest_{};
  std::atomic<bool> down_{false};
  std::vector<std::uint64_t> handles_;
};

[[nodiscard]] std::string_view to_string(work_class work) noexcept;

}  // namespace syncline::net
