// L1 while memory is short: whichever allocation fails, all who wait get an answer, and the cache is as
// before.
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <future>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cache/l1.h"
#include "net/core/core.h"
#include "net/core/event.h"
#include "tests/net/run_task.h"
#include "tests/net/watched_memory.h"

namespace syncline::cache {
namespace {

namespace memory = syncline::testing::memory;
using net::core_group;
using net::errc;
using net::request_context;
using net::result;
using net::task;
using net::testing::eventually;
using net::testing::kTestWait;
using net::testing::start_task;
using values_result = result<std::vector<value_ptr>>;

constexpr std::size_t kBytesMax = 40'000;
constexpr std::size_t kValueBytes = 2000;

// Values of one size, read after some turns of the core in which others join the load.
struct slow_loader : batch_loader {
  task<values_result> load(request_context&, std::vector<std::string> keys) override {
    for (int turn = 0; turn < 20; ++turn) co_await net::yield_core();
    if (out_of_memory.load()) throw std::bad_alloc();
    if (faulty.load()) throw std::runtime_error("a fault of the loader");
    std::vector<value_ptr> out;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      auto made = std::make_shared<value>();
      made->body.assign(kValueBytes, 'x');
      made->position = 1;
      out.push_back(std::move(made));
    }
    co_return out;
  }
  std::atomic<bool> out_of_memory{false}, faulty{false};
};

// One get_many() on a core.
struct asked {
  std::future<void> ended;  // broken when the task itself died of the exception
  std::shared_ptr<values_result> got =
      std::make_shared<values_result>(net::error(errc::internal, "no answer"));

  // Whether it got its values. An error must be one that a client may try again.
  bool answered() {
    if (ended.wait_for(kTestWait) != std::future_status::ready) {
      ADD_FAILURE() << "a caller waits for ever";
      return false;
    }
    try {
      ended.get();
    } catch (const std::future_error&) {
      return false;
    }
    if (got->has_error()) {
      EXPECT_EQ(got->error().code, errc::overloaded) << got->error().text();
      EXPECT_GT(got->error().retry_after_ms, 0U);
      return false;
    }
    for (const value_ptr& each : **got) EXPECT_TRUE(each != nullptr && each->body.size() == kValueBytes);
    return true;
  }
};

class L1Memory : public ::testing::Test {
 protected:
  void SetUp() override { cores_.start(); }
  void TearDown() override {
    memory::fail_nth({}, 0);
    cores_.stop();
  }
  asked ask(std::size_t core, std::vector<std::string> keys) {
    asked out;
    net::core& on = cores_.at(core);
    out.ended = start_task(on, [this, &on, keys = std::move(keys), got = out.got]() -> task<void> {
      request_context context(on);
      context.request_id = "an id that does not fit into a small string";
      std::vector<std::string> wanted = keys;
      *got = co_await cache_.get_many(context, std::move(wanted), loader_);
    });
    return out;
  }
  bool idle() {
    return eventually(
        [this] { return cores_.at(0).tasks_in_flight() + cores_.at(1).tasks_in_flight() == 0; });
  }
  // How many entries the empty cache takes before one has to go: fewer when bytes are counted that nothing
  // holds. Leaves it empty.
  std::uint64_t room() {
    cache_.clear(0);
    EXPECT_EQ(cache_.read_figures().bytes, 0U);
    const std::uint64_t before = cache_.read_figures().evictions;
    for (int i = 0; cache_.read_figures().evictions == before && i < 1000; ++i) {
      EXPECT_TRUE(ask(0, {"filler" + std::to_string(i)}).answered());
    }
    const std::uint64_t out = cache_.read_figures().entries;
    cache_.clear(0);
    return out;
  }

  slow_loader loader_;
  l1 cache_{l1_options{.bytes_max = kBytesMax, .stripes = 2}};
  core_group cores_{{.cores = 2, .pin = false}};
};

TEST_F(L1Memory, WhicheverAllocationFailsAllWhoWaitAreAnsweredAndTheCacheIsAsBefore) {
  const std::uint64_t clean = room();
  ASSERT_GT(clean, 10U);
  const std::vector<std::string> keys{"key a, longer than a small string is", "key b", "key c"};
  std::uint64_t nth = 0;
  std::uint64_t unanswered = 0;
  for (bool more = true; more;) {
    SCOPED_TRACE(++nth);
    memory::fail_nth("core-", nth);
    std::array<asked, 4> calls{ask(0, {keys[0], keys[1]}), ask(0, {keys[1], keys[2]}),
                               ask(1, {keys[0], keys[2]}), ask(1, keys)};
    for (asked& each : calls) unanswered += each.answered() ? 0U : 1U;
    if (HasFailure()) return;
    ASSERT_TRUE(idle());
    more = memory::nth_failed();
    memory::fail_nth({}, 0);

    for (std::size_t core = 0; core < 2; ++core) ASSERT_TRUE(ask(core, keys).answered());
    ASSERT_EQ(cache_.read_figures().entries, keys.size());
    if (nth % 16 == 0 || !more) {
      ASSERT_EQ(room(), clean);
    }
    cache_.clear(0);
  }
  EXPECT_GT(nth, 20U) << "hardly anything was refused: the test proves nothing";
  EXPECT_GT(unanswered, 0U);
}

TEST_F(L1Memory, ALoaderThatThrowsFailsAllWhoWaitAndTheNextCallerLoadsAnew) {
  for (std::atomic<bool>* fault : {&loader_.out_of_memory, &loader_.faulty}) {
    fault->store(true);
    std::array<asked, 2> calls{ask(0, {"k"}), ask(1, {"k"})};
    for (asked& each : calls) {
      ASSERT_EQ(each.ended.wait_for(kTestWait), std::future_status::ready);
      ASSERT_TRUE(each.got->has_error());
      const net::error& why = each.got->error();
      if (fault == &loader_.out_of_memory) {
        EXPECT_EQ(why.code, errc::overloaded);
        EXPECT_GT(why.retry_after_ms, 0U);
      } else {
        EXPECT_EQ(why.code, errc::internal);
        EXPECT_EQ(why.detail, "a fault of the loader");
      }
    }
    fault->store(false);
    EXPECT_TRUE(ask(1, {"k"}).answered());
    cache_.clear(0);
  }
}

}  // namespace
}  // namespace syncline::cache
