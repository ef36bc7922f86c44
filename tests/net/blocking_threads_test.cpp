#include "net/core/blocking_threads.h"

#include <condition_variable>
#include <memory>
#include <mutex>
#include <stdexcept>

#include <gtest/gtest.h>

#include "net/core/core.h"
#include "perf/metrics.h"
#include "tests/net/run_task.h"
#include "tests/net/watched_memory.h"

namespace syncline::net {
namespace {

using testing::eventually;
using testing::run_task;
using testing::start_task;

// A door that a job waits behind until the test opens it.
class door {
 public:
  void pass() {
    std::unique_lock lock(mutex_);
    inside_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
  }
  void await_somebody() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return inside_; });
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
  bool inside_ = false;
};

TEST(BlockingThreads, RunsTheJobElsewhereAndResumesOnTheCore) {
  core on(0, false);
  on.start();
  blocking_threads threads({.name = "run", .threads = 2});
  run_task(on, [&]() -> task<void> {
    request_context context(on);
    core* seen = &on;
    std::function<void()> job = [&seen] { seen = core::current(); };
    EXPECT_TRUE((co_await threads.run(context, std::move(job))).has_value());
    EXPECT_EQ(seen, nullptr);
    EXPECT_EQ(core::current(), &on);
  });
}

TEST(BlockingThreads, RefusesAtOnceWhenTheQueueIsFull) {
  core on(0, false);
  on.start();
  door closed;
  const perf::counter rejected = perf::metrics::add_counter(
      "syncline_blocking_rejected_total", "Jobs refused because the queue was full.", {{"threads", "full"}});
  const std::uint64_t rejected_before = rejected.value();
  blocking_threads threads({.name = "full", .threads = 1, .queue_limit_jobs = 2});
  ASSERT_TRUE(threads.try_post([&] { closed.pass(); }));
  closed.await_somebody();
  EXPECT_TRUE(threads.try_post([] {}));
  EXPECT_TRUE(threads.try_post([] {}));
  EXPECT_EQ(threads.queued(), 2U);
  EXPECT_FALSE(threads.try_post([] {}));
  run_task(on, [&]() -> task<void> {
    request_context context(on);
    std::function<void()> job = [] { ADD_FAILURE(); };
    const auto refused = co_await threads.run(context, std::move(job));
    EXPECT_EQ(refused.error().code, errc::overloaded);
    EXPECT_GT(refused.error().retry_after_ms, 0U);
  });
  const std::string page = perf::metrics::scrape();
  EXPECT_NE(page.find("syncline_blocking_queue_jobs{threads=\"full\"} 2"), std::string::npos) << page;
  EXPECT_EQ(rejected.value(), rejected_before + 2);
  closed.open();
  EXPECT_TRUE(eventually([&] { return threads.queued() == 0; }));
}

TEST(BlockingThreads, ACallerThatLeavesDoesNotTakeTheJobWithIt) {
  core on(0, false);
  on.start();
  door closed;
  std::atomic<int> ran{0};
  blocking_threads threads({.name = "leave", .threads = 1});
  run_task(on, [&]() -> task<void> {
    request_context context(on);
    std::function<void()> held = [&] {
      closed.pass();
      ++ran;
    };
    on.post([&context] { context.cancel(); });
    EXPECT_EQ((co_await threads.run(context, std::move(held))).error().code, errc::cancelled);
    request_context hurried(on);
    hurried.set_deadline(std::chrono::steady_clock::now() + std::chrono::milliseconds(20));
    std::function<void()> second = [&ran] { ++ran; };
    EXPECT_EQ((co_await threads.run(hurried, std::move(second))).error().code, errc::timed_out);
  });
  closed.open();
  EXPECT_TRUE(eventually([&] { return ran.load() == 2; }));
}

TEST(BlockingThreads, AJobThatThrowsIsAnErrorOfTheCallerAndTheThreadGoesOn) {
  core on(0, false);
  on.start();
  blocking_threads threads({.name = "throw", .threads = 1});
  ASSERT_TRUE(threads.try_post([] { throw std::runtime_error("nobody sees this"); }));
  run_task(on, [&]() -> task<void> {
    request_context context(on);
    std::function<void()> bad = [] { throw std::runtime_error("the reason"); };
    const auto failed = co_await threads.run(context, std::move(bad));
    EXPECT_EQ(failed.error().code, errc::internal);
    EXPECT_EQ(failed.error().detail, "the reason");
    std::function<void()> good = [] {};
    EXPECT_TRUE((co_await threads.run(context, std::move(good))).has_value());
  });
}

TEST(BlockingThreads, WhicheverAllocationOfTheThreadFailsTheCallerIsTold) {
  namespace memory = syncline::testing::memory;
  core on(0, false);
  on.start();
  blocking_threads threads({.name = "short", .threads = 1});
  std::uint64_t nth = 0;
  for (bool more = true; more;) {
    SCOPED_TRACE(++nth);
    memory::fail_nth("short-0", nth);
    for (const bool throws : {false, true}) {
      run_task(on, [&threads, &on, throws]() -> task<void> {
        request_context context(on);
        std::function<void()> job = [throws] {
          static_cast<void>(std::make_unique<std::string>(100, 'x'));
          if (throws) throw std::runtime_error("a reason that does not fit into a small string");
        };
        const auto ended = co_await threads.run(context, std::move(job));
        if (ended.has_error()) {
          EXPECT_TRUE(ended.error().code == errc::internal || ended.error().code == errc::overloaded);
        } else {
          EXPECT_FALSE(throws);
        }
      });
      ASSERT_FALSE(::testing::Test::HasFailure());
    }
    more = memory::nth_failed();
    memory::fail_nth({}, 0);
  }
  EXPECT_GT(nth, 3U) << "the test proves nothing";
}

TEST(BlockingThreads, RunsWhatIsQueuedBeforeItGoes) {
  std::atomic<int> ran{0};
  {
    blocking_threads threads({.name = "drain", .threads = 2});
    for (int i = 0; i < 500; ++i) ASSERT_TRUE(threads.try_post([&ran] { ++ran; }));
  }
  EXPECT_EQ(ran.load(), 500);
}

TEST(BlockingThreads, ManyTasksOfManyCoresShareThem) {
  core_group cores({.cores = 3, .pin = false});
  cores.start();
  blocking_threads threads({.name = "many", .threads = 3, .queue_limit_jobs = 10'000});
  std::vector<std::future<void>> all;
  std::atomic<int> ran{0};
  for (std::size_t i = 0; i < 300; ++i) {
    core& on = cores.at(i % 3);
    all.push_back(start_task(on, [&on, &threads, &ran]() -> task<void> {
      request_context context(on);
      for (int n = 0; n < 10; ++n) {
        std::function<void()> job = [&ran] { ++ran; };
        EXPECT_TRUE((co_await threads.run(context, std::move(job))).has_value());
      }
    }));
  }
  for (auto& each : all) ASSERT_EQ(each.wait_for(testing::kTestWait), std::future_status::ready);
  EXPECT_EQ(ran.load(), 3000);
  cores.stop();
}

// The core ends while jobs that will answer to its tasks still run.
TEST(BlockingThreads, AJobMayEndAfterTheCoreOfItsCaller) {
  auto on = std::make_unique<core>(0, false);
  on->start();
  door closed;
  auto threads = std::make_unique<blocking_threads>(blocking_threads_options{.name = "late", .threads = 1});
  auto waits = [](core& mine, blocking_threads& t, door& d) -> task<void> {
    request_context context(mine);
    std::function<void()> job = [&d] { d.pass(); };
    static_cast<void>(co_await t.run(context, std::move(job)));
    ADD_FAILURE() << "it was resumed";
  };
  spawn(*on, waits(*on, *threads, closed));
  closed.await_somebody();
  on->stop();
  on->join();
  EXPECT_EQ(on->tasks_in_flight(), 0U);
  closed.open();
  threads.reset();
  on.reset();
}

}  // namespace
}  // namespace syncline::net
