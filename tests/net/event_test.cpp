#include "net/core/event.h"

#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "net/core/blocking_threads.h"
#include "net/core/core.h"
#include "tests/net/run_task.h"

namespace syncline::net {
namespace {

using std::chrono::milliseconds;
using testing::eventually;
using testing::in;
using testing::run_on;
using testing::run_task;
using testing::start_task;

class EventTest : public ::testing::Test {
 protected:
  void SetUp() override { on_.start(); }
  core on_{0, false};
};

TEST_F(EventTest, ANotificationBeforeTheWaitIsRemembered) {
  run_task(on_, [this]() -> task<void> {
    request_context context(on_);
    event happened(on_);
    happened.notify();
    happened.notify();
    const auto first = co_await happened.wait(context, in(milliseconds(5000)));
    EXPECT_TRUE(first.has_value());
    const auto second = co_await happened.wait(context, in(milliseconds(20)));
    EXPECT_TRUE(second.has_error()) << "several notifications are one";
  });
}

TEST_F(EventTest, TheWaiterNeverRunsInsideNotify) {
  run_task(on_, [this]() -> task<void> {
    event happened(on_);
    event ended(on_);
    bool resumed = false;
    bool resumed_inside = false;
    auto waits = [&]() -> task<void> {
      request_context context(on_);
      EXPECT_TRUE((co_await happened.wait(context)).has_value());
      resumed = true;
      ended.notify();
    };
    spawn(on_, waits());
    while (!happened.waiting()) co_await yield_core();
    happened.notify();
    resumed_inside = resumed;
    EXPECT_FALSE(happened.waiting());
    request_context context(on_);
    EXPECT_TRUE((co_await ended.wait(context)).has_value());
    EXPECT_FALSE(resumed_inside);
  });
}

TEST_F(EventTest, ADeadlineAndATimeEndTheWaitAndItMayBeWaitedForAgain) {
  run_task(on_, [this]() -> task<void> {
    request_context context(on_);
    event happened(on_);
    const auto until = in(milliseconds(30));
    const auto by_time = co_await happened.wait(context, until);
    EXPECT_EQ(by_time.error().code, errc::timed_out);
    EXPECT_GE(std::chrono::steady_clock::now(), until) << "never early";
    context.set_deadline(in(milliseconds(30)));
    const auto by_deadline = co_await happened.wait(context);
    EXPECT_EQ(by_deadline.error().code, errc::timed_out);
    const auto at_once = co_await happened.wait(context);
    EXPECT_EQ(at_once.error().code, errc::timed_out) << "the deadline has passed";
    context.set_deadline(steady_time::max());
    on_.post([&happened] { happened.notify(); });
    EXPECT_TRUE((co_await happened.wait(context)).has_value());
    EXPECT_EQ(on_.timers().armed_count(), 0U);
  });
}

TEST_F(EventTest, CancelEndsTheWaitAndEveryLaterOne) {
  run_task(on_, [this]() -> task<void> {
    request_context context(on_);
    event happened(on_);
    on_.post([&context] {
      context.cancel();
      context.cancel();
    });
    const auto cancelled = co_await happened.wait(context, in(milliseconds(20'000)));
    EXPECT_EQ(cancelled.error().code, errc::cancelled);
    const auto again = co_await happened.wait(context);
    EXPECT_EQ(again.error().code, errc::cancelled);
    context.reset();
    happened.notify();
    EXPECT_TRUE((co_await happened.wait(context)).has_value());
  });
}

// A pool that handed a connection over must not lose it because the request was cancelled in the same round.
TEST_F(EventTest, ANotificationAfterTheCancellationIsKept) {
  run_task(on_, [this]() -> task<void> {
    request_context context(on_);
    event happened(on_);
    on_.post([&] {
      context.cancel();
      happened.notify();
    });
    const auto cancelled = co_await happened.wait(context);
    EXPECT_EQ(cancelled.error().code, errc::cancelled);
    EXPECT_TRUE((co_await happened.wait(context)).has_value());
  });
}

TEST_F(EventTest, AWaiterOutlivesItsEvent) {
  run_task(on_, [this]() -> task<void> {
    request_context context(on_);
    auto happened = std::make_unique<event>(on_);
    on_.post([&happened] { happened.reset(); });
    const auto ended = co_await happened->wait(context);
    EXPECT_EQ(ended.error().code, errc::cancelled);
  });
}

TEST_F(EventTest, OtherThreadsNotifyThroughTheCore) {
  run_task(on_, [this]() -> task<void> {
    request_context context(on_);
    auto happened = std::make_shared<event>(on_);
    std::thread other([this, happened] { on_.post([happened] { happened->notify(); }); });
    EXPECT_TRUE((co_await happened->wait(context)).has_value());
    other.join();
  });
}

TEST_F(EventTest, SleepTellsItsEndFromTheDeadline) {
  run_task(on_, [this]() -> task<void> {
    request_context context(on_);
    const auto when = in(milliseconds(20));
    EXPECT_TRUE((co_await sleep_until(context, when)).has_value());
    EXPECT_GE(std::chrono::steady_clock::now(), when);
    context.set_deadline(in(milliseconds(20)));
    EXPECT_EQ((co_await sleep_until(context, in(milliseconds(20'000)))).error().code, errc::timed_out);
  });
}

TEST_F(EventTest, YieldLetsOthersRun) {
  run_task(on_, [this]() -> task<void> {
    bool ran = false;
    on_.post([&ran] { ran = true; });
    for (int i = 0; i < 10 && !ran; ++i) co_await yield_core();
    EXPECT_TRUE(ran);
  });
}

// A coroutine with every kind of suspension we have, which says before each one that it is about to suspend.
struct sample {
  sample(core& c, blocking_threads& t) : on(c), threads(t), context(c), inbox(c) {}

  core& on;
  blocking_threads& threads;
  request_context context;
  event inbox;
  std::function<void(int)> about_to_suspend = [](int) {};
  int points = 0;
  int held = 0;  // what its destructors must give back
  result<void> ended = error(errc::internal, "it has not ended");

  struct hold {
    explicit hold(int& c) : count(c) { ++count; }
    ~hold() { --count; }
    hold(const hold&) = delete;
    hold& operator=(const hold&) = delete;
    int& count;
  };

  void point() { about_to_suspend(++points); }

  task<result<void>> nested(int depth) {
    const hold kept(held);
    if (depth > 0) {
      auto deeper = co_await nested(depth - 1);
      if (deeper.has_error()) co_return deeper;
    }
    point();
    on.post([this] { inbox.notify(); });
    co_return co_await inbox.wait(context);
  }

  task<result<void>> steps() {
    const hold kept(held);
    point();
    co_await yield_core();
    auto down = co_await nested(3);
    if (down.has_error()) co_return down;
    point();
    auto slept = co_await sleep_until(context, in(milliseconds(5)));
    if (slept.has_error()) co_return slept;
    point();
    std::function<void()> job = [] {};
    auto ran = co_await threads.run(context, std::move(job));
    if (ran.has_error()) co_return ran;
    point();
    event never(on);
    auto waited = co_await never.wait(context, in(milliseconds(5)));
    if (waited.has_error() && waited.error().code != errc::timed_out) co_return waited;
    point();
    co_await yield_core();
    co_return context.cancelled() ? result<void>(error(errc::cancelled, "seen at the end")) : result<void>();
  }

  task<void> root() { ended = co_await steps(); }
};

constexpr int kSamplePoints = 9;

TEST(EventCancellation, ASampleTaskEndsWhereverItIsCancelled) {
  core on(0, false);
  on.start();
  blocking_threads threads({.name = "sample", .threads = 1});
  for (int at = 0; at <= kSamplePoints + 1; ++at) {
    SCOPED_TRACE(at);
    sample one(on, threads);
    one.about_to_suspend = [&](int point) {
      // Posted while the task runs, so it arrives when the task is suspended (or, for a zero, comes before
      // the wait).
      if (point == at) on.post([&one] { one.context.cancel(); });
    };
    if (at == 0) one.context.cancel();
    run_task(on, [&one] { return one.root(); });
    run_on(on, [] {});  // what it posted to itself has arrived
    EXPECT_EQ(one.held, 0);
    if (at > kSamplePoints) {
      EXPECT_TRUE(one.ended.has_value()) << one.ended.error().text();
      EXPECT_EQ(one.points, kSamplePoints);
      continue;
    }
    // A cancellation that meets the notification already on its way may come too late for that point, not for
    // the next.
    ASSERT_TRUE(one.ended.has_error());
    EXPECT_EQ(one.ended.error().code, errc::cancelled);
    EXPECT_LE(one.points, at + 2);
  }
  run_on(on, [&on] { EXPECT_EQ(on.timers().armed_count(), 0U); });
  EXPECT_TRUE(eventually([&on] { return on.tasks_in_flight() == 0; }));
}

TEST(EventCancellation, ASampleTaskIsDestroyedWhereverTheCoreEnds) {
  for (int at = 1; at <= kSamplePoints; ++at) {
    SCOPED_TRACE(at);
    auto on = std::make_unique<core>(0, false);
    blocking_threads threads({.name = "sample", .threads = 1});
    auto one = std::make_unique<sample>(*on, threads);
    one->about_to_suspend = [&](int point) {
      if (point == at) on->stop();
    };
    spawn(*on, one->root());
    on->start();
    on->join();
    EXPECT_EQ(one->held, 0) << "every frame is gone when join() returns";
    EXPECT_EQ(on->tasks_in_flight(), 0U);
    EXPECT_FALSE(one->inbox.waiting());
    one.reset();
  }
}

}  // namespace
}  // namespace syncline::net
