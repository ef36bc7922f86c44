// What the files of net/core share about a core and the rest of the house does not see.
//
// Not for use outside net/core. Thread: the core itself, except deliver() and the count of root tasks.
#pragma once

#include <memory>
#include <string_view>

#include "net/core/core.h"

namespace syncline::net {

// One thing to do on a core; one allocation. The core deletes it after run(), or without run() once its loop
// has ended.
struct core_message {
  core_message() = default;
  core_message(const core_message&) = delete;
  core_message& operator=(const core_message&) = delete;
  virtual ~core_message() = default;
  virtual void run() = 0;

  core_message* next = nullptr;
};

// A suspended wait. While it is linked the core can find it, to destroy it when the loop ends: nobody else
// would, since a coroutine that waits for an event in its own frame is owned by itself.
struct core_waiter {
  core_waiter* previous = nullptr;
  core_waiter* next = nullptr;
  // Unlinks the waiter and destroys the coroutine that waits, without resuming it.
  void (*abandon)(core_waiter& self) noexcept = nullptr;
};

struct core_access {
  static void deliver(core& on, std::unique_ptr<core_message> message);
  static void link(core& on, core_waiter& waiter) noexcept;
  static void unlink(core& on, core_waiter& waiter) noexcept;
  static void count_uncaught(core& on) noexcept;
  // Where tasks run: their executor is this context's, and who resumes one posts to it. Each call is taken
  // for a post.
  [[nodiscard]] static boost::asio::io_context& ready(core& on) noexcept;
  static void root_begins(core& on) noexcept { on.tasks_in_flight_.fetch_add(1, std::memory_order_relaxed); }
  static void root_ended(core& on) noexcept { on.tasks_in_flight_.fetch_sub(1, std::memory_order_relaxed); }
};

// Logs and counts an exception that nobody caught; call it inside a catch block.
void note_uncaught(core& on, std::string_view where) noexcept;

}  // namespace syncline::net
