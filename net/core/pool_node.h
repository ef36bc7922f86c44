// What all cores of this process share about one server: permits to have a connection open, the classes'
// reserves, the number of connects under way, and the circuit.
//
// A core needs a permit for each open connection. Each core has a share of them; what nobody holds anyone may
// take, and what a core holds beyond its share another one below its share gets back: the permit moves, the
// connection is closed, since a socket belongs to its core. With fewer connections than cores, cores without
// any take turns (permit_quantum_ms).
//
// A server may take fewer connections than the pool may open (its own max_connections, a limit of the
// account, other clients). When it says so while some are open, that is no outage: what is held then counts
// as all there are, so cores that have none are lent one as above. One more is tried after each backoff, when
// no other connect is on its way.
//
// Thread: any; one lock, held for a few words, taken twice per lease. Bound: a few words per core. Failure:
// none; a call says no, notes what the core wants, and wakes it when that may have come true. Lifetime: it
// outlives the pools.
//
// Invariants
//  1. held + promised permits <= connections_max; connects under way <= connects_max.
//  2. A permit that comes back while a core wants one is promised to that core; a core that no longer wants
//     it passes the promise on (wants_nothing()).
//  3. A `no` and the note of what the core wants are one step under the lock, and so is each thing that could
//     make it a `yes` and the look at the notes: no wake-up is lost.
#pragma once

#include <atomic>
#include <mutex>
#include <string_view>
#include <vector>

#include "net/core/error.h"
#include "net/core/pool_breaker.h"
#include "net/core/pool_classes.h"
#include "net/core/pool_options.h"
#include "net/core/pool_slot.h"

namespace syncline::net {

// A core's pool, as the others see it. wake() may be called from any thread and makes the core look again.
struct pool_waker {
  virtual void wake() noexcept = 0;

 protected:
  ~pool_waker() = default;
};

class pool_node {
 public:
  pool_node(pool_options options, unsigned cores, std::uint64_t seed);
  pool_node(const pool_node&) = delete;
  pool_node& operator=(const pool_node&) = delete;

  [[nodiscard]] const pool_options& options() const noexcept { return options_; }
  [[nodiscard]] unsigned cores() const noexcept { return static_cast<unsigned>(cores_.size()); }
  // Null takes it away: a core that has stopped wants nothing and is asked for nothing.
  void attach(unsigned id, pool_waker* waker);

  // Classes. When use() says no the core is woken as soon as that may have changed.
  [[nodiscard]] bool use(unsigned id, work_class work);
  // Another core that uses fewer connections than this one waits for room of the class: nobody new joins a
  // shared connection here until one was given up. Else a core that is never idle would keep them for ever.
  [[nodiscard]] bool must_make_room(unsigned id, work_class work);
  // Nobody of this class waits here any more.
  void wants_no_room(unsigned id, work_class work);
  // True: some core waits for room. The caller serves its own waiters first and then calls pass_on().
  [[nodiscard]] bool end_use(unsigned id, work_class work);
  void pass_on();
  // How many more connections would serve waiters of this class; when the others' reserves leave none, the
  // core is woken as after use().
  [[nodiscard]] std::uint32_t connections_for(unsigned id, work_class work);
  // The most connections that the class can ever use, over all cores.
  [[nodiscard]] std::uint32_t most_for(work_class work) const noexcept {
    return most_[static_cast<std::size_t>(work)];
  }

  // Permits and connects.
  enum class opening : std::uint8_t { granted, no_permit, too_many_connects, down };
  struct opening_answer {
    opening is = opening::granted;
    connect_role role = connect_role::plain;  // hand it back with the outcome
  };
  // `wants`: somebody waits for it, so note it and wake us.
  [[nodiscard]] opening_answer begin_connect(unsigned id, steady_time now, bool wants);
  void connected(unsigned id, steady_time now, connect_role role);
  // `why` is kept for those who are refused meanwhile, and logged when it is news.
  void connect_failed(unsigned id, steady_time now, connect_role role, const error& why);
  void connect_given_up(unsigned id, connect_role role);
  void give_back(unsigned id);  // a connection was closed
  void wants_nothing(unsigned id);
  // So many permits of ours other cores wait for: the next connections that are free close.
  [[nodiscard]] std::uint32_t owes(unsigned id) const noexcept {
    return cores_[id].owes_now.load(std::memory_order_relaxed);
  }
  // Another core could use a connection that lies idle here; answers once.
  [[nodiscard]] bool asked_to_lend(unsigned id);
  [[nodiscard]] std::uint32_t warm_share(unsigned id) const noexcept;

  // The circuit.
  [[nodiscard]] bool down() const noexcept { return down_.load(std::memory_order_relaxed); }
  struct outage {
    steady_time retry_at{};
    std::string_view why;  // the literal of the last connect's error: it names no account and no host
  };
  [[nodiscard]] outage last_outage() const;

  struct numbers {
    std::uint32_t held = 0;
    std::uint32_t promised = 0;
    std::uint32_t connecting = 0;
    std::uint64_t moved = 0;  // permits that a core gave up for another
    std::array<std::uint32_t, kWorkClasses> in_use{};
  };
  [[nodiscard]] numbers count() const;
  [[nodiscard]] std::uint32_t held(unsigned id) const;

 private:
  struct place {
    pool_waker* waker = nullptr;
    std::uint32_t share = 0;
    std::uint32_t held = 0;
    std::uint32_t in_use = 0;
    std::uint32_t connecting = 0;
    std::uint32_t owes = 0;
    std::uint32_t promised = 0;
    bool wants_permit = false;
    bool wants_connect = false;
    bool wants_room = false;
    std::array<bool, kWorkClasses> claims{};  // room that it was refused and has not had since
    bool lend = false;
    int donor = -1;                          // the core that owes us one
    std::uint64_t ticket = 0;                // order of wanting a permit
    steady_time held_since{};                // since it holds any
    std::atomic<std::uint32_t> owes_now{0};  // = owes, read without the lock
  };
  using wake_list = std::vector<pool_waker*>;

  [[nodiscard]] int choose_donor(const place& asking, steady_time now) const;
  void ask_for_permit(unsigned id, steady_time now, wake_list& wake);
  void permit_came_back(unsigned from, wake_list& wake);
  void promise_to_next(wake_list& wake);
  void connect_ended(unsigned id, wake_list& wake);
  void note_admitted(steady_time now, connect_role role, wake_list& wake);
  [[nodiscard]] bool owed_to_another(unsigned id, work_class work) const noexcept;
  void claim(place& core, work_class work, bool value) noexcept;
  void set_owes(place& core, std::uint32_t value) noexcept;
  [[nodiscard]] std::uint32_t usable() const noexcept;
  [[nodiscard]] std::uint32_t unpromised() const noexcept;
  [[nodiscard]] bool is_news(std::string_view why, steady_time now) noexcept;
  static void wake_all(const wake_list& wake) noexcept;

  const pool_options options_;
  std::array<std::uint32_t, kWorkClasses> most_{};  // fixed, so read without the lock
  mutable std::mutex mutex_;
  std::vector<place> cores_;
  pool_classes classes_;
  pool_breaker breaker_;
  pool_breaker crowd_;          // open: the server takes no more than
  std::uint32_t admitted_ = 0;  // so many
  std::atomic<bool> down_{false};
  std::atomic<std::uint32_t> claims_{0};  // of all cores and classes
  std::uint32_t held_ = 0;
  std::uint32_t promised_ = 0;
  std::uint32_t connecting_ = 0;
  std::uint64_t next_ticket_ = 1;
  std::uint64_t moved_ = 0;
  std::string_view why_;  // the last connect failed
  bool logged_ = false;   // this outage
  std::string_view logged_why_;
  steady_time logged_at_{};
};

}  // namespace syncline::net
