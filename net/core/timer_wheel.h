// One timer wheel per core, so that a connection's deadline costs two pointer writes and no timer object.
//
// Use it for timeouts, keep-alives and deadlines. Not for precise times: a timer fires up to one tick
// (`kTickMs`) late, never early. Thread: the core that owns it. Bound: nothing is allocated; entries are
// intrusive members of what they time.
//
// Invariants
//  1. An armed entry is linked in exactly one slot; a disarmed or fired one in none.
//  2. fire() is called once per arming, after the entry is unlinked, so it may re-arm or destroy the entry.
//  3. advance() asks for another wake-up only while the wheel is not empty. Disarming asks for nothing: an
//  arm and disarm
//     per request must cost no system call, so a wake-up that was asked for may find nothing to do.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>

namespace syncline::net {

inline constexpr std::uint32_t kTickMs = 10;
using steady_time = std::chrono::steady_clock::time_point;

class timer_wheel;

// A member of the object that waits. Not movable while armed.
class timer_entry {
 public:
  using fire_function = void (*)(void* owner) noexcept;
  timer_entry(fire_function fire, void* owner) noexcept : fire_(fire), owner_(owner) {}
  timer_entry(const timer_entry&) = delete;
  timer_entry& operator=(const timer_entry&) = delete;
  ~timer_entry() { disarm(); }

  void disarm() noexcept;
  [[nodiscard]] bool armed() const noexcept { return wheel_ != nullptr; }

 private:
  friend class timer_wheel;
  timer_entry* prev_ = nullptr;
  timer_entry* next_ = nullptr;
  timer_wheel* wheel_ = nullptr;
  std::uint64_t due_tick_ = 0;
  bool firing_ = false;  // taken out of its slot, about to fire
  fire_function fire_;
  void* owner_;
};

class timer_wheel {
 public:
  // `wake_at` asks the owner to call advance() at or after a time; it is called when the first due time
  // becomes earlier.
  using wake_function = void (*)(void* owner, steady_time when) noexcept;
  timer_wheel(wake_function wake_at, void* owner, steady_time start) noexcept;
  ~timer_wheel();
  timer_wheel(const timer_wheel&) = delete;
  timer_wheel& operator=(const timer_wheel&) = delete;

  // Arms `entry` (moving it if it was armed) for `when`. steady_time::max() is never: the entry is disarmed.
  void arm(timer_entry& entry, steady_time when) noexcept;
  // Fires everything due at `now`, then asks for the next wake-up if anything is left.
  void advance(steady_time now) noexcept;
  [[nodiscard]] std::uint64_t armed_count() const noexcept { return armed_; }

 private:
  friend class timer_entry;
  static constexpr std::size_t kSlots =
      1024;  // 10.24 s a turn; later entries wait for their turn in their slot
  struct head {
    timer_entry* first = nullptr;
  };
  [[nodiscard]] head& list_of(const timer_entry& entry) noexcept;
  // Moves what is due in `slot` to firing_.
  void collect(std::size_t slot, std::uint64_t target) noexcept;
  void link(timer_entry& entry) noexcept;
  void unlink(timer_entry& entry) noexcept;
  [[nodiscard]] std::uint64_t tick_of(steady_time when) const noexcept;
  void request_wake() noexcept;

  std::array<head, kSlots> slots_{};
  head firing_;
  std::array<std::uint64_t, kSlots / 64> occupied_{};
  steady_time start_;
  std::uint64_t current_tick_ = 0;
  std::uint64_t requested_tick_;
  std::uint64_t armed_ = 0;
  wake_function wake_at_;
  void* owner_;
};

}  // namespace syncline::net
