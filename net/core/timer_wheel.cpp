#include "net/core/timer_wheel.h"

#include <bit>
#include <cassert>

namespace syncline::net {

namespace {

constexpr std::uint64_t kNoTick = ~std::uint64_t{0};
constexpr auto kTick = std::chrono::milliseconds(kTickMs);
// Later than this is never: it keeps `start + tick * 10 ms` far from overflow.
constexpr auto kHorizon = std::chrono::hours(24 * 365 * 10);

}  // namespace

void timer_entry::disarm() noexcept {
  if (wheel_ != nullptr) wheel_->unlink(*this);
}

timer_wheel::timer_wheel(wake_function wake_at, void* owner, steady_time start) noexcept
    : start_(start), requested_tick_(kNoTick), wake_at_(wake_at), owner_(owner) {}

timer_wheel::~timer_wheel() {
  for (head& slot : slots_) {
    while (slot.first != nullptr) unlink(*slot.first);
  }
  while (firing_.first != nullptr) unlink(*firing_.first);
}

std::uint64_t timer_wheel::tick_of(steady_time when) const noexcept {
  if (when <= start_) return 0;
  // Rounded up, so that an entry never fires early.
  const auto since = when - start_ + kTick - steady_time::duration(1);
  return static_cast<std::uint64_t>(since / kTick);
}

timer_wheel::head& timer_wheel::list_of(const timer_entry& entry) noexcept {
  return entry.firing_ ? firing_ : slots_[entry.due_tick_ % kSlots];
}

void timer_wheel::link(timer_entry& entry) noexcept {
  head& list = list_of(entry);
  entry.prev_ = nullptr;
  entry.next_ = list.first;
  if (list.first != nullptr) list.first->prev_ = &entry;
  list.first = &entry;
  entry.wheel_ = this;
  ++armed_;
  if (!entry.firing_) {
    const std::size_t slot = entry.due_tick_ % kSlots;
    occupied_[slot / 64] |= std::uint64_t{1} << (slot % 64);
  }
}

void timer_wheel::unlink(timer_entry& entry) noexcept {
  assert(entry.wheel_ == this);
  head& list = list_of(entry);
  if (entry.prev_ != nullptr) {
    entry.prev_->next_ = entry.next_;
  } else {
    list.first = entry.next_;
  }
  if (entry.next_ != nullptr) entry.next_->prev_ = entry.prev_;
  if (!entry.firing_ && list.first == nullptr) {
    const std::size_t slot = entry.due_tick_ % kSlots;
    occupied_[slot / 64] &= ~(std::uint64_t{1} << (slot % 64));
  }
  entry.prev_ = entry.next_ = nullptr;
  entry.wheel_ = nullptr;
  entry.firing_ = false;
  --armed_;
}

void timer_wheel::arm(timer_entry& entry, steady_time when) noexcept {
  entry.disarm();
  if (when == steady_time::max() || (when > start_ && when - start_ > kHorizon)) return;
  const std::uint64_t due = tick_of(when);
  entry.due_tick_ = due > current_tick_ ? due : current_tick_ + 1;
  link(entry);
  if (entry.due_tick_ < requested_tick_) {
    requested_tick_ = entry.due_tick_;
    wake_at_(owner_, start_ + kTick * static_cast<std::int64_t>(requested_tick_));
  }
}

void timer_wheel::collect(std::size_t slot, std::uint64_t target) noexcept {
  for (timer_entry* entry = slots_[slot].first; entry != nullptr;) {
    timer_entry* next = entry->next_;
    if (entry->due_tick_ <= target) {
      unlink(*entry);
      entry->firing_ = true;
      link(*entry);
    }
    entry = next;
  }
}

void timer_wheel::advance(steady_time now) noexcept {
  const std::uint64_t target = now <= start_ ? 0 : static_cast<std::uint64_t>((now - start_) / kTick);
  // While entries fire nothing may ask for a wake-up: that is done once at the end.
  requested_tick_ = 0;
  if (target > current_tick_) {
    const std::uint64_t turns = target - current_tick_ < kSlots ? target - current_tick_ : kSlots;
    const std::uint64_t first = current_tick_ + 1;
    current_tick_ = target;
    for (std::uint64_t i = 0; i < turns; ++i) {
      const std::size_t slot = (first + i) % kSlots;
      if ((occupied_[slot / 64] >> (slot % 64) & 1U) == 0) continue;
      collect(slot, target);
      // The list shrinks from the front, so an entry may re-arm, disarm or destroy any other while it fires.
      while (firing_.first != nullptr) {
        timer_entry& entry = *firing_.first;
        unlink(entry);
        entry.fire_(entry.owner_);
      }
    }
  }
  requested_tick_ = kNoTick;
  request_wake();
}

void timer_wheel::request_wake() noexcept {
  if (armed_ == 0) return;
  // The next occupied slot. Its entries may belong to a later turn; then one wake-up is spent on looking.
  const std::size_t from = (current_tick_ + 1) % kSlots;
  constexpr std::size_t kWords = kSlots / 64;
  for (std::size_t i = 0; i <= kWords; ++i) {
    const std::size_t word = (from / 64 + i) % kWords;
    std::uint64_t bits = occupied_[word];
    if (i == 0) bits &= ~std::uint64_t{0} << (from % 64);
    if (bits == 0) continue;
    const std::size_t slot = word * 64 + static_cast<std::size_t>(std::countr_zero(bits));
    requested_tick_ = current_tick_ + 1 + (slot + kSlots - from) % kSlots;
    wake_at_(owner_, start_ + kTick * static_cast<std::int64_t>(requested_tick_));
    return;
  }
}

}  // namespace syncline::net
