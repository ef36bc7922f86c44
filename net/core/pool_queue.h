// The waiters of one core: a FIFO queue for each class of work, and whose turn it is.
//
// Classes take turns by stride scheduling (Waldspurger, Weihl 1995): each grant moves the class on by the
// inverse of its weight, and the one furthest behind is next. FIFO within a class: under CoDel newest-first
// gains a few ms of median, but lets the oldest wait for nothing. Thread: the core. Bound: nothing is
// allocated, waiters are members of what waits.
//
// Invariants
//  1. A waiter is linked in exactly one queue from push() to remove(), which is O(1).
//  2. A class that comes back from empty starts no earlier than the last grant: time without waiters saves up
//     no turns.
#pragma once

#include <array>
#include <cstdint>

#include "net/core/error.h"
#include "net/core/request_context.h"

namespace syncline::net {

struct pool_slot;

enum class lease_kind : std::uint8_t {
  exclusive,  // transactions, streams, anything with session state
  shared,     // one autocommit statement that may be pipelined behind those of others
};

struct pool_waiter {
  work_class work = work_class::interactive;
  lease_kind kind = lease_kind::exclusive;
  steady_time deadline = steady_time::max();
  std::string_view holder;  // who asks, for the log; alive until the answer

  // The answer: a slot, or why not.
  pool_slot* granted = nullptr;
  bool refused = false;
  errc reason = errc::overloaded;
  std::string_view what;
  std::string_view why;  // a literal: of a server that is down, what it said to the last connect
  std::uint32_t retry_after_ms = 0;

  // Of the queue.
  steady_time since{};
  steady_time::duration budget{};
  bool queued = false;
  pool_waiter* previous = nullptr;
  pool_waiter* next = nullptr;
};

class pool_queue {
 public:
  explicit pool_queue(const std::array<std::uint32_t, kWorkClasses>& weights) noexcept;
  pool_queue(const pool_queue&) = delete;
  pool_queue& operator=(const pool_queue&) = delete;

  void push(pool_waiter& waiter, steady_time now) noexcept;
  void remove(pool_waiter& waiter) noexcept;
  [[nodiscard]] pool_waiter* head(work_class work) const noexcept { return lines_[at(work)].first; }
  [[nodiscard]] std::size_t waiting(work_class work) const noexcept { return lines_[at(work)].count; }
  [[nodiscard]] std::size_t waiting() const noexcept { return total_; }
  // Since when somebody has been waiting without a pause; meaningless while nobody is.
  [[nodiscard]] steady_time standing_since() const noexcept { return standing_since_; }

  // Classes with waiters, the one whose turn it is first.
  struct order {
    std::array<work_class, kWorkClasses> classes{};
    std::size_t count = 0;
  };
  [[nodiscard]] order turns() const noexcept;
  void took_turn(work_class work) noexcept;

 private:
  struct line {
    pool_waiter* first = nullptr;
    pool_waiter* last = nullptr;
    std::size_t count = 0;
    std::uint64_t pass = 0;
    std::uint64_t stride = 0;
  };
  static std::size_t at(work_class work) noexcept { return static_cast<std::size_t>(work); }

  std::array<line, kWorkClasses> lines_{};
  std::size_t total_ = 0;
  std::uint64_t pass_ = 0;  // of the last grant
  steady_time standing_since_{};
};

}  // namespace syncline::net
