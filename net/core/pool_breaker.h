// The circuit of one server: after a refused connect nobody tries again for a while, then one does.
//
// Use it before every connect: allows(), begins(), then succeeded() or failed(). Waiting time doubles from
// backoff_first to backoff_max; half of it is random, so that nodes that lost a server together do not come
// back together. Thread: a value.
//
// Invariants
//  1. While open at most one connect is tried at a time (the probe), and none before retry_at().
//  2. Connects that began before the circuit opened and fail later do not lengthen the backoff: four that
//  fail
//     together are one failure.
//  3. Any connect that succeeds closes the circuit.
#pragma once

#include <algorithm>
#include <cstdint>

#include "net/core/timer_wheel.h"

namespace syncline::net {

class pool_breaker {
 public:
  pool_breaker(std::chrono::milliseconds first, std::chrono::milliseconds longest,
               std::uint64_t seed) noexcept
      : first_(first), longest_(longest), random_(seed) {}

  [[nodiscard]] bool open() const noexcept { return failures_ != 0; }
  [[nodiscard]] bool allows(steady_time now) const noexcept {
    return !open() || (!probing_ && now >= retry_at_);
  }
  [[nodiscard]] steady_time retry_at() const noexcept { return retry_at_; }
  // True when this connect is the probe; hand that to failed().
  [[nodiscard]] bool begins() noexcept {
    if (!open()) return false;
    probing_ = true;
    return true;
  }
  void succeeded() noexcept {
    failures_ = 0;
    probing_ = false;
  }
  void failed(steady_time now, bool probe) noexcept {
    if (open() && !probe) return;
    probing_ = false;
    failures_ = std::min(failures_ + 1, 30U);
    const std::chrono::milliseconds whole = std::min(longest_, first_ * (std::int64_t{1} << (failures_ - 1)));
    const std::int64_t half = whole.count() / 2;
    retry_at_ =
        now + std::chrono::milliseconds(
                  half + static_cast<std::int64_t>(next_random() % static_cast<std::uint64_t>(half + 1)));
  }
  // A connect that was given up without an answer: it says nothing about the server.
  void gave_up(bool probe) noexcept {
    if (probe) probing_ = false;
  }

 private:
  std::uint64_t next_random() noexcept {  // splitmix64
    std::uint64_t z = (random_ += 0x9E3779B97F4A7C15ULL);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
  }

  std::chrono::milliseconds first_;
  std::chrono::milliseconds longest_;
  std::uint64_t random_;
  std::uint32_t failures_ = 0;
  bool probing_ = false;
  steady_time retry_at_{};
};

}  // namespace syncline::net
