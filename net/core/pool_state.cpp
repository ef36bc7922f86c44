#include "net/core/pool_state.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace syncline::net {

using condition = pool_slot::condition;
using refusal = pool_meter::refusal;
using ending = pool_meter::ending;
using std::chrono::microseconds;
using std::chrono::milliseconds;

pool_state::pool_state(pool_node& node, unsigned id, pool_hands& hands, std::uint64_t seed)
    : node_(node),
      options_(node.options()),
      id_(id),
      hands_(hands),
      meter_(options_.name),
      queue_(options_.reserved_percent),
      random_(seed * 2 + 1) {
  const pool_codel codel(options_.codel_target_percent / 100.0, milliseconds(options_.codel_interval_ms));
  classes_.assign(kWorkClasses, of_class{codel, pool_estimator()});
}

pool_state::~pool_state() {
  assert(queue_.waiting() == 0);
  while (!slots_.empty()) abandoned(*slots_.back());
}

std::size_t pool_state::open() const noexcept {
  return counted(condition::idle) + counted(condition::busy) + counted(condition::resetting) +
         counted(condition::validating);
}

pool_state::numbers pool_state::count() const noexcept {
  return {counted(condition::idle),       counted(condition::busy),
          counted(condition::connecting), counted(condition::resetting) + counted(condition::validating),
          counted(condition::closing),    queue_.waiting()};
}

// ---- asking

pool_state::verdict pool_state::ask(pool_waiter& waiter, steady_time now) {
  const milliseconds longest(options_.wait_budget_ms[static_cast<std::size_t>(waiter.work)]);
  waiter.since = now;
  waiter.budget = longest;
  if (waiter.deadline != steady_time::max()) {
    waiter.budget = std::min<steady_time::duration>(longest, waiter.deadline - now);
  }
  if (stopping_) return refuse(waiter, refusal::closed, now);
  if (waiter.budget <= steady_time::duration::zero()) return refuse(waiter, refusal::timed_out, now);
  if (queue_.waiting(waiter.work) == 0) {
    if (pool_slot* slot = find(waiter, now)) {
      of(waiter.work).codel.served_at_once();
      grant(waiter, *slot, now);
      show();
      return verdict::granted;
    }
  }
  if (node_.down() && open() == 0) return refuse(waiter, refusal::down, now);
  if (queue_.waiting() >= options_.waiters_max) return refuse(waiter, refusal::full, now);
  if (!fits(waiter)) return refuse(waiter, refusal::deadline, now);
  queue_.push(waiter, now);
  settle(now);
  // The first connect found the circuit open.
  return waiter.refused ? verdict::refused : verdict::queued;
}

// The class's limit holds over all cores, so where others wait as well this is less than it will be.
microseconds pool_state::queue_wait(work_class work) noexcept {
  const auto lanes = static_cast<std::uint32_t>(open() + counted(condition::connecting));
  return of(work).estimator.wait(queue_.waiting(work), heard_,
                                 std::clamp(lanes, 1U, std::max(1U, node_.most_for(work))));
}

microseconds pool_state::estimate(work_class work) {
  microseconds wait = queue_wait(work);
  if (open() == 0) wait += connect_takes_;
  return wait;
}

// While the queue stands, who would wait so long that it is shed later is better refused now.
bool pool_state::fits(const pool_waiter& waiter) {
  const pool_codel& codel = of(waiter.work).codel;
  double part = options_.wait_percent_max / 100.0;
  if (codel.standing()) part = std::min(part, codel.entry_part());
  microseconds most = std::chrono::duration_cast<microseconds>(waiter.budget * part);
  // Where nothing is open the wait is the connect's, not the queue's: that may take all the time there is.
  if (open() == 0) most = std::chrono::duration_cast<microseconds>(waiter.budget);
  return estimate(waiter.work) <= most;
}

pool_state::verdict pool_state::refuse(pool_waiter& waiter, refusal why, steady_time now) {
  if (waiter.queued) queue_.remove(waiter);
  waiter.refused = true;
  meter_.refused(waiter.work, why);
  switch (why) {
    case refusal::closed:
      waiter.reason = errc::closed;
      waiter.what = "the pool is stopped";
      return verdict::refused;
    case refusal::timed_out:
      waiter.reason = errc::timed_out;
      waiter.what = "the deadline passed while waiting for a connection";
      return verdict::refused;
    case refusal::down: {
      waiter.reason = errc::down;
      waiter.what = "the server cannot be reached";
      const pool_node::outage outage = node_.last_outage();
      waiter.why = outage.why;
      const auto until = std::chrono::duration_cast<milliseconds>(outage.retry_at - now);
      waiter.retry_after_ms = static_cast<std::uint32_t>(std::max<std::int64_t>(until.count(), 0)) +
                              static_cast<std::uint32_t>(kTick.count());
      return verdict::refused;
    }
    default: {
      waiter.reason = errc::overloaded;
      waiter.what = "too many requests wait for a connection";
      // When the queue of now is gone. Not under 50 ms: whoever is refused should not be back before anything
      // changed; not over 30 s: nobody knows that far ahead.
      const auto wait = std::chrono::duration_cast<milliseconds>(estimate(waiter.work));
      waiter.retry_after_ms = static_cast<std::uint32_t>(std::clamp<std::int64_t>(wait.count(), 50, 30'000));
      ++shed_since_report_;
      report(now);
      return verdict::refused;
    }
  }
}

void pool_state::refuse_all(refusal why, steady_time now) {
  const pool_queue::order order = queue_.turns();
  for (std::size_t i = 0; i < order.count; ++i) {
    while (pool_waiter* waiter = queue_.head(order.classes[i])) {
      static_cast<void>(refuse(*waiter, why, now));
      hands_.wake(*waiter);
    }
  }
}

void pool_state::leave(pool_waiter& waiter, errc why, steady_time now) {
  assert(waiter.queued);
  queue_.remove(waiter);
  meter_.refused(waiter.work, why == errc::timed_out ? refusal::timed_out : refusal::cancelled);
  // The one behind it may be served by what this one could not use: a shared lease behind an exclusive one.
  serve(now);
  settle(now);
}

// ---- granting

pool_slot* pool_state::find(const pool_waiter& waiter, steady_time now) {
  if (idle_.count() != 0) {
    if (node_.use(id_, waiter.work)) {
      if (pool_slot* slot = take_idle(now)) return slot;
      end_use(waiter.work);
    } else {
      wanting_ = true;
    }
  }
  return waiter.kind == lease_kind::shared ? join(waiter) : nullptr;
}

// The most recently used one that is fit. One that lay idle for long is looked at first, by nobody's request;
// those behind it lay longer.
pool_slot* pool_state::take_idle(steady_time now) {
  while (pool_slot* slot = idle_.newest()) {
    if (slot->connection->broken()) {
      destroy(*slot, ending::broken);
    } else if (slot->expires <= now) {
      close(*slot, ending::expired, now);
    } else if (now - slot->changed >= milliseconds(options_.validate_after_idle_ms)) {
      change(*slot, condition::validating, now);
      hands_.validate(*slot);
      return nullptr;
    } else {
      return slot;
    }
  }
  return nullptr;
}

// The shared connection of this class with the fewest users.
pool_slot* pool_state::join(const pool_waiter& waiter) {
  if (node_.must_make_room(id_, waiter.work)) return nullptr;
  pool_slot* best = nullptr;
  for (const auto& each : slots_) {
    if (each->is != condition::busy || !each->shared || each->work != waiter.work || each->broken) continue;
    if (each->uses >= options_.pipeline_limit) continue;
    if (each->connection->broken() || each->connection->needs_reset()) continue;
    if (best == nullptr || each->uses < best->uses) best = each.get();
  }
  return best;
}

void pool_state::grant(pool_waiter& waiter, pool_slot& slot, steady_time now) {
  if (slot.uses++ == 0) {
    change(slot, condition::busy, now);
    slot.shared = waiter.kind == lease_kind::shared;
    slot.work = waiter.work;
  }
  slot.set_holder(waiter.holder);
  of(waiter.work).estimator.lease_begins(now);
  waiter.granted = &slot;
  meter_.acquired(waiter.work, now - waiter.since);
}

// Serves, or refuses, the waiter whose turn it is among those that can be served.
bool pool_state::serve_one(steady_time now) {
  const pool_queue::order order = queue_.turns();
  for (std::size_t i = 0; i < order.count; ++i) {
    pool_waiter& waiter = *queue_.head(order.classes[i]);
    pool_slot* slot = find(waiter, now);
    if (slot == nullptr) continue;
    // While dead connections were found out and replaced, nothing stood in a queue.
    const steady_time since = std::max(waiter.since, served_from_);
    const double part = std::chrono::duration<double>(now - since) / waiter.budget;
    const bool late = now >= waiter.deadline;
    if (late || of(waiter.work).codel.leaves(now, part)) {
      if (slot->uses == 0) end_use(waiter.work);  // it was not taken after all
      static_cast<void>(refuse(waiter, late ? refusal::timed_out : refusal::shed, now));
    } else {
      queue_.remove(waiter);
      queue_.took_turn(waiter.work);
      grant(waiter, *slot, now);
    }
    hands_.wake(waiter);
    return true;
  }
  return false;
}

void pool_state::serve(steady_time now) {
  while (queue_.waiting() != 0 && serve_one(now)) {
  }
}

void pool_state::end_use(work_class work) {
  if (node_.end_use(id_, work)) pass_on_ = true;
}

void pool_state::release(pool_slot& slot, steady_time since, bool broken, steady_time now) {
  assert(slot.is == condition::busy && slot.uses > 0);
  of(slot.work).estimator.lease_ends(now, since);
  slot.broken = slot.broken || broken || slot.connection->broken();
  if (--slot.uses == 0) {
    end_use(slot.work);
    if (slot.broken) {
      destroy(slot, ending::broken);
    } else if (slot.connection->needs_reset() && !stopping_) {
      change(slot, condition::resetting, now);
      hands_.reset(slot);
    } else {
      make_free(slot, now);
    }
  }
  serve(now);
  settle(now);
}

// ---- opening and closing

void pool_state::change(pool_slot& slot, condition to, steady_time now) noexcept {
  if (slot.is == condition::idle) idle_.remove(slot);
  --counts_[static_cast<std::size_t>(slot.is)];
  slot.is = to;
  slot.changed = now;
  ++counts_[static_cast<std::size_t>(to)];
  if (to == condition::idle) idle_.push(slot);
}

void pool_state::make_free(pool_slot& slot, steady_time now) {
  if (std::exchange(all_dead_, false)) served_from_ = now;
  if (slot.connection->broken()) {
    destroy(slot, ending::broken);
  } else if (stopping_) {
    close(slot, ending::stopped, now);
  } else if (slot.expires <= now) {
    close(slot, ending::expired, now);
  } else if (node_.owes(id_) > counted(condition::closing)) {
    close(slot, ending::lent, now);
  } else {
    change(slot, condition::idle, now);
  }
}

void pool_state::close(pool_slot& slot, ending why, steady_time now) {
  meter_.ended(why);
  change(slot, condition::closing, now);
  hands_.close(slot);
}

void pool_state::destroy(pool_slot& slot, ending why) {
  meter_.ended(why);
  slot.connection.reset();
  remove(slot);
  node_.give_back(id_);
}

void pool_state::remove(pool_slot& slot) noexcept {
  if (slot.is == condition::idle) idle_.remove(slot);
  --counts_[static_cast<std::size_t>(slot.is)];
  const std::size_t at = slot.index;
  std::swap(slots_[at], slots_.back());
  slots_[at]->index = at;
  slots_.pop_back();
}

void pool_state::start_connect(connect_role role, steady_time now) {
  slots_.push_back(std::make_unique<pool_slot>());
  pool_slot& slot = *slots_.back();
  slot.index = slots_.size() - 1;
  slot.role = role;
  slot.changed = now;
  ++counts_[static_cast<std::size_t>(condition::connecting)];
  hands_.open(slot);
}

// A connect is begun for a waiter only when none is under way for it: waiters wait for the pool and take
// whatever comes first, so most of a spike never needs the connections it could ask for. While connections
// are open, one connect at a time begins at once; more when the queue stood as long as a connect takes, or
// would: then waiting was the dearer choice (as in ski rental, at most twice the best).
void pool_state::grow(steady_time now) {
  while (!stopping_) {
    std::size_t servable = 0;
    const pool_queue::order order = queue_.turns();
    std::size_t longest = 0;
    for (std::size_t i = 0; i < order.count; ++i) {
      const work_class work = order.classes[i];
      const std::uint32_t room = node_.connections_for(id_, work);
      if (room == 0) wanting_ = true;
      servable += std::min<std::size_t>(queue_.waiting(work), room);
      longest = std::max(longest, static_cast<std::size_t>(queue_wait(work).count()));
    }
    const std::size_t connecting = counted(condition::connecting);
    const std::size_t coming = connecting + counted(condition::resetting) + counted(condition::validating);
    if (servable <= coming + idle_.count()) return;
    const bool worth = static_cast<std::int64_t>(longest) > connect_takes_.count() ||
                       now - queue_.standing_since() >= connect_takes_;
    if (open() != 0 && connecting != 0 && !worth) return;
    const pool_node::opening_answer answer = node_.begin_connect(id_, now, true);
    if (answer.is != pool_node::opening::granted) {
      wanting_ = true;
      if (answer.is == pool_node::opening::down && open() == 0 && connecting == 0)
        refuse_all(refusal::down, now);
      return;
    }
    start_connect(answer.role, now);
  }
}

void pool_state::opened(pool_slot& slot, std::unique_ptr<pooled> connection, steady_time now) {
  assert(slot.is == condition::connecting);
  meter_.connect_ended(true);
  const auto took = std::chrono::duration_cast<microseconds>(now - slot.changed);
  connect_takes_ = std::exchange(connect_known_, true) ? connect_takes_ + (took - connect_takes_) / 4 : took;
  node_.connected(id_, now, slot.role);
  slot.connection = std::move(connection);
  // Spread, so that connections opened together do not all end together.
  random_ = random_ * 6364136223846793005ULL + 1442695040888963407ULL;
  const std::uint64_t shorter =
      std::uint64_t{options_.lifetime_max_ms} * options_.lifetime_jitter_percent / 100;
  const std::uint64_t less = shorter == 0 ? 0 : (random_ >> 33) % shorter;
  slot.expires = now + milliseconds(options_.lifetime_max_ms - less);
  make_free(slot, now);
  serve(now);
  settle(now);
}

void pool_state::open_failed(pool_slot& slot, const error& why, steady_time now) {
  assert(slot.is == condition::connecting);
  meter_.connect_ended(false);
  const connect_role role = slot.role;
  remove(slot);
  if (stopping_) {
    node_.connect_given_up(id_, role);
  } else {
    node_.connect_failed(id_, now, role, why);
    // A server that is only full is none that is down: another core may give up a connection.
    if (open() == 0 && node_.down()) refuse_all(refusal::down, now);
  }
  settle(now);
}

void pool_state::tended(pool_slot& slot, bool fit, steady_time now) {
  assert(slot.is == condition::resetting || slot.is == condition::validating);
  if (fit) {
    slot.given_up = false;
    make_free(slot, now);
  } else {
    const bool lay_idle = slot.is == condition::validating && !slot.given_up;
    const steady_time asked = slot.changed;
    destroy(slot, ending::unfit);
    if (lay_idle) distrust_idle(asked);
  }
  serve(now);
  settle(now);
}

// One that lay idle is dead, so the server was restarted or a firewall forgot us: whoever has not worked
// since that was asked is most likely dead too. To ask each would take a waiter's time and keep the permits
// that new ones need.
void pool_state::distrust_idle(steady_time asked) {
  for (const auto& each : slots_) {
    if (each->is != condition::validating) continue;
    each->given_up = true;  // its end proves nothing more
    hands_.give_up(*each);
  }
  while (pool_slot* slot = idle_.oldest()) {
    if (slot->changed > asked) break;
    destroy(*slot, ending::unfit);
  }
  all_dead_ = counted(condition::idle) + counted(condition::busy) + counted(condition::resetting) == 0;
}

void pool_state::closed(pool_slot& slot, steady_time now) {
  assert(slot.is == condition::closing);
  slot.connection.reset();
  remove(slot);
  node_.give_back(id_);
  settle(now);
}

void pool_state::abandoned(pool_slot& slot) noexcept {
  // Only a core that has ended destroys tasks; it would destroy the next connect at once as well.
  stopping_ = true;
  const bool connecting = slot.is == condition::connecting;
  const connect_role role = slot.role;
  if (slot.is == condition::busy) static_cast<void>(node_.end_use(id_, slot.work));
  remove(slot);
  if (connecting) {
    node_.connect_given_up(id_, role);
  } else {
    node_.give_back(id_);
  }
}

// ---- from outside and with time

// Tells the node what we want, or that we want nothing any more, and lets others have what we let go.
void pool_state::settle(steady_time now) {
  if (queue_.waiting() != 0) grow(now);
  if (queue_.waiting() == 0 && std::exchange(wanting_, false)) node_.wants_nothing(id_);
  for (std::size_t i = 0; wanting_ && i < kWorkClasses; ++i) {
    const auto work = static_cast<work_class>(i);
    if (queue_.waiting(work) == 0) node_.wants_no_room(id_, work);
  }
  if (std::exchange(pass_on_, false)) node_.pass_on();
  show();
}

void pool_state::pay_debts(steady_time now) {
  while (idle_.count() != 0 && node_.owes(id_) > counted(condition::closing)) {
    close(*idle_.oldest(), ending::lent, now);
  }
  if (node_.asked_to_lend(id_)) lending_ = true;
  if (!lending_) return;
  pool_slot* unused = idle_.oldest();
  if (unused == nullptr) {
    lending_ = false;
  } else if (now - unused->changed >= milliseconds(options_.lend_after_idle_ms)) {
    lending_ = false;
    close(*unused, ending::lent, now);
  }
}

void pool_state::look(steady_time now) {
  if (stopping_) return;
  pay_debts(now);
  serve(now);
  settle(now);
}

void pool_state::retire_idle(steady_time now) {
  const std::size_t warm = node_.warm_share(id_);
  for (pool_slot* slot = idle_.oldest(); slot != nullptr;) {
    pool_slot* const newer = slot->newer;
    if (slot->connection->broken()) {
      destroy(*slot, ending::broken);
    } else if (slot->expires <= now) {
      close(*slot, ending::expired, now);
    } else if (open() > warm && now - slot->changed >= milliseconds(options_.idle_timeout_ms)) {
      close(*slot, ending::idle, now);
    }
    slot = newer;
  }
}

void pool_state::tick(steady_time now) {
  if (stopping_) return;
  pay_debts(now);
  retire_idle(now);
  // Warm connections; and a server that is down is tried again without a request that would pay for it.
  const std::size_t wanted = std::max<std::size_t>(node_.warm_share(id_), node_.down() ? 1 : 0);
  while (open() + counted(condition::connecting) < wanted) {
    const pool_node::opening_answer answer = node_.begin_connect(id_, now, false);
    if (answer.is != pool_node::opening::granted) break;
    start_connect(answer.role, now);
  }
  serve(now);
  settle(now);
}

void pool_state::stop(steady_time now) {
  stopping_ = true;
  refuse_all(refusal::closed, now);
  while (pool_slot* slot = idle_.newest()) close(*slot, ending::stopped, now);
  settle(now);
}

}  // namespace syncline::net
