#include "net/core/poller.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>

namespace syncline::net {

struct poller::waiting {
  using descriptor = boost::asio::posix::basic_stream_descriptor<boost::asio::io_context::executor_type>;
  waiting(boost::asio::io_context& io, int set) : watched(io.get_executor(), set) {}
  descriptor watched;
  std::function<void()> before_batch, after_batch;
  std::array<epoll_event, kEventsMax> events;
};

poller::poller() : set_(::epoll_create1(EPOLL_CLOEXEC)) {
  if (set_ < 0) throw std::system_error(errno, std::generic_category(), "epoll_create1");
}

poller::~poller() {
  if (waiting_ == nullptr) ::close(set_);  // else the descriptor object closes it
}

void poller::start(boost::asio::io_context& io, std::shared_ptr<void> keep,
                   std::function<void()> before_batch, std::function<void()> after_batch) {
  waiting_ = std::make_unique<waiting>(io, set_);
  waiting_->before_batch = std::move(before_batch);
  waiting_->after_batch = std::move(after_batch);
  wait(std::move(keep));
}

void poller::stop() {
  stopped_ = true;
  if (waiting_ != nullptr) waiting_->watched.cancel();
}

bool poller::watch(int how, int descriptor, poll_target& target) noexcept {
  epoll_event wanted{};
  wanted.events = static_cast<std::uint32_t>(EPOLLIN) | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  wanted.data.ptr = &target;
  return ::epoll_ctl(set_, how, descriptor, &wanted) == 0;
}

bool poller::add(int descriptor, poll_target& target) noexcept {
  return watch(EPOLL_CTL_ADD, descriptor, target);
}

bool poller::change(int descriptor, poll_target& target) noexcept {
  return watch(EPOLL_CTL_MOD, descriptor, target);
}

void poller::remove(int descriptor) noexcept {
  ::epoll_ctl(set_, EPOLL_CTL_DEL, descriptor, nullptr);
}

void poller::wait(std::shared_ptr<void> keep) {
  waiting_->watched.async_wait(
      boost::asio::posix::descriptor_base::wait_read,
      [this, keep = std::move(keep)](const boost::system::error_code& failure) mutable {
        if (failure || stopped_) return;
        dispatch();
        if (!stopped_) wait(std::move(keep));
      });
}

void poller::dispatch() {
  // What is ready beyond one fetch is still reported by the next wait, after others on the core had their
  // turn.
  const int n = ::epoll_wait(set_, waiting_->events.data(), kEventsMax, 0);
  if (n <= 0) return;
  waiting_->before_batch();
  for (int i = 0; i < n; ++i) {
    const epoll_event& seen = waiting_->events[static_cast<std::size_t>(i)];
    static_cast<poll_target*>(seen.data.ptr)->on_events(seen.events);
  }
  waiting_->after_batch();
}

}  // namespace syncline::net
