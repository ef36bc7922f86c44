// The hit path of a request allocates nothing. The allocator is interposed, since Asio takes its memory from
// aligned_alloc and a counting operator new would see none of it. Under a sanitizer, which interposes too,
// only the answers are checked.
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <string>
#include <utility>

#include "tests/net/scripted_server.h"
#include "tests/net/websocket_server.h"

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && defined(__GLIBC__)
#define SYNCLINE_COUNTS_ALLOCATIONS 1
#else
#define SYNCLINE_COUNTS_ALLOCATIONS 0
#endif

namespace {

std::atomic<bool> counting{false};
std::atomic<std::uint64_t> allocations{0};

[[maybe_unused]] void note() noexcept {
  if (counting.load(std::memory_order_relaxed) && syncline::net::core::current() != nullptr) ++allocations;
}

}  // namespace

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

namespace syncline::net::http {
namespace {

TEST(HttpAllocation, AnAnswerFromTheFastPathAllocatesNothing) {
  testing::scripted_server s(testing::quick_options(), 1);
  testing::raw_client c = s.connect();
  const std::string one = "GET /fast HTTP/1.1\r\nHost: a\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n";
  std::string batch;
  for (int i = 0; i < 16; ++i) batch += one;
  for (const std::string* bytes : {&one, &std::as_const(batch)}) {
    for (const bool counted : {false, true}) {  // the first round fills buffers and registers metrics
      counting = counted;
      for (int i = 0; i < 200; ++i) {
        c.send(*bytes);
        for (std::size_t answers = bytes->size() / one.size(); answers > 0; --answers) {
          ASSERT_EQ(c.receive_response().body, "fast");
        }
      }
      counting = false;
    }
  }
  EXPECT_EQ(allocations, 0U);
#if SYNCLINE_COUNTS_ALLOCATIONS
  counting = true;  // a task does allocate, which shows that the count works
  EXPECT_EQ(c.ask("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").body, "slow");
  counting = false;
  EXPECT_GT(allocations, 0U);
#endif
}

TEST(HttpAllocation, AWebsocketMessageAndItsEchoAllocateNothing) {
  websocket::testing::websocket_server s(testing::quick_options(),
                                         websocket::testing::quick_session_options(), 1);
  websocket::testing::client c = s.open("/echo");
  const std::string message(1000, 'm');
  std::string batch;
  for (int i = 0; i < 16; ++i) {
    batch += websocket::testing::frame({.op = websocket::opcode::text}, message);
    batch += websocket::testing::frame({.op = websocket::opcode::ping}, "p");
  }
  allocations = 0;
  for (const bool counted : {false, true}) {
    counting = counted;
    for (int round = 0; round < 50; ++round) {
      c.socket().send(batch);
      for (int i = 0; i < 32; ++i) ASSERT_FALSE(c.receive().bytes.empty());
    }
    counting = false;
  }
  EXPECT_EQ(allocations, 0U);
}

}  // namespace
}  // namespace syncline::net::http
