#include "cache/l1_flights.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace syncline::cache {

namespace {

// A value above this part of the whole cache is not worth what it would push out.
constexpr std::size_t kLargestEntryPart = 4;

// The second it is stored in has partly passed, so it counts for nothing.
std::uint32_t end_of(std::uint32_t ttl_s, std::uint32_t now_s) noexcept {
  return ttl_s < kNoEnd - 1 - now_s ? now_s + ttl_s + 1 : kNoEnd;
}

}  // namespace

void arrive(const std::shared_ptr<waiting_call>& call, std::size_t index, const value_ptr& what,
            const net::error* failure) noexcept {
  call->values[index] = what;
  if (failure != nullptr) {
    const std::lock_guard lock(call->failure_mutex);
    if (!call->failure) call->failure = net::copy_of(*failure);
  }
  if (call->missing.fetch_sub(1, std::memory_order_acq_rel) == 1) call->done.notify(call);
}

l1_shared::l1_shared(const l1_options& options) : bytes_max_(options.bytes_max) {
  const std::size_t count = std::bit_ceil(std::max<std::size_t>(options.stripes, 1));
  share_bytes_ = bytes_max_ / count;
  stripes_.reserve(count);
  for (std::size_t i = 0; i < count; ++i) stripes_.push_back(std::make_unique<l1_stripe>(share_bytes_));
}

bool l1_shared::reserve(l1_stripe& own, std::size_t cost_bytes) noexcept {
  if (cost_bytes > bytes_max_ / kLargestEntryPart) return false;
  used_bytes_.fetch_add(cost_bytes, std::memory_order_relaxed);
  std::size_t found_empty = 0;
  while (used_bytes_.load(std::memory_order_relaxed) > bytes_max_) {
    l1_store::taken gone;  // freed after the lock
    {
      const std::lock_guard lock(own.mutex);
      if (own.store.bytes() >= share_bytes_) {
        gone = own.store.evict();
        if (gone.cost_bytes != 0) ++own.counted.evictions;
      }
    }
    if (gone.cost_bytes == 0) {
      l1_stripe& other = *stripes_[hand_.fetch_add(1, std::memory_order_relaxed) & (stripes_.size() - 1)];
      const std::lock_guard lock(other.mutex);
      gone = other.store.evict();
      if (gone.cost_bytes != 0) ++other.counted.evictions;
    }
    if (gone.cost_bytes != 0) {
      found_empty = 0;
      release(gone.cost_bytes);
    } else if (++found_empty > stripes_.size()) {
      // Everything is reserved by others that have not stored yet.
      release(cost_bytes);
      return false;
    }
  }
  return true;
}

void l1_shared::land(flight& one, const value_ptr& what, const net::error* failure) noexcept {
  l1_stripe& home = stripe_of(one.key.hash);
  const std::size_t cost_bytes = what == nullptr ? 0 : l1_store::cost(one.key.text, *what);
  const bool reserved = what != nullptr && what->ttl_s != 0 && reserve(home, cost_bytes);
  bool stored = false;
  flight_ptr landed;  // the map's reference, dropped after the lock
  std::vector<flight::waiter> waiters;
  {
    const std::lock_guard lock(home.mutex);
    const auto at = home.flights.find(one.key.view());
    const bool attached = at != home.flights.end() && at->second.get() == &one;
    if (attached) {
      landed = std::move(at->second);
      home.flights.erase(at);
    }
    if (what != nullptr && !attached) ++home.counted.refused_fills;
    if (reserved && attached)
      stored = home.store.insert(one.key, what, cost_bytes, end_of(what->ttl_s, now_s()));
    waiters = std::move(one.waiters);
  }
  if (reserved && !stored) release(cost_bytes);
  for (const flight::waiter& each : waiters) arrive(each.call, each.index, what, failure);
}

void l1_shared::count_refused(const flight& one) noexcept {
  l1_stripe& home = stripe_of(one.key.hash);
  const std::lock_guard lock(home.mutex);
  ++home.counted.refused_fills;
}

departure::~departure() {
  if (left_.empty()) return;
  // Its task ended without a word: no memory to begin it or to wake it (Asio then drops a coroutine that
  // waits), or its core ends.
  net::error why(net::errc::overloaded, departed_ ? "the load was abandoned" : "the load could not be begun");
  why.retry_after_ms = 1000;
  fail(why);
}

void departure::begin(l1_stripe& home, key_view key, const flight::waiter& first, std::size_t flights_max) {
  if (left_.empty()) left_.reserve(flights_max);  // so that what follows the table's entry cannot fail
  auto one = std::make_shared<flight>(key, home.floors.of(key.hash));
  one->waiters.push_back(first);
  home.flights.emplace(one->key, one);
  left_.push_back(std::move(one));
}

std::vector<std::string> departure::keys() const {
  std::vector<std::string> out;
  out.reserve(left_.size());
  for (const flight_ptr& each : left_) out.push_back(each->key.text);
  return out;
}

void departure::land(const std::vector<value_ptr>& values, bool last) noexcept {
  std::size_t again = 0;  // those in front are for another attempt
  for (std::size_t i = 0; i < left_.size(); ++i) {
    flight& one = *left_[i];
    const bool too_old = values[i] != nullptr && values[i]->position < one.floor;
    if (!too_old) {
      to_->land(one, values[i], nullptr);
      continue;
    }
    to_->count_refused(one);
    if (last) {
      to_->land(one, nullptr, nullptr);
    } else {
      std::swap(left_[again++], left_[i]);
    }
  }
  left_.erase(left_.begin() + static_cast<std::ptrdiff_t>(again), left_.end());
}

void departure::fail(const net::error& why) noexcept {
  const std::vector<flight_ptr> all = std::exchange(left_, {});
  for (const flight_ptr& each : all) to_->land(*each, nullptr, &why);
}

}  // namespace syncline::cache
