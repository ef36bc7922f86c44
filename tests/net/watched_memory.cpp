#include "tests/net/watched_memory.h"

#include <pthread.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>

#include "net/core/core.h"

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && defined(__GLIBC__)
#define SYNCLINE_COUNTS_ALLOCATIONS 1
#else
#define SYNCLINE_COUNTS_ALLOCATIONS 0
#endif

namespace {

std::atomic<bool> counting{false};
std::atomic<std::uint64_t> core_allocations{0};
thread_local std::uint64_t thread_allocations = 0;
std::atomic<unsigned> failing_every{0};
std::atomic<std::uint64_t> asked{0}, refused{0};
std::atomic<std::uint64_t> left_until_nth{0};  // 0: none is to fail
std::mutex nth_mutex;                          // nth_thread
std::array<char, 16> nth_thread{};
std::atomic<bool> nth_was_refused{false};

[[maybe_unused]] void note() noexcept {
  ++thread_allocations;
  if (counting.load(std::memory_order_relaxed) && syncline::net::core::current() != nullptr)
    ++core_allocations;
}

bool is_nth() noexcept {
  std::uint64_t left = left_until_nth.load(std::memory_order_acquire);
  if (left == 0) return false;
  std::array<char, 16> name{};
  if (pthread_getname_np(pthread_self(), name.data(), name.size()) != 0) return false;
  {
    const std::lock_guard lock(nth_mutex);
    if (std::strncmp(name.data(), nth_thread.data(), std::strlen(nth_thread.data())) != 0) return false;
  }
  while (left != 0 && !left_until_nth.compare_exchange_weak(left, left - 1)) {
  }
  if (left != 1) return false;
  nth_was_refused.store(true);
  return true;
}

bool fails_now() noexcept {
  if (is_nth()) return true;
  const unsigned every = failing_every.load(std::memory_order_relaxed);
  if (every == 0 || syncline::net::core::current() == nullptr) return false;
  if (asked.fetch_add(1, std::memory_order_relaxed) % every != 0) return false;
  refused.fetch_add(1, std::memory_order_relaxed);
  return true;
}

}  // namespace

namespace syncline::testing::memory {

bool counts() noexcept {
  return SYNCLINE_COUNTS_ALLOCATIONS != 0;
}
std::uint64_t of_this_thread() noexcept {
  return thread_allocations;
}
void count_cores(bool on) noexcept {
  counting = on;
}
std::uint64_t of_cores() noexcept {
  return core_allocations;
}
void fail_on_cores(unsigned every) noexcept {
  failing_every = every;
}
std::uint64_t failed() noexcept {
  return refused;
}
void fail_nth(std::string_view thread, std::uint64_t n) noexcept {
  left_until_nth.store(0);
  nth_was_refused.store(false);
  {
    const std::lock_guard lock(nth_mutex);
    nth_thread.fill(0);
    thread.copy(nth_thread.data(), nth_thread.size() - 1);
  }
  left_until_nth.store(n, std::memory_order_release);
}
bool nth_failed() noexcept {
  return nth_was_refused.load();
}

}  // namespace syncline::testing::memory

#if SYNCLINE_COUNTS_ALLOCATIONS
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

void* malloc(std::size_t n) {
  note();
  return __libc_malloc(n);
}
void* calloc(std::size_t n, std::size_t size) {
  note();
  return __libc_calloc(n, size);
}
void* realloc(void* old, std::size_t n) {
  note();
  return __libc_realloc(old, n);
}
void* aligned_alloc(std::size_t alignment, std::size_t n) {
  note();
  return is_nth() ? nullptr : __libc_memalign(alignment, n);
}
int posix_memalign(void** out, std::size_t alignment, std::size_t n) {
  note();
  *out = __libc_memalign(alignment, n);
  return *out == nullptr ? ENOMEM : 0;
}
}
#endif

// Every form, since a sanitizer has its own of each and would see a mismatch. Not inlined: where only one of
// a pair is, the compiler sees one too.
[[gnu::noinline]] void* operator new(std::size_t n, const std::nothrow_t&) noexcept {
  return fails_now() ? nullptr : std::malloc(n == 0 ? 1 : n);
}
[[gnu::noinline]] void* operator new(std::size_t n) {
  void* const out = operator new(n, std::nothrow);
  if (out == nullptr) throw std::bad_alloc();
  return out;
}
[[gnu::noinline]] void* operator new[](std::size_t n) {
  return operator new(n);
}
[[gnu::noinline]] void* operator new[](std::size_t n, const std::nothrow_t&) noexcept {
  return operator new(n, std::nothrow);
}
[[gnu::noinline]] void operator delete(void* p) noexcept {
  std::free(p);
}
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept {
  std::free(p);
}
[[gnu::noinline]] void operator delete(void* p, const std::nothrow_t&) noexcept {
  std::free(p);
}
[[gnu::noinline]] void operator delete[](void* p) noexcept {
  std::free(p);
}
[[gnu::noinline]] void operator delete[](void* p, std::size_t) noexcept {
  std::free(p);
}
[[gnu::noinline]] void operator delete[](void* p, const std::nothrow_t&) noexcept {
  std::free(p);
}
