// What all cores share of L1: the stripes with their entries and the loads in flight.
//
// A flight is the load of one key. It is begun by the first caller that misses the key and belongs to nobody:
// the task that loads holds it, callers only wait for it. How it meets an invalidation is the point of this
// file:
//
//   - A flight is in its stripe's map from before its load begins to read until it lands. Callers find it
//   there and join.
//   - invalidate() takes it out of the map (detaches it) in the same critical section that drops the entry.
//   So whoever comes
//     later begins another load, and when the detached flight lands, it sees that it is not in the map and
//     stores nothing.
//   - A flight that began after an invalidation can still bring an older value (a copy that lags). It knows
//   the floor of its
//     key from when it began, and a value below is neither stored nor told.
//
// Not for use outside cache/. Thread: any; each stripe has a lock that is held for a few map operations and
// never while waiting. Bound: bytes in l1_shared::reserve(); flights by the callers, who wait for them.
//
// Invariants
//  1. A key has at most one attached flight, and none while it is stored.
//  2. Every flight lands exactly once, also when its task is destroyed with its core, never begins for lack
//  of memory or ends with an exception (departure). Landing needs no memory: what cannot be stored is told
//  all the same.
//  3. used_bytes >= the cost of everything stored; what is stored never exceeds bytes_max.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "cache/l1.h"
#include "cache/l1_floors.h"
#include "cache/l1_store.h"
#include "net/core/core.h"
#include "net/core/remote_event.h"

namespace syncline::cache {

// A call of get_many() that waits. Its flights share it with its coroutine, which may leave first.
struct waiting_call {
  waiting_call(net::core& on, std::vector<value_ptr> stored) : done(on), values(std::move(stored)) {}

  net::remote_event done;
  std::vector<value_ptr> values;  // each arrival writes another element
  std::atomic<std::size_t> missing{
      1};  // arrivals expected, and one for the caller while it still looks keys up
  std::mutex failure_mutex;
  std::optional<net::error> failure;  // the first one
};

// Gives one awaited value to a call, from any thread; the last one wakes it on its core.
void arrive(const std::shared_ptr<waiting_call>& call, std::size_t index, const value_ptr& what,
            const net::error* failure) noexcept;

struct flight {
  struct waiter {
    std::shared_ptr<waiting_call> call;
    std::size_t index;
  };
  flight(key_view of, std::int64_t oldest) : key{std::string(of.text), of.hash}, floor(oldest) {}

  const key_text key;
  const std::int64_t floor;     // values read below this position are older than an invalidation
  std::vector<waiter> waiters;  // under the stripe's lock
};
using flight_ptr = std::shared_ptr<flight>;

struct alignas(64) l1_stripe {
  explicit l1_stripe(std::size_t share_bytes) : store(share_bytes) {}

  std::mutex mutex;
  l1_store store;
  l1_floors floors;
  key_map<flight_ptr> flights;
  l1::figures counted;  // entries and bytes are read from the store
};

class l1_shared {
 public:
  explicit l1_shared(const l1_options& options);

  [[nodiscard]] l1_stripe& stripe_of(std::size_t hash) noexcept {
    return *stripes_[(hash >> 40) & (stripes_.size() - 1)];
  }
  [[nodiscard]] const std::vector<std::unique_ptr<l1_stripe>>& stripes() const noexcept { return stripes_; }
  // Ends a flight: stores its value if it may be stored, then tells its waiters.
  void land(flight& one, const value_ptr& what, const net::error* failure) noexcept;
  void count_refused(const flight& one) noexcept;
  void set_time(std::uint32_t now_s) noexcept { now_s_.store(now_s, std::memory_order_relaxed); }
  [[nodiscard]] std::uint32_t now_s() const noexcept { return now_s_.load(std::memory_order_relaxed); }
  void release(std::size_t cost_bytes) noexcept {
    used_bytes_.fetch_sub(cost_bytes, std::memory_order_relaxed);
  }

 private:
  // Counts `cost_bytes` as used and evicts until they fit; false when they cannot, or would push out too
  // much.
  [[nodiscard]] bool reserve(l1_stripe& own, std::size_t cost_bytes) noexcept;

  const std::size_t bytes_max_;
  std::size_t share_bytes_;
  std::vector<std::unique_ptr<l1_stripe>> stripes_;
  std::atomic<std::uint32_t> now_s_{0};
  // What loads change is on another line than what each hit reads.
  alignas(64) std::atomic<std::size_t> used_bytes_{0};  // stored and reserved
  std::atomic<std::size_t> hand_{0};                    // the stripe that gives way next
};

// The flights of one batch: held by the call that begins them, then by the task that loads them. What has not
// landed when it is destroyed fails: errc::overloaded when the task never ran, else errc::cancelled.
class departure {
 public:
  explicit departure(l1_shared& to) noexcept : to_(&to) {}
  departure(departure&& other) noexcept
      : to_(other.to_), left_(std::exchange(other.left_, {})), departed_(other.departed_) {}
  departure& operator=(departure&&) = delete;
  ~departure();

  // Begins a flight of `key`, which has none, with `first` as its waiter; under the lock of its stripe.
  // `flights_max`: how many this batch may come to hold. Throws std::bad_alloc, and then nothing has changed.
  void begin(l1_stripe& home, key_view key, const flight::waiter& first, std::size_t flights_max);
  // The task runs.
  void depart() noexcept { departed_ = true; }
  [[nodiscard]] bool empty() const noexcept { return left_.empty(); }
  [[nodiscard]] std::vector<std::string> keys() const;
  // Lands what may be told. A value below its floor stays for another attempt, or lands as a failure if this
  // was the last.
  void land(const std::vector<value_ptr>& values, bool last) noexcept;
  void fail(const net::error& why) noexcept;

 private:
  l1_shared* to_;
  std::vector<flight_ptr> left_;
  bool departed_ = false;
};

}  // namespace syncline::cache
