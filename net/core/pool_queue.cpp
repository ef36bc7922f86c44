#include "net/core/pool_queue.h"

#include <algorithm>
#include <cassert>

namespace syncline::net {

pool_queue::pool_queue(const std::array<std::uint32_t, kWorkClasses>& weights) noexcept {
  // A class without a reserve still has its turn: nobody starves.
  for (std::size_t i = 0; i < kWorkClasses; ++i) lines_[i].stride = 1'000'000 / std::max(1U, weights[i]);
}

void pool_queue::push(pool_waiter& waiter, steady_time now) noexcept {
  assert(!waiter.queued);
  line& mine = lines_[at(waiter.work)];
  if (mine.count == 0) mine.pass = std::max(mine.pass, pass_);
  if (total_ == 0) standing_since_ = now;
  waiter.previous = mine.last;
  waiter.next = nullptr;
  (mine.last != nullptr ? mine.last->next : mine.first) = &waiter;
  mine.last = &waiter;
  waiter.queued = true;
  ++mine.count;
  ++total_;
}

void pool_queue::remove(pool_waiter& waiter) noexcept {
  assert(waiter.queued);
  line& mine = lines_[at(waiter.work)];
  (waiter.previous != nullptr ? waiter.previous->next : mine.first) = waiter.next;
  (waiter.next != nullptr ? waiter.next->previous : mine.last) = waiter.previous;
  waiter.previous = waiter.next = nullptr;
  waiter.queued = false;
  --mine.count;
  --total_;
}

pool_queue::order pool_queue::turns() const noexcept {
  order out;
  for (std::size_t i = 0; i < kWorkClasses; ++i) {
    if (lines_[i].count != 0) out.classes[out.count++] = static_cast<work_class>(i);
  }
  std::sort(out.classes.begin(), out.classes.begin() + static_cast<std::ptrdiff_t>(out.count),
            [this](work_class a, work_class b) {
              const std::uint64_t pass_a = lines_[at(a)].pass;
              const std::uint64_t pass_b = lines_[at(b)].pass;
              return pass_a != pass_b ? pass_a < pass_b : a < b;
            });
  return out;
}

void pool_queue::took_turn(work_class work) noexcept {
  line& mine = lines_[at(work)];
  pass_ = std::max(pass_, mine.pass);
  mine.pass += mine.stride;
}

}  // namespace syncline::net
