// Background work that an exception meets goes on, and its end can be waited for. No server is needed.
#include "storage/mysql/lasting_task.h"

#include <atomic>
#include <new>
#include <stdexcept>

#include <gtest/gtest.h>

#include "net/core/core.h"
#include "net/core/event.h"
#include "storage/mysql/periodic_work.h"
#include "tests/net/run_task.h"

namespace syncline::storage::mysql {
namespace {

using net::testing::eventually;

TEST(LastingTask, ABodyThatThrowsIsBegunAgainAndStopWaitsForItsEnd) {
  net::core on(0, false);
  on.start();
  std::atomic<int> begun{0};
  bool stopping = false;  // the core's
  net::request_context context(on);
  net::event wake(on);
  std::atomic<bool> ended{false};
  lasting_task task(
      on, "test",
      [&]() -> net::task<void> {
        if (++begun == 1) throw std::runtime_error("before its first suspension");
        co_await net::yield_core();
        if (begun == 2) throw std::bad_alloc();
        while (!stopping) static_cast<void>(co_await wake.wait(context));
        ended = true;
      },
      [&] {
        stopping = true;
        context.cancel();
        wake.notify();
      });
  task.start();
  ASSERT_TRUE(eventually([&] { return begun == 3; }));
  task.stop();
  EXPECT_TRUE(ended);
  on.stop();
  on.join();
}

TEST(LastingTask, PeriodicWorkThatThrowsIsDoneAgainAndCanBeStopped) {
  net::core on(0, false);
  on.start();
  std::atomic<int> tried{0};
  periodic_work work(
      on, "test", std::chrono::milliseconds(1),
      [&](net::request_context&) -> net::task<net::result<std::unique_ptr<sql_connection>>> {
        ++tried;
        throw std::bad_alloc();
        co_return net::error();
      },
      [](net::request_context&, sql_connection&) -> net::task<net::result<void>> {
        co_return net::result<void>();
      });
  work.start();
  EXPECT_TRUE(eventually([&] { return tried >= 3; }));
  work.stop();
  on.stop();
  on.join();
}

}  // namespace
}  // namespace syncline::storage::mysql
