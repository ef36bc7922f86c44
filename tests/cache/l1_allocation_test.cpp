// A hit of L1 allocates nothing. Not under sanitizers, which have their own allocator.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cache/l1.h"
#include "net/core/core.h"
#include "tests/net/run_task.h"
#include "tests/net/watched_memory.h"

namespace syncline::cache {
namespace {

namespace memory = syncline::testing::memory;
using net::request_context;
using net::result;
using net::task;

struct one_value_loader : batch_loader {
  task<result<std::vector<value_ptr>>> load(request_context&, std::vector<std::string> keys) override {
    auto made = std::make_shared<value>();
    made->body = std::string(2000, 'x');
    made->etag = "\"a long enough entity tag\"";
    co_return std::vector<value_ptr>(keys.size(), made);
  }
};

TEST(L1Allocation, AHitAllocatesNothing) {
  net::core on(0, false);
  on.start();
  one_value_loader loader;
  l1 cache({.bytes_max = 1024 * 1024, .stripes = 4});
  const std::string key = "a key that does not fit into a small string: users/1234567";
  net::testing::run_task(on, [&]() -> task<void> {
    request_context context(on);
    std::vector<std::string> keys{key};
    EXPECT_TRUE((co_await cache.get_many(context, std::move(keys), loader)).has_value());
  });
  const std::uint64_t before_counting = memory::of_this_thread();
  static_cast<void>(std::make_unique<std::string>(100, 'x'));
  ASSERT_GT(memory::of_this_thread(), before_counting) << "the counter is not in place";

  const std::uint64_t before = memory::of_this_thread();
  std::size_t bytes = 0;
  for (int i = 0; i < 1000; ++i) {
    const value_ptr hit = cache.find(key);
    if (hit != nullptr) bytes += hit->body.size();
    if (cache.find("a key that is not there, and as long as the other one") != nullptr) ++bytes;
  }
  EXPECT_EQ(memory::of_this_thread(), before);
  EXPECT_EQ(bytes, 2'000'000U);
  on.stop();
  on.join();
}

}  // namespace
}  // namespace syncline::cache

#endif
