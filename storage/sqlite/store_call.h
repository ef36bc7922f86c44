// What a caller on a core and a storage thread share: the event the caller waits for, and the answer.
//
// Use it for one call of the store. Thread: the caller touches `done` and, after it was notified, the answer;
// the storage thread writes the answer once, before complete(). Bound: the queues that hold calls.
// Failure: a caller that stops waiting (deadline, cancellation) says so in `abandoned` and leaves the rest to
// the storage thread.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include "net/core/remote_event.h"
#include "net/core/request_context.h"
#include "net/core/task.h"

namespace syncline::storage::sqlite {

struct call_base {
  explicit call_base(net::request_context& context)
      : done(context.on()),
        deadline(context.deadline()),
        work(context.work()),
        queued_at(std::chrono::steady_clock::now()) {}
  call_base(const call_base&) = delete;
  call_base& operator=(const call_base&) = delete;
  virtual ~call_base() = default;
  virtual void fail(net::error why) noexcept = 0;
  // Nobody would take the answer any more.
  [[nodiscard]] bool dead(net::steady_time now) const noexcept {
    return abandoned.load(std::memory_order_relaxed) || now >= deadline;
  }

  net::remote_event done;
  const net::steady_time deadline;
  const net::work_class work;
  const net::steady_time queued_at;
  std::atomic<bool> abandoned{false};
};

template <class T>
struct store_call : call_base {
  using call_base::call_base;
  void fail(net::error why) noexcept override { answer.emplace(std::move(why)); }
  std::optional<net::result<T>> answer;
};

// Wakes the caller, who finds the answer; needs no memory.
inline void complete(const std::shared_ptr<call_base>& call) noexcept {
  call->done.notify(call);
}

// A coroutine that ends with the answer of `made`, which is queued already.
template <class T>
net::task<net::result<T>> answer_of(net::request_context& context, std::shared_ptr<store_call<T>> made) {
  const net::result<void> waited = co_await made->done.wait(context);
  const auto spent = std::chrono::steady_clock::now() - made->queued_at;
  context.stage_us[static_cast<std::size_t>(net::stage::storage)] +=
      static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::microseconds>(spent).count());
  if (waited.has_error()) {
    made->abandoned.store(true, std::memory_order_relaxed);
    co_return waited.error();
  }
  co_return std::move(*made->answer);
}

}  // namespace syncline::storage::sqlite
