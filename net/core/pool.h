// A pool of connections to one server, owned by one core: it queues, and never fails because it is full.
//
// Use it for what is opened, reused and may break: MySQL sessions, Redis links. Not for threads.
//
//   pool_node node(options, cores.size(), seed);                    // one per server and process
//   pool<session> sessions(cores.at(i), node, connector);           // one per core
//   auto lease = co_await sessions.acquire(context);                // errc::overloaded, down, timed_out, ...
//   if (lease.has_error()) co_return lease.error();
//   auto rows = co_await (*lease)->query(context, ...);
//
// Thread: the core that owns it. Bound: permits of the node (connections_max over all cores), waiters_max
// waiters, and waits that are estimated to fit the deadline (pool_state.h, docs/pools.md). Failure of
// acquire(): errc::overloaded with retry_after_ms at once or when shed, errc::down with retry_after_ms while
// the server refuses us, errc::timed_out and errc::cancelled while waiting, errc::closed after stop().
// Lifetime: node and connector outlive the pool; the pool outlives its core's loop (destroy it after
// core_group::stop()) and every lease.
//
// Invariants
//  1. A lease ends its use of the connection exactly once, on destruction, also when its task is destroyed.
//  2. A waiter that is cancelled after it was given a connection gives it to the next.
//  3. Connects, resets, validations and closes run in tasks of the pool, each with a deadline; stop() cancels
//     the connects and awaits all of them.
#pragma once

#include <concepts>
#include <memory>
#include <utility>
#include <vector>

#include "net/core/event.h"
#include "net/core/pool_connector.h"
#include "net/core/pool_state.h"

namespace syncline::net {

template <class T>
concept poolable = std::derived_from<T, pooled>;

class connection_pool;

// The right to use a connection, alone or together with others. Move-only; ends on its core.
class pool_lease {
 public:
  pool_lease() = default;
  pool_lease(pool_lease&& other) noexcept
      : pool_(std::exchange(other.pool_, nullptr)),
        slot_(other.slot_),
        since_(other.since_),
        broken_(other.broken_) {}
  pool_lease& operator=(pool_lease&& other) noexcept;
  ~pool_lease() { end(); }

  [[nodiscard]] explicit operator bool() const noexcept { return pool_ != nullptr; }
  [[nodiscard]] pooled& connection() const noexcept { return *slot_->connection; }
  // The connection is in a state nobody knows: it is destroyed when its last user ends.
  void mark_broken() noexcept { broken_ = true; }
  void end() noexcept;

 private:
  friend class connection_pool;
  pool_lease(connection_pool& from, pool_slot& slot, steady_time since) noexcept
      : pool_(&from), slot_(&slot), since_(since) {}
  connection_pool* pool_ = nullptr;
  pool_slot* slot_ = nullptr;
  steady_time since_{};
  bool broken_ = false;
};

template <poolable T>
class lease : public pool_lease {
 public:
  lease() = default;
  explicit lease(pool_lease&& untyped) noexcept : pool_lease(std::move(untyped)) {}
  [[nodiscard]] T* operator->() const noexcept { return &**this; }
  [[nodiscard]] T& operator*() const noexcept { return static_cast<T&>(connection()); }
};

// The pool without the type of what it holds, so that it is compiled once.
class connection_pool : private pool_hands, private pool_waker {
 public:
  connection_pool(core& on, pool_node& node, pool_connector& connector);
  // After the core's loop has ended. No lease may be left.
  virtual ~connection_pool();
  connection_pool(const connection_pool&) = delete;
  connection_pool& operator=(const connection_pool&) = delete;

  // Opens the warm connections; the first acquire() does it otherwise.
  void start();
  [[nodiscard]] task<result<pool_lease>> acquire_any(request_context& context, lease_kind kind);
  // Refuses everyone from now on, closes what is idle, cancels what is under way, and waits until the last
  // lease has ended and the last connection is closed, or until the context's deadline.
  [[nodiscard]] task<result<void>> stop(request_context& context);

  [[nodiscard]] const pool_state& state() const noexcept { return state_; }
  [[nodiscard]] core& on() const noexcept { return *core_; }

 private:
  friend class pool_lease;
  struct waiting;
  struct job;
  enum class work : std::uint8_t { open, reset, validate, close };

  void open(pool_slot& slot) override { begin(work::open, slot); }
  void reset(pool_slot& slot) override { begin(work::reset, slot); }
  void validate(pool_slot& slot) override { begin(work::validate, slot); }
  void give_up(pool_slot& slot) override;
  void close(pool_slot& slot) override { begin(work::close, slot); }
  void wake(pool_waiter& waiter) noexcept override;
  void wake() noexcept override;

  void begin(work what, pool_slot& slot);
  static task<void> run_open(std::unique_ptr<job> running);
  static task<void> run_tend(std::unique_ptr<job> running);
  static task<void> run_close(std::unique_ptr<job> running);
  void release(pool_slot& slot, steady_time since, bool broken) noexcept;
  void tick() noexcept;
  [[nodiscard]] steady_time moment() noexcept;
  void note_progress() noexcept;

  core* core_;
  pool_node& node_;
  pool_connector& connector_;
  std::vector<job*> jobs_;  // under way
  pool_state state_;
  timer_entry ticker_;
  std::uint64_t turn_ = 0;
  std::unique_ptr<event> emptied_;  // while stop() waits
  std::atomic<bool> woken_{false};  // a look is on its way: any number of wake-ups are one message
  bool started_ = false;
  bool stopping_ = false;
};

template <poolable T>
class pool : public connection_pool {
 public:
  using connection_pool::connection_pool;
  [[nodiscard]] task<result<lease<T>>> acquire(request_context& context,
                                               lease_kind kind = lease_kind::exclusive) {
    result<pool_lease> untyped = co_await acquire_any(context, kind);
    if (untyped.has_error()) co_return untyped.error();
    co_return lease<T>(std::move(*untyped));
  }
};

}  // namespace syncline::net
