#include "net/core/event.h"

#include <cassert>
#include <cstddef>
#include <memory>
#include <new>
#include <tuple>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "net/core/core_access.h"

namespace syncline::net {

namespace {

constexpr boost::asio::use_awaitable_t<boost::asio::io_context::executor_type> kAwait;

// What Asio adds to a handler that it keeps until it runs: the links, the function and our allocator.
constexpr std::size_t kPostedBytes = 64;

// An allocator of one block of `Bytes`, which it then owns: what a wait that ended posts lies where the wait
// itself was kept, so that to end it needs no memory.
template <class T, std::size_t Bytes>
class kept_memory {
 public:
  using value_type = T;
  template <class U>
  struct rebind {
    using other = kept_memory<U, Bytes>;
  };
  explicit kept_memory(void* block) noexcept : block_(block) {}
  template <class U>
  kept_memory(const kept_memory<U, Bytes>& other) noexcept : block_(other.block()) {}

  [[nodiscard]] T* allocate(std::size_t) noexcept {  // one
    static_assert(sizeof(T) <= Bytes);
    return static_cast<T*>(block_);
  }
  void deallocate(T*, std::size_t) noexcept { ::operator delete(block_); }
  [[nodiscard]] void* block() const noexcept { return block_; }
  template <class U>
  [[nodiscard]] bool operator==(const kept_memory<U, Bytes>& other) const noexcept {
    return block_ == other.block();
  }

 private:
  void* block_;
};

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
  // What Asio posts.
  struct resumption {
    using allocator_type = kept_memory<void, sizeof(waiter) + sizeof(Handler) + kPostedBytes>;
    [[nodiscard]] allocator_type get_allocator() const noexcept { return allocator_type(block); }
    void operator()() { std::move(handler)(how); }

    Handler handler;
    outcome how;
    void* block;
  };
  static constexpr std::size_t kBytes = sizeof(waiter) + sizeof(Handler) + kPostedBytes;

  explicit holding(Handler h) : handler(std::move(h)) {}

  static void free(waiter& self, const outcome* how) {
    static_assert(sizeof(holding) <= kBytes && alignof(holding) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);
    auto& mine = static_cast<holding&>(self);
    core& on = *mine.owner->core_;
    Handler handler(std::move(mine.handler));
    mine.~holding();
    if (how == nullptr) return ::operator delete(&mine);
    boost::asio::post(core_access::ready(on), resumption{std::move(handler), *how, &mine});
  }

  Handler handler;
};

template <class Handler>
void event::waiter::start(event& owner, request_context& context, steady_time until, Handler handler) {
  using held = holding<Handler>;
  auto* const made = new (::operator new(held::kBytes)) held(std::move(handler));
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
