#include "tests/net/watched_memory.h"

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
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

[[maybe_unused]] void note() noexcept {
  ++thread_allocations;
  if (counting.load(std::memory_order_relaxed) && syncline::net::core::current() != nullptr)
    ++core_allocations;
}

bool fails_now() noexcept {
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
  return __libc_memalign(alignment, n);
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
