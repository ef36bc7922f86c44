// L1: the in-process cache of finished answers, one for all cores, striped.
//
// An entry is immutable: body bytes, ETag, the feed position it was read at. A hit copies or references it
// and allocates nothing. Not for scans: those bypass it. Thread: any core; invalidate() any thread. Bound:
// `bytes_max` over all stripes, keys and bookkeeping of entries included; the coldest go first (S3-FIFO,
// l1_store.h). A value above a quarter of it is not stored. Beside that each stripe has fixed tables of about
// 10 KB and 1 % of its share. Failure: an error of a load goes to those who wait for it and is not kept.
// Where memory is short, or a loader throws, those who wait for that load get errc::overloaded or
// errc::internal and the next caller begins another one; a value that cannot be stored is told all the same.
// Lifetime: it outlives the tasks that call it (destroy it after core_group::stop()).
//
// Invariants
//  1. After invalidate(key, P) returned, no call that starts later gets a value read at a position below P:
//  the entry is gone, and
//     a load in flight is detached: its waiters still get its value, it is not stored, and later callers
//     start a new load. A load begun after an invalidation that still brings an older value (a copy that
//     lags) is refused and tried once more; then it is a failure for that key. An entry read at or above P
//     stays.
//  2. One load per key at a time: callers that ask for a key being loaded wait for that load. The load
//  survives the caller that began it.
//  3. get_many() makes one batch for exactly the keys that are neither stored nor being loaded.
//  4. Each waiter has its own deadline.
//  5. A value is answered with for ttl_s, and for less than a second more, by the clock that set_time()
//  moves; one with a ttl_s of 0 goes to those who wait for it and is not stored.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "net/core/request_context.h"
#include "net/core/task.h"

namespace syncline::cache {

inline constexpr std::uint32_t kNoEnd = UINT32_MAX;

// `found` false is a negative entry: the row does not exist.
struct value {
  std::string body;
  std::string gzip;              // the body compressed; empty where that does not pay
  std::string etag;              // of the body; with quotes, ready to send
  std::int64_t position = 0;     // feed position of the snapshot it was read in
  std::uint32_t ttl_s = kNoEnd;  // how long it may be answered with, from when it is stored
  bool found = true;
};
using value_ptr = std::shared_ptr<const value>;

// Loads values for keys, in order, with a context of its own: the work class, access and request id of the
// caller that missed them first, a deadline of 30 s, cancelled by nobody. So a key names everything its value
// depends on, access included. Called on the core of one of the callers. An empty pointer is a failure for
// that key.
class batch_loader {
 public:
  virtual ~batch_loader() = default;
  [[nodiscard]] virtual net::task<net::result<std::vector<value_ptr>>> load(
      net::request_context& context, std::vector<std::string> keys) = 0;
};

struct l1_options {
  std::size_t bytes_max = 64 * 1024 * 1024;
  std::size_t stripes = 64;  // a power of two
};

class l1 {
 public:
  explicit l1(const l1_options& options);
  ~l1();

  // The hit path: no allocation, one striped lock. Empty when not stored.
  [[nodiscard]] value_ptr find(std::string_view key) noexcept;
  // Values for `keys`, in order; an empty pointer where the load failed for that key alone. `loader` must
  // outlive every load it began (it is a long-lived object of the server).
  [[nodiscard]] net::task<net::result<std::vector<value_ptr>>> get_many(net::request_context& context,
                                                                        std::vector<std::string> keys,
                                                                        batch_loader& loader);
  // Seconds of any clock that never goes back. Whoever owns the cache calls it once a second, so that a hit
  // need not ask the time: it reads a line that is written once a second. Any thread.
  void set_time(std::uint32_t now_s) noexcept;
  // Drops `key`, whatever was read before `position`.
  void invalidate(std::string_view key, std::int64_t position) noexcept;
  // Drops everything and detaches every load. `position` may be lower than before (a database put back to an
  // older state): what is read at it or above is taken from then on.
  void clear(std::int64_t position) noexcept;

  struct figures {
    std::uint64_t entries = 0, bytes = 0;
    std::uint64_t hits = 0;    // of find() and get_many()
    std::uint64_t misses = 0;  // of get_many() only: who calls find() first is not counted twice
    std::uint64_t loads = 0;   // keys whose load was begun
    std::uint64_t evictions = 0, invalidations = 0;
    std::uint64_t expired = 0;        // entries that a caller of get_many() found past their time
    std::uint64_t refused_fills = 0;  // loaded values that an invalidation kept out
  };
  [[nodiscard]] figures read_figures() const noexcept;

 private:
  struct state;
  struct inquiry;
  std::unique_ptr<state> state_;
};

}  // namespace syncline::cache
