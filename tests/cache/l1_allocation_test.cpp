// A hit of L1 allocates nothing. Counted below the allocator: Asio and shared pointers may use aligned_alloc,
// which a counting operator new does not see. Not under sanitizers, which bring their own allocator.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cache/l1.h"
#include "net/core/core.h"
#include "tests/net/run_task.h"

extern "C" {
// glibc's own entry points behind the names that are replaced here.
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
}

namespace {
thread_local std::uint64_t allocations = 0;
}

extern "C" {
void* malloc(std::size_t bytes) {
  ++allocations;
  return __libc_malloc(bytes);
}
void* calloc(std::size_t count, std::size_t bytes) {
  ++allocations;
  return __libc_calloc(count, bytes);
}
void* realloc(void* old, std::size_t bytes) {
  ++allocations;
  return __libc_realloc(old, bytes);
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
  ++allocations;
  return __libc_memalign(alignment, bytes);
}
int posix_memalign(void** out, std::size_t alignment, std::size_t bytes) {
  ++allocations;
  *out = __libc_memalign(alignment, bytes);
  return *out == nullptr ? ENOMEM : 0;
}
}

namespace syncline::cache {
namespace {

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
  const std::uint64_t before_counting = allocations;
  static_cast<void>(std::make_unique<std::string>(100, 'x'));
  ASSERT_GT(allocations, before_counting) << "the counter is not in place";

  const std::uint64_t before = allocations;
  std::size_t bytes = 0;
  for (int i = 0; i < 1000; ++i) {
    const value_ptr hit = cache.find(key);
    if (hit != nullptr) bytes += hit->body.size();
    if (cache.find("a key that is not there, and as long as the other one") != nullptr) ++bytes;
  }
  EXPECT_EQ(allocations, before);
  EXPECT_EQ(bytes, 2'000'000U);
  on.stop();
  on.join();
}

}  // namespace
}  // namespace syncline::cache

#endif
