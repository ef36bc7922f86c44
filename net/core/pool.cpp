#include "net/core/pool.h"

#include <algorithm>
#include <cassert>

#include "net/core/core_access.h"

namespace syncline::net {

using std::chrono::milliseconds;

namespace {

steady_time clock_now() noexcept {
  return std::chrono::steady_clock::now();
}

}  // namespace

task<result<void>> pool_connector::reset(request_context&, pooled&) {
  co_return result<void>();
}

task<result<void>> pool_connector::validate(request_context&, pooled&) {
  co_return result<void>();
}

task<void> pool_connector::close(request_context&, pooled&) {
  co_return;
}

pool_lease& pool_lease::operator=(pool_lease&& other) noexcept {
  if (this != &other) {
    end();
    pool_ = std::exchange(other.pool_, nullptr);
    slot_ = other.slot_;
    since_ = other.since_;
    broken_ = other.broken_;
  }
  return *this;
}

void pool_lease::end() noexcept {
  if (connection_pool* from = std::exchange(pool_, nullptr)) from->release(*slot_, since_, broken_);
}

// A caller in acquire(). Its destructor undoes what is left at whichever point the task ends or is destroyed:
// in the queue, or with a connection that it never took.
struct connection_pool::waiting : pool_waiter {
  waiting(connection_pool& from, request_context& context, lease_kind wanted) noexcept
      : owner(from), woken(*from.core_) {
    work = context.work();
    kind = wanted;
    deadline = context.deadline();
    holder = context.request_id;
  }
  ~waiting() {
    if (queued) owner.state_.leave(*this, why_left, owner.moment());
    if (granted != nullptr) owner.release(*granted, since_granted, false);
  }
  waiting(const waiting&) = delete;
  waiting& operator=(const waiting&) = delete;

  [[nodiscard]] pool_lease take() noexcept {
    return {owner, *std::exchange(granted, nullptr), since_granted};
  }
  [[nodiscard]] error failure() const {
    error out(reason, what, owner.node_.options().name);
    if (!why.empty()) out.detail.append(": ").append(why);
    out.retry_after_ms = retry_after_ms;
    return out;
  }

  connection_pool& owner;
  event woken;
  steady_time since_granted{};
  errc why_left = errc::cancelled;
};

// One connect, reset, validation or close. Destroyed with its task, whether that ran to its end or not.
struct connection_pool::job {
  job(connection_pool& from, work doing, pool_slot& on)
      : owner(from), what(doing), slot(&on), context(*from.core_) {
    owner.jobs_.push_back(this);
  }
  ~job() {
    owner.jobs_.erase(std::find(owner.jobs_.begin(), owner.jobs_.end(), this));
    if (slot != nullptr) owner.state_.abandoned(*slot);
    owner.note_progress();
  }
  job(const job&) = delete;
  job& operator=(const job&) = delete;

  // The slot is settled now; the state may remove it.
  [[nodiscard]] pool_slot& finish() noexcept { return *std::exchange(slot, nullptr); }

  connection_pool& owner;
  work what;
  pool_slot* slot;
  request_context context;
};

connection_pool::connection_pool(core& on, pool_node& node, pool_connector& connector)
    : core_(&on),
      node_(node),
      connector_(connector),
      state_(node, on.id() % node.cores(), *this, on.id() + 1),
      ticker_([](void* owner) noexcept { static_cast<connection_pool*>(owner)->tick(); }, this) {
  node_.attach(on.id() % node.cores(), this);
}

connection_pool::~connection_pool() {
  assert(jobs_.empty());
  node_.attach(core_->id() % node_.cores(), nullptr);
}

void connection_pool::start() {
  assert(core::current() == core_);
  if (std::exchange(started_, true)) return;
  tick();
}

// Now, and the first in each turn of the loop is when the state heard of what had ended.
steady_time connection_pool::moment() noexcept {
  const steady_time now = clock_now();
  if (std::exchange(turn_, core_->turns()) != core_->turns()) state_.heard(now);
  return now;
}

void connection_pool::tick() noexcept {
  if (stopping_) return;
  state_.tick(moment());
  core_->timers().arm(ticker_, clock_now() + pool_state::kTick);
}

void connection_pool::wake() noexcept {
  if (woken_.exchange(true)) return;
  core_->post([this] {
    // Before looking: what comes from now on is a wake-up of its own.
    woken_.store(false);
    state_.look(moment());
  });
}

void connection_pool::wake(pool_waiter& waiter) noexcept {
  auto& mine = static_cast<waiting&>(waiter);
  mine.since_granted = clock_now();
  mine.woken.notify();
}

task<result<pool_lease>> connection_pool::acquire_any(request_context& context, lease_kind kind) {
  assert(core::current() == core_ && &context.on() == core_);
  if (context.cancelled()) co_return error(errc::cancelled, "the request was cancelled");
  if (!started_) start();
  waiting mine(*this, context, kind);
  const steady_time asked = moment();
  mine.since_granted = asked;
  const pool_state::verdict verdict = state_.ask(mine, asked);
  if (verdict == pool_state::verdict::granted) co_return mine.take();
  if (verdict == pool_state::verdict::refused) co_return mine.failure();
  const result<void> woken = co_await mine.woken.wait(context);
  context.stage_us[static_cast<std::size_t>(stage::wait)] += static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(clock_now() - asked).count());
  if (woken.has_error()) {
    // The hand-over may have crossed the cancellation: then the destructor gives the connection to the next.
    mine.why_left = woken.error().code;
    co_return woken.error();
  }
  if (context.cancelled()) co_return error(errc::cancelled, "the request was cancelled");
  if (mine.granted != nullptr) co_return mine.take();
  co_return mine.failure();
}

void connection_pool::release(pool_slot& slot, steady_time since, bool broken) noexcept {
  assert(core::current() == core_);
  state_.release(slot, since, broken, moment());
  note_progress();
}

// ---- what the state asks for

void connection_pool::begin(work what, pool_slot& slot) {
  auto running = std::make_unique<job>(*this, what, slot);
  const pool_options& options = node_.options();
  const std::uint32_t limit_ms = what == work::open ? options.connect_timeout_ms : options.tend_timeout_ms;
  running->context.set_deadline(clock_now() + milliseconds(limit_ms));
  running->context.request_id = "pool";
  switch (what) {
    case work::open:
      return spawn(*core_, run_open(std::move(running)));
    case work::reset:
    case work::validate:
      return spawn(*core_, run_tend(std::move(running)));
    case work::close:
      return spawn(*core_, run_close(std::move(running)));
  }
}

void connection_pool::give_up(pool_slot& slot) {
  for (job* each : jobs_) {
    if (each->slot == &slot) each->context.cancel();
  }
}

task<void> connection_pool::run_open(std::unique_ptr<job> running) {
  connection_pool& self = running->owner;
  result<std::unique_ptr<pooled>> made = error(errc::internal, "the connect threw");
  try {
    made = co_await self.connector_.connect(running->context);
  } catch (...) {
    note_uncaught(*self.core_, "pool connect");
  }
  pool_slot& slot = running->finish();
  if (made.has_error()) {
    self.state_.open_failed(slot, made.error(), self.moment());
  } else if (*made == nullptr) {
    self.state_.open_failed(slot, error(errc::internal, "the connect made nothing"), self.moment());
  } else {
    self.state_.opened(slot, std::move(*made), self.moment());
  }
}

task<void> connection_pool::run_tend(std::unique_ptr<job> running) {
  connection_pool& self = running->owner;
  result<void> fit = error(errc::internal, "the reset or validation threw");
  try {
    pooled& connection = *running->slot->connection;
    if (running->what == work::reset) {
      fit = co_await self.connector_.reset(running->context, connection);
    } else {
      fit = co_await self.connector_.validate(running->context, connection);
    }
  } catch (...) {
    note_uncaught(*self.core_, "pool reset");
  }
  self.state_.tended(running->finish(), fit.has_value(), self.moment());
}

task<void> connection_pool::run_close(std::unique_ptr<job> running) {
  connection_pool& self = running->owner;
  try {
    co_await self.connector_.close(running->context, *running->slot->connection);
  } catch (...) {
    note_uncaught(*self.core_, "pool close");
  }
  self.state_.closed(running->finish(), self.moment());
}

// ---- the end

void connection_pool::note_progress() noexcept {
  if (emptied_ != nullptr && state_.empty() && jobs_.empty()) emptied_->notify();
}

task<result<void>> connection_pool::stop(request_context& context) {
  assert(core::current() == core_);
  stopping_ = started_ = true;
  ticker_.disarm();
  if (emptied_ == nullptr) emptied_ = std::make_unique<event>(*core_);
  // Connects only: a reset or a close is short and leaves the server in order.
  for (job* each : jobs_) {
    if (each->what == work::open) each->context.cancel();
  }
  state_.stop(moment());
  while (!state_.empty() || !jobs_.empty()) {
    const result<void> woken = co_await emptied_->wait(context);
    if (woken.has_error()) co_return woken.error();
  }
  co_return result<void>();
}

}  // namespace syncline::net
