// What travels with a request through every storage, cache and pool call: deadline, work class, access,
// cancellation, request id, and where its time went.
//
// Thread: the core of the request. A job on a blocking thread gets a copy of what it needs, never this
// object. Cancellation: cancel() may be called once or often; whatever the request waits for (an `event`)
// returns errc::cancelled.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "net/core/timer_wheel.h"

namespace syncline::net {

class core;
class event;

enum class work_class : std::uint8_t { interactive, sync, refresh, bulk, outbox };
inline constexpr std::size_t kWorkClasses = 5;

enum class stage : std::uint8_t { wait, storage, cache, encode, write };
inline constexpr std::size_t kStages = 5;

// Who asks. Until authentication is configured everyone on loopback is the back end and sees everything.
struct access {
  std::string principal = "loopback";
  bool everything = true;
};

class request_context {
 public:
  explicit request_context(core& on, work_class work = work_class::interactive) noexcept
      : core_(&on), work_(work) {}
  request_context(const request_context&) = delete;
  request_context& operator=(const request_context&) = delete;

  [[nodiscard]] core& on() const noexcept { return *core_; }
  [[nodiscard]] work_class work() const noexcept { return work_; }
  void set_work(work_class work) noexcept { work_ = work; }
  // steady_time::max() is no deadline.
  [[nodiscard]] steady_time deadline() const noexcept { return deadline_; }
  void set_deadline(steady_time when) noexcept { deadline_ = when; }
  [[nodiscard]] bool expired() const noexcept {
    return deadline_ != steady_time::max() && std::chrono::steady_clock::now() >= deadline_;
  }
  [[nodiscard]] bool cancelled() const noexcept { return cancelled_; }
  void cancel() noexcept;  // wakes what the request waits for
  // Makes the context fit for the next request of a connection; nothing may be waiting.
  void reset() noexcept;

  access who;
  std::string request_id;                         // given by the client (X-Request-Id) or made here
  std::array<std::uint32_t, kStages> stage_us{};  // time spent, microseconds

 private:
  friend class event;
  core* core_;
  event* waiting_ = nullptr;
  steady_time deadline_ = steady_time::max();
  work_class work_;
  bool cancelled_ = false;
};

}  // namespace syncline::net
