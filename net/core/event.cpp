#include "net/core/event.h"

#include <cassert>
#include <memory>
#include <tuple>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "net/core/core_access.h"

namespace syncline::net {

namespace {

constexpr boost::asio::use_awaitable_t<boost::asio::io_context::executor_type> kAwait;

}  // namespace

// The suspended wait: a completion handler whose type is known only to start(). It lives from suspension
// until finish() or until the core ends, whichever comes first; after that nothing refers to the event, which
// may be gone before the coroutine runs again.
struct event::waiter : core_waiter {
  event* owner = nullptr;
  request_context* context = nullptr;
  // Frees the waiter; posts its handler with `how`, or only destroys it when `how` is null.
  void (*release)(waiter& self, const outcome* how) = nullptr;

  void unlink() noexcept {
    owner->waiter_ = nullptr;
    owner->timer_.disarm();
    context->waiting_ = nullptr;
    core_access::unlink(*owner->core_, *this);
  }

  template <class Handler>
  struct holding;

  template <class Handler>
  static void start(event& owner, request_context& context, steady_time until, Handler handler);
};

template <class Handler>
struct event::waiter::holding final : event::waiter {
  using allocator = typename std::allocator_traits<
      boost::asio::associated_allocator_t<Handler>>::template rebind_alloc<holding>;

  explicit holding(Handler h) : handler(std::move(h)) {}

  static void free(waiter& self, const outcome* how) {
    auto& mine = static_cast<holding&>(self);
    core& on = *mine.owner->core_;
    Handler handler(std::move(mine.handler));
    allocator memory(boost::asio::get_associated_allocator(handler));
    std::allocator_traits<allocator>::destroy(memory, &mine);
    std::allocator_traits<allocator>::deallocate(memory, &mine, 1);
    if (how == nullptr) return;
    boost::asio::post(core_access::ready(on),
                      [handler = std::move(handler), how = *how]() mutable { std::move(handler)(how); });
  }

  Handler handler;
};

template <class Handler>
void event::waiter::start(event& owner, request_context& context, steady_time until, Handler handler) {
  using held = holding<Handler>;
  typename held::allocator memory(boost::asio::get_associated_allocator(handler));
  held* const made = std::allocator_traits<typename held::allocator>::allocate(memory, 1);
  std::allocator_traits<typename held::allocator>::construct(memory, made, std::move(handler));
  made->owner = &owner;
  made->context = &context;
  made->release = &held::free;
  made->abandon = [](core_waiter& self) noexcept {
    auto& mine = static_cast<waiter&>(self);
    mine.unlink();
    mine.release(mine, nullptr);
  };
  owner.waiter_ = made;
  context.waiting_ = &owner;
  core_access::link(*owner.core_, *made);
  if (until != steady_time::max()) owner.core_->timers().arm(owner.timer_, until);
}

event::event(core& on) noexcept
    : core_(&on),
      timer_([](void* owner) noexcept { static_cast<event*>(owner)->finish(outcome::timed_out); }, this) {}

event::~event() {
  // Who waits for an event that dies is told so; it does not touch the event again.
  if (waiter_ != nullptr) finish(outcome::cancelled);
}

void event::finish(outcome how) noexcept {
  waiter& ended = *waiter_;
  ended.unlink();
  ended.release(ended, &how);
}

void event::notify() noexcept {
  assert(core::current() == nullptr || core::current() == core_);
  if (waiter_ != nullptr) {
    finish(outcome::notified);
  } else {
    notified_ = true;
  }
}

task<result<void>> event::wait(request_context& context, steady_time until) {
  assert(waiter_ == nullptr && context.waiting_ == nullptr);
  // What was notified comes first: a wake-up that hands something over must not be lost to a cancellation.
  if (std::exchange(notified_, false)) co_return result<void>();
  if (context.cancelled()) co_return error(errc::cancelled, "the request was cancelled");
  if (context.deadline() < until) until = context.deadline();
  if (until != steady_time::max() && std::chrono::steady_clock::now() >= until) {
    co_return error(errc::timed_out, "the deadline passed");
  }
  auto initiate = [](auto handler, event* self, request_context* asking, steady_time when) {
    waiter::start(*self, *asking, when, std::move(handler));
  };
  auto token = boost::asio::as_tuple(kAwait);
  event* self = this;
  request_context* asking = &context;
  const auto [how] = co_await boost::asio::async_initiate<decltype(token), void(outcome)>(
      std::move(initiate), token, self, asking, until);
  // Neither `this` nor `context` is touched from here on: the event may have died with its owner.
  if (how == outcome::timed_out) co_return error(errc::timed_out, "the deadline passed");
  if (how == outcome::cancelled) co_return error(errc::cancelled, "the request was cancelled");
  co_return result<void>();
}

task<result<void>> sleep_until(request_context& context, steady_time when) {
  event never(context.on());
  const bool until_deadline = context.deadline() < when;
  result<void> ended = co_await never.wait(context, when);
  if (ended.has_error() && ended.error().code == errc::timed_out && !until_deadline) co_return result<void>();
  co_return ended;
}

task<void> yield_core() {
  static_cast<void>(core_access::ready(*core::current()));
  co_await boost::asio::post(kAwait);
}

}  // namespace syncline::net
