// Runs a task on a started core from a test's thread and waits for its result, with a bound.
#pragma once

#include <chrono>
#include <functional>
#include <future>
#include <thread>
#include <utility>

#include <gtest/gtest.h>

#include "net/core/core.h"
#include "net/core/task.h"

namespace syncline::net::testing {

inline constexpr std::chrono::seconds kTestWait{30};

inline steady_time in(std::chrono::milliseconds span) {
  return std::chrono::steady_clock::now() + span;
}

// Polls until `condition` holds; false when it did not within the bound.
template <class Condition>
[[nodiscard]] bool eventually(Condition condition, std::chrono::milliseconds within = kTestWait) {
  const auto until = std::chrono::steady_clock::now() + within;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

// Spawns `body()` and returns a future that is ready when it has ended. `body` is kept until then.
inline std::future<void> start_task(core& on, std::function<task<void>()> body) {
  auto ended = std::make_shared<std::promise<void>>();
  std::future<void> out = ended->get_future();
  auto wrapper = [](std::function<task<void>()> inner,
                    std::shared_ptr<std::promise<void>> promise) -> task<void> {
    co_await inner();
    promise->set_value();
  };
  spawn(on, wrapper(std::move(body), std::move(ended)));
  return out;
}

inline void run_task(core& on, std::function<task<void>()> body) {
  std::future<void> ended = start_task(on, std::move(body));
  ASSERT_EQ(ended.wait_for(kTestWait), std::future_status::ready) << "the task did not end";
  ended.get();
}

// Runs `function` on the core and waits for it.
inline void run_on(core& on, std::function<void()> function) {
  std::promise<void> done;
  on.post([&] {
    function();
    done.set_value();
  });
  ASSERT_EQ(done.get_future().wait_for(kTestWait), std::future_status::ready);
}

}  // namespace syncline::net::testing
