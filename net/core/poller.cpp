#include "net/core/poller.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

namespace syncline::net {

namespace {

std::uint32_t events_of(poller::interest in) noexcept {
  const std::uint32_t input = std::uint32_t{EPOLLIN} | EPOLLRDHUP | EPOLLET;
  return in == poller::interest::input ? input : input | EPOLLOUT;
}

}  // namespace

poller::poller() : set_(::epoll_create1(EPOLL_CLOEXEC)) {
  if (set_ < 0) throw std::system_error(errno, std::generic_category(), "epoll_create1");
}

poller::~poller() {
  ::close(set_);
}

void poller::join(batch_part& part, std::shared_ptr<void> keep) {
  parts_.push_back({&part, std::move(keep)});
}

void poller::leave(batch_part& part) noexcept {
  const auto found = std::ranges::find(parts_, &part, &member::part);
  if (found == parts_.end()) return;
  const std::shared_ptr<void> last = std::move(found->keep);  // its end may come back to us
  parts_.erase(found);
}

void poller::forget_parts() noexcept {
  const std::vector<member> last = std::exchange(parts_, {});
}

bool poller::watch(int how, int descriptor, std::uint32_t events, poll_target& target) noexcept {
  epoll_event wanted{};
  wanted.events = events;
  wanted.data.ptr = &target;
  return ::epoll_ctl(set_, how, descriptor, &wanted) == 0;
}

bool poller::add(int descriptor, poll_target& target, interest in) noexcept {
  return watch(EPOLL_CTL_ADD, descriptor, events_of(in), target);
}

bool poller::change(int descriptor, poll_target& target, interest in) noexcept {
  return watch(EPOLL_CTL_MOD, descriptor, events_of(in), target);
}

bool poller::add_input(int descriptor, poll_target& target, edge how) noexcept {
  const std::uint32_t events = how == edge::level ? std::uint32_t{EPOLLIN} : std::uint32_t{EPOLLIN} | EPOLLET;
  return watch(EPOLL_CTL_ADD, descriptor, events, target);
}

void poller::remove(int descriptor) noexcept {
  ::epoll_ctl(set_, EPOLL_CTL_DEL, descriptor, nullptr);
}

void poller::forget(int descriptor, const poll_target& target) noexcept {
  remove(descriptor);
  for (int i = 0; i < fetched_; ++i) {
    epoll_event& seen = events_[static_cast<std::size_t>(i)];
    if (seen.data.ptr == &target) seen.data.ptr = nullptr;
  }
}

int poller::fetch(bool wait) noexcept {
  // What is ready beyond one fetch is still reported by the next, after others on the core had their turn. A
  // signal only makes an empty batch.
  fetched_ = std::max(::epoll_wait(set_, events_.data(), kEventsMax, wait ? -1 : 0), 0);
  return fetched_;
}

void poller::dispatch() noexcept {
  if (fetched_ == 0 && !again_) return;
  again_ = false;
  const steady_time now = std::chrono::steady_clock::now();
  for (const member& each : parts_) each.part->begin_batch(now);
  for (int i = 0; i < fetched_; ++i) {
    const epoll_event& seen = events_[static_cast<std::size_t>(i)];
    if (seen.data.ptr != nullptr) static_cast<poll_target*>(seen.data.ptr)->on_events(seen.events);
  }
  for (const member& each : parts_) each.part->end_batch();
}

}  // namespace syncline::net
