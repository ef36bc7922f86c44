#include "net/core/pool_node.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "perf/log.h"

namespace syncline::net {

namespace {

constexpr std::size_t kReasonBytesMax = 400;  // of a server's own words, in the log

}  // namespace

pool_node::pool_node(pool_options options, unsigned cores, std::uint64_t seed)
    : options_(std::move(options)),
      cores_(cores),
      classes_(options_.connections_max, options_.reserved_percent),
      breaker_(std::chrono::milliseconds(options_.backoff_first_ms),
               std::chrono::milliseconds(options_.backoff_max_ms), seed),
      crowd_(std::chrono::milliseconds(options_.backoff_first_ms),
             std::chrono::milliseconds(options_.backoff_max_ms), seed + 1) {
  assert(cores > 0 && options_.connections_max > 0 && options_.connects_max > 0);
  for (std::size_t i = 0; i < kWorkClasses; ++i) most_[i] = classes_.most(static_cast<work_class>(i));
  // Where there is not one for each core nobody owns any: they go by turns.
  if (options_.connections_max < cores)
    perf::log_warn(
        "a pool has fewer connections than there are cores: they go from core to core by turns; have at "
        "least one a core",
        {{"pool", options_.name}, {"connections_max", options_.connections_max}, {"cores", cores}});
  for (unsigned i = 0; i < cores && options_.connections_max >= cores; ++i) {
    cores_[i].share = options_.connections_max / cores + (i < options_.connections_max % cores ? 1 : 0);
  }
}

std::uint32_t pool_node::warm_share(unsigned id) const noexcept {
  const auto all = static_cast<std::uint32_t>(cores_.size());
  return options_.connections_min / all + (id < options_.connections_min % all ? 1 : 0);
}

void pool_node::wake_all(const wake_list& wake) noexcept {
  for (pool_waker* each : wake) each->wake();
}

void pool_node::attach(unsigned id, pool_waker* waker) {
  if (waker == nullptr) wants_nothing(id);
  const std::lock_guard lock(mutex_);
  cores_[id].waker = waker;
}

bool pool_node::owed_to_another(unsigned id, work_class work) const noexcept {
  if (claims_.load(std::memory_order_relaxed) == 0) return false;
  for (const place& each : cores_)
    if (&each != &cores_[id] && each.claims[static_cast<std::size_t>(work)] &&
        each.in_use < cores_[id].in_use)
      return true;
  return false;
}

void pool_node::claim(place& core, work_class work, bool value) noexcept {
  bool& mine = core.claims[static_cast<std::size_t>(work)];
  if (mine == value) return;
  mine = value;
  claims_.fetch_add(value ? 1U : ~0U, std::memory_order_relaxed);
}

bool pool_node::use(unsigned id, work_class work) {
  const std::lock_guard lock(mutex_);
  if (owed_to_another(id, work) || !classes_.use(work)) {
    cores_[id].wants_room = true;
    claim(cores_[id], work, true);
    return false;
  }
  claim(cores_[id], work, false);
  ++cores_[id].in_use;
  return true;
}

bool pool_node::must_make_room(unsigned id, work_class work) {
  if (claims_.load(std::memory_order_relaxed) == 0) return false;
  const std::lock_guard lock(mutex_);
  return owed_to_another(id, work);
}

void pool_node::wants_no_room(unsigned id, work_class work) {
  if (claims_.load(std::memory_order_relaxed) == 0) return;
  const std::lock_guard lock(mutex_);
  claim(cores_[id], work, false);
}

bool pool_node::end_use(unsigned id, work_class work) {
  const std::lock_guard lock(mutex_);
  classes_.end_use(work);
  --cores_[id].in_use;
  for (const place& each : cores_) {
    if (each.wants_room) return true;
  }
  return false;
}

std::uint32_t pool_node::connections_for(unsigned id, work_class work) {
  const std::lock_guard lock(mutex_);
  // With everything in use no reserve is in the way: the core waits for a permit, and is not woken by each
  // lease that ends somewhere.
  if (classes_.all_in_use()) return options_.connections_max;
  const std::uint32_t room = classes_.room(work);
  if (room == 0) cores_[id].wants_room = true;
  return room;
}

void pool_node::pass_on() {
  wake_list wake;
  {
    const std::lock_guard lock(mutex_);
    for (place& each : cores_) {
      if (std::exchange(each.wants_room, false) && each.waker != nullptr) wake.push_back(each.waker);
    }
  }
  wake_all(wake);
}

// The permits there are, as far as the server lets us use them.
std::uint32_t pool_node::usable() const noexcept {
  return crowd_.open() ? admitted_ : options_.connections_max;
}

std::uint32_t pool_node::unpromised() const noexcept {
  return usable() - std::min(usable(), held_ + promised_);
}

void pool_node::set_owes(place& core, std::uint32_t value) noexcept {
  core.owes = value;
  core.owes_now.store(value, std::memory_order_relaxed);
}

pool_node::opening_answer pool_node::begin_connect(unsigned id, steady_time now, bool wants) {
  wake_list wake;
  opening_answer answer;
  {
    const std::lock_guard lock(mutex_);
    place& mine = cores_[id];
    if (!breaker_.allows(now)) {
      answer.is = opening::down;
      return answer;
    }
    if (connecting_ >= options_.connects_max) {
      mine.wants_connect = mine.wants_connect || wants;
      answer.is = opening::too_many_connects;
      return answer;
    }
    const bool has_permit = mine.promised > 0 || unpromised() > 0;
    // While one moves from core to core the server has room for it, which is not room for more.
    const bool at_rest = promised_ == 0 && connecting_ == 0 && held_ < options_.connections_max;
    const bool beyond =
        !has_permit && wants && at_rest && crowd_.open() && crowd_.allows(now) && !breaker_.open();
    if (!has_permit && !beyond) {
      answer.is = opening::no_permit;
      if (wants) ask_for_permit(id, now, wake);
    } else {
      if (mine.promised > 0) {
        --mine.promised;
        --promised_;
      }
      if (mine.held++ == 0) mine.held_since = now;
      ++mine.connecting;
      ++held_;
      ++connecting_;
      if (breaker_.begins()) answer.role = connect_role::probe;
      if (beyond && crowd_.begins()) answer.role = connect_role::beyond;
    }
  }
  wake_all(wake);
  return answer;
}

// Who is over its share and asked least of already; or, for a core that holds none at all, who has two or has
// had its only one for a quantum.
int pool_node::choose_donor(const place& asking, steady_time now) const {
  int best = -1;
  std::uint32_t best_excess = 0;
  if (asking.held < asking.share) {
    for (std::size_t i = 0; i < cores_.size(); ++i) {
      const place& each = cores_[i];
      if (&each == &asking || each.held - each.owes <= each.share) continue;
      const std::uint32_t excess = each.held - each.owes - each.share;
      if (excess > best_excess) {
        best = static_cast<int>(i);
        best_excess = excess;
      }
    }
  }
  if (best >= 0 || asking.held > 0) return best;
  std::uint32_t most = 1;
  for (std::size_t i = 0; i < cores_.size(); ++i) {
    const place& each = cores_[i];
    if (&each != &asking && each.held - each.owes > most) {
      best = static_cast<int>(i);
      most = each.held - each.owes;
    }
  }
  if (best >= 0) return best;
  steady_time oldest = now - std::chrono::milliseconds(options_.permit_quantum_ms);
  for (std::size_t i = 0; i < cores_.size(); ++i) {
    const place& each = cores_[i];
    if (&each != &asking && each.held - each.owes == 1 && each.held_since <= oldest) {
      best = static_cast<int>(i);
      oldest = each.held_since;
    }
  }
  return best;
}

void pool_node::ask_for_permit(unsigned id, steady_time now, wake_list& wake) {
  place& mine = cores_[id];
  if (!mine.wants_permit) {
    mine.wants_permit = true;
    mine.ticket = next_ticket_++;
  }
  if (mine.donor >= 0) return;  // one at a time
  const int donor = choose_donor(mine, now);
  if (donor >= 0) {
    place& from = cores_[static_cast<std::size_t>(donor)];
    mine.donor = donor;
    set_owes(from, from.owes + 1);
    if (from.waker != nullptr) wake.push_back(from.waker);
    return;
  }
  for (place& each : cores_) {
    if (&each == &mine || each.lend || each.held - each.owes <= each.in_use + each.connecting) continue;
    each.lend = true;
    if (each.waker != nullptr) wake.push_back(each.waker);
  }
}

bool pool_node::asked_to_lend(unsigned id) {
  const std::lock_guard lock(mutex_);
  if (!std::exchange(cores_[id].lend, false)) return false;
  for (const place& each : cores_) {
    if (each.wants_permit) return true;
  }
  return false;
}

// The next one is a core below its share, among those who asked first.
void pool_node::promise_to_next(wake_list& wake) {
  while (unpromised() > 0) {
    place* best = nullptr;
    for (place& each : cores_) {
      if (!each.wants_permit) continue;
      const bool entitled = each.held + each.promised < each.share;
      const bool best_entitled = best != nullptr && best->held + best->promised < best->share;
      if (best == nullptr || (entitled && !best_entitled) ||
          (entitled == best_entitled && each.ticket < best->ticket)) {
        best = &each;
      }
    }
    if (best == nullptr) return;
    best->wants_permit = false;
    if (best->donor >= 0) {  // it has one now, so nobody owes it another
      place& from = cores_[static_cast<std::size_t>(std::exchange(best->donor, -1))];
      set_owes(from, from.owes - 1);
    }
    ++best->promised;
    ++promised_;
    if (best->waker != nullptr) wake.push_back(best->waker);
  }
}

void pool_node::permit_came_back(unsigned from, wake_list& wake) {
  place& mine = cores_[from];
  assert(mine.held > 0);
  --mine.held;
  --held_;
  if (mine.owes > 0) {
    set_owes(mine, mine.owes - 1);
    ++moved_;
    // It goes to whose turn it is, not to who happened to ask this core; that one may ask again.
    for (place& each : cores_) {
      if (each.donor != static_cast<int>(from)) continue;
      each.donor = -1;
      break;
    }
  }
  promise_to_next(wake);
}

void pool_node::connect_ended(unsigned id, wake_list& wake) {
  --cores_[id].connecting;
  --connecting_;
  for (place& each : cores_) {
    if (std::exchange(each.wants_connect, false) && each.waker != nullptr) wake.push_back(each.waker);
  }
}

// One more was taken, or took the place of one that moves; then those that are on their way show which. What
// is open is what the server takes. There may be room for one more and not for two, so it goes step by step.
void pool_node::note_admitted(steady_time now, connect_role role, wake_list& wake) {
  if (role == connect_role::beyond) crowd_.failed(now, true);
  if (held_ - connecting_ <= admitted_) return;
  admitted_ = held_ - connecting_;
  crowd_.succeeded();
  if (admitted_ < options_.connections_max) {
    crowd_.failed(now, false);
  } else {
    logged_ = false;
  }
  promise_to_next(wake);
}

void pool_node::connected(unsigned id, steady_time now, connect_role role) {
  wake_list wake;
  {
    const std::lock_guard lock(mutex_);
    if (breaker_.open()) logged_ = false;
    breaker_.succeeded();
    down_.store(false, std::memory_order_relaxed);
    connect_ended(id, wake);
    if (crowd_.open()) note_admitted(now, role, wake);
  }
  wake_all(wake);
}

// An outage is told once, and again when its reason changes; those that come and go, once an interval.
bool pool_node::is_news(std::string_view why, steady_time now) noexcept {
  if (logged_ && why == logged_why_) return false;
  if (now - logged_at_ < std::chrono::milliseconds(options_.report_interval_ms)) return false;
  logged_ = true;
  logged_why_ = why;
  logged_at_ = now;
  return true;
}

void pool_node::connect_failed(unsigned id, steady_time now, connect_role role, const error& why) {
  wake_list wake;
  bool news = false;
  std::uint32_t open = 0;
  {
    const std::lock_guard lock(mutex_);
    // Full it is only while others are open; else nobody has anything to lend.
    const bool full = why.code == errc::overloaded && held_ > connecting_;
    if (full) {
      crowd_.failed(now, role == connect_role::beyond);
      admitted_ = held_ - 1;
      breaker_.succeeded();  // it answers
    } else {
      crowd_.gave_up(role == connect_role::beyond);
      breaker_.failed(now, role == connect_role::probe);
    }
    why_ = why.what;
    news = is_news(why_, now);
    down_.store(!full, std::memory_order_relaxed);
    connect_ended(id, wake);
    permit_came_back(id, wake);
    // Whoever waits for a permit to connect with learns that the server is down.
    for (place& each : cores_) {
      if (!full && each.wants_permit && each.waker != nullptr) wake.push_back(each.waker);
    }
    open = held_ - connecting_;
  }
  wake_all(wake);
  if (!news) return;
  perf::log_warn("a connect was refused", {{"pool", options_.name},
                                           {"code", to_string(why.code)},
                                           {"why", why.text().substr(0, kReasonBytesMax)},
                                           {"open", open}});
}

void pool_node::connect_given_up(unsigned id, connect_role role) {
  wake_list wake;
  {
    const std::lock_guard lock(mutex_);
    breaker_.gave_up(role == connect_role::probe);
    crowd_.gave_up(role == connect_role::beyond);
    connect_ended(id, wake);
    permit_came_back(id, wake);
  }
  wake_all(wake);
}

void pool_node::give_back(unsigned id) {
  wake_list wake;
  {
    const std::lock_guard lock(mutex_);
    permit_came_back(id, wake);
  }
  wake_all(wake);
}

void pool_node::wants_nothing(unsigned id) {
  wake_list wake;
  {
    const std::lock_guard lock(mutex_);
    place& mine = cores_[id];
    mine.wants_permit = mine.wants_connect = mine.wants_room = false;
    for (std::size_t i = 0; i < kWorkClasses; ++i) claim(mine, static_cast<work_class>(i), false);
    if (mine.donor >= 0) {
      place& from = cores_[static_cast<std::size_t>(std::exchange(mine.donor, -1))];
      set_owes(from, from.owes - 1);
    }
    if (mine.promised > 0) {
      promised_ -= std::exchange(mine.promised, 0U);
      promise_to_next(wake);
    }
  }
  wake_all(wake);
}

pool_node::outage pool_node::last_outage() const {
  const std::lock_guard lock(mutex_);
  return {breaker_.retry_at(), why_};
}

pool_node::numbers pool_node::count() const {
  const std::lock_guard lock(mutex_);
  numbers out;
  out.held = held_;
  out.promised = promised_;
  out.connecting = connecting_;
  out.moved = moved_;
  for (std::size_t i = 0; i < kWorkClasses; ++i) out.in_use[i] = classes_.in_use(static_cast<work_class>(i));
  return out;
}

std::uint32_t pool_node::held(unsigned id) const {
  const std::lock_guard lock(mutex_);
  return cores_[id].held;
}

}  // namespace syncline::net
