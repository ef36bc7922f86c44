#include "cache/l1.h"

#include <chrono>
#include <utility>

#include "cache/l1_flights.h"
#include "perf/log.h"

namespace syncline::cache {

namespace {

using net::errc;
using net::error;
using net::result;
using net::task;

// Callers have deadlines of their own; this one bounds how long a load may hold its keys.
constexpr std::chrono::seconds kLoadDeadline{30};
// A load that brings a value older than an invalidation it began after (a copy that lags) is tried once more.
constexpr int kLoadAttempts = 2;

// The load as a task of its own, so that no caller takes it along when it leaves.
task<void> run_load(net::core& on, batch_loader& loader, net::work_class work, net::access who,
                    std::string request_id, departure batch) {
  net::request_context context(on, work);
  context.set_deadline(std::chrono::steady_clock::now() + kLoadDeadline);
  context.who = std::move(who);
  context.request_id = std::move(request_id);
  batch.depart();
  try {
    for (int attempt = 1; attempt <= kLoadAttempts && !batch.empty(); ++attempt) {
      std::vector<std::string> keys = batch.keys();
      const std::size_t asked = keys.size();
      const result<std::vector<value_ptr>> loaded = co_await loader.load(context, std::move(keys));
      if (loaded.has_error()) {
        batch.fail(loaded.error());
      } else if (loaded->size() != asked) {
        const error wrong(errc::internal, "a loader answered for another number of keys");
        batch.fail(wrong);
      } else {
        batch.land(*loaded, attempt == kLoadAttempts);
      }
    }
  } catch (...) {
    perf::log_caught("a load of the cache threw", "request_id", context.request_id);
    const error why = net::caught_error("a load of the cache threw");
    batch.fail(why);
  }
}

}  // namespace

// The look-ups of one get_many().
struct l1::inquiry {
  inquiry(l1_shared& in, std::size_t keys) : values(keys), begun(in) {}

  std::vector<value_ptr> values;       // moved into `call` when something is missing
  std::shared_ptr<waiting_call> call;  // made with the first key that is missing
  departure begun;                     // the loads that this call must run
};

struct l1::state : l1_shared {
  using l1_shared::l1_shared;

  // The stored value of `key`; or joins its load, beginning one if there is none. Throws std::bad_alloc, and
  // then nobody waits for this key because of it.
  void look_up(key_view key, net::core& on, std::size_t index, inquiry& all);
};

void l1::state::look_up(key_view key, net::core& on, std::size_t index, inquiry& all) {
  l1_stripe& home = stripe_of(key.hash);
  l1_store::taken expired;  // freed after the lock
  const std::lock_guard lock(home.mutex);
  if (const value_ptr* stored = home.store.find(key, now_s())) {
    (all.call != nullptr ? all.call->values : all.values)[index] = *stored;
    ++home.counted.hits;
    return;
  }
  expired = home.store.erase(key);
  if (expired.what != nullptr) ++home.counted.expired;
  release(expired.cost_bytes);
  ++home.counted.misses;
  if (all.call == nullptr) all.call = std::make_shared<waiting_call>(on, std::move(all.values));
  const flight::waiter mine{all.call, index};
  const auto at = home.flights.find(key);
  if (at != home.flights.end()) {
    at->second->waiters.push_back(mine);
  } else {
    all.begun.begin(home, key, mine, all.call->values.size() - index);
    ++home.counted.loads;
  }
  all.call->missing.fetch_add(1, std::memory_order_relaxed);  // nothing lands while we hold the lock
}

l1::l1(const l1_options& options) : state_(std::make_unique<state>(options)) {}
l1::~l1() = default;

value_ptr l1::find(std::string_view key) noexcept {
  const key_view wanted = hashed(key);
  l1_stripe& home = state_->stripe_of(wanted.hash);
  const std::lock_guard lock(home.mutex);
  const value_ptr* stored = home.store.find(wanted, state_->now_s());
  if (stored == nullptr) return nullptr;
  ++home.counted.hits;
  return *stored;
}

task<result<std::vector<value_ptr>>> l1::get_many(net::request_context& context,
                                                  std::vector<std::string> keys, batch_loader& loader) {
  if (context.cancelled()) co_return error(errc::cancelled, "the request was cancelled");
  try {
    net::core& on = context.on();
    inquiry all(*state_, keys.size());
    for (std::size_t i = 0; i < keys.size(); ++i) state_->look_up(hashed(keys[i]), on, i, all);
    if (all.call == nullptr) co_return std::move(all.values);
    if (!all.begun.empty()) {
      task<void> load =
          run_load(on, loader, context.work(), context.who, context.request_id, std::move(all.begun));
      net::spawn(on, std::move(load));
    }
    waiting_call& call = *all.call;
    // What has landed in the meantime left only our own count.
    if (call.missing.fetch_sub(1, std::memory_order_acq_rel) != 1) {
      const auto since = std::chrono::steady_clock::now();
      const result<void> woken = co_await call.done.wait(context);
      const auto waited = std::chrono::steady_clock::now() - since;
      context.stage_us[static_cast<std::size_t>(net::stage::cache)] +=
          static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::microseconds>(waited).count());
      if (woken.has_error()) co_return woken.error();
    }
    if (call.failure) co_return std::move(*call.failure);
    co_return std::move(call.values);
  } catch (...) {
    // What this call had begun has failed with `all`.
    co_return net::caught_error("the cache threw");
  }
}

void l1::set_time(std::uint32_t now_s) noexcept {
  state_->set_time(now_s);
}

void l1::invalidate(std::string_view key, std::int64_t position) noexcept {
  const key_view gone = hashed(key);
  l1_stripe& home = state_->stripe_of(gone.hash);
  l1_store::taken dropped;  // both are freed after the lock
  flight_ptr detached;
  {
    const std::lock_guard lock(home.mutex);
    ++home.counted.invalidations;
    home.floors.note(gone.hash, position);
    const value_ptr* stored = home.store.peek(gone);
    if (stored != nullptr && (*stored)->position < position) dropped = home.store.erase(gone);
    const auto at = home.flights.find(gone);
    if (at != home.flights.end()) {
      detached = std::move(at->second);
      home.flights.erase(at);
    }
  }
  state_->release(dropped.cost_bytes);
}

void l1::clear(std::int64_t position) noexcept {
  for (const auto& each : state_->stripes()) {
    l1_store::contents dropped;
    key_map<flight_ptr> detached;
    {
      const std::lock_guard lock(each->mutex);
      ++each->counted.invalidations;
      each->floors.note_all(position);
      dropped = each->store.clear();
      detached.swap(each->flights);
    }
    state_->release(dropped.cost_bytes);
  }
}

l1::figures l1::read_figures() const noexcept {
  figures sum;
  for (const auto& each : state_->stripes()) {
    const std::lock_guard lock(each->mutex);
    const figures& one = each->counted;
    sum.entries += each->store.entries();
    sum.bytes += each->store.bytes();
    sum.hits += one.hits;
    sum.misses += one.misses;
    sum.loads += one.loads;
    sum.evictions += one.evictions;
    sum.expired += one.expired;
    sum.invalidations += one.invalidations;
    sum.refused_fills += one.refused_fills;
  }
  return sum;
}

}  // namespace syncline::cache
