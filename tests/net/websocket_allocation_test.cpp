// Reading and framing allocate nothing on the usual path: whole messages in one read, streamed pieces,
// control frames, headers, masks and text checks. Here operator new is replaced: everything in net/websocket
// takes its memory from there, except for zlib, which the pool counts itself.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <new>
#include <string>

#include "net/websocket/deflate.h"
#include "net/websocket/message_writer.h"
#include "tests/net/websocket_frames.h"

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define SYNCLINE_COUNTS_NEW 1
#else
#define SYNCLINE_COUNTS_NEW 0
#endif

namespace {
thread_local std::uint64_t news = 0;
}

#if SYNCLINE_COUNTS_NEW
void* operator new(std::size_t n) {
  ++news;
  void* const out = std::malloc(n == 0 ? 1 : n);
  if (out == nullptr) throw std::bad_alloc();
  return out;
}
void operator delete(void* p) noexcept {
  std::free(p);
}
void operator delete(void* p, std::size_t) noexcept {
  std::free(p);
}
#endif

namespace syncline::net::websocket {
namespace {

using testing::frame;

std::uint64_t events_in(message_reader& reader, std::span<char> in) {
  std::uint64_t out = 0;
  while (reader.next(in).what != event_kind::need_more) ++out;
  return out;
}

TEST(WebsocketAllocation, ReadingWholeMessagesAndControlFramesAllocatesNothing) {
  const reader_options options;
  message_reader reader(options, role::server);
  std::string message(3000, 'a');
  message.append("\xE2\x82\xAC");
  std::string bytes = frame({.op = opcode::text}, message) + frame({.op = opcode::ping}, "p") +
                      frame({.op = opcode::binary}, "") + frame({.op = opcode::close}, "\x03\xE8 bye");
  const std::uint64_t before = news;
  const std::uint64_t events = events_in(reader, bytes);
  EXPECT_EQ(news, before);
  EXPECT_EQ(events, 4U);
}

TEST(WebsocketAllocation, StreamingAMessageByteByByteAllocatesNothing) {
  reader_options options;
  options.whole_messages = false;
  message_reader reader(options, role::server);
  std::string bytes = frame({.op = opcode::text, .final = false}, std::string(300, 'a')) +
                      frame({.op = opcode::continuation}, std::string(300, 'b'));
  const std::uint64_t before = news;
  std::uint64_t events = 0;
  for (char& c : bytes) events += events_in(reader, {&c, 1});
  EXPECT_EQ(news, before);
  EXPECT_EQ(events, 600U);
}

TEST(WebsocketAllocation, APieceOfAMessageIsHeldOnlyWhileItIsInProgress) {
  const reader_options options;
  message_reader reader(options, role::server);
  std::string bytes = frame({.op = opcode::text}, std::string(300, 'a'));
  const std::uint64_t before = news;
  EXPECT_EQ(events_in(reader, std::span<char>(bytes.data(), 100)), 0U);
  EXPECT_FALSE(reader.idle());
#if SYNCLINE_COUNTS_NEW
  EXPECT_GT(news, before);  // which shows that the count works
#else
  EXPECT_EQ(news, before);
#endif
  EXPECT_EQ(events_in(reader, std::span<char>(bytes.data() + 100, bytes.size() - 100)), 1U);
  EXPECT_TRUE(reader.idle());
}

TEST(WebsocketAllocation, CompressingBorrowsWhatItNeeds) {
  deflate_pool pool;
  deflate_agreement agreed;
  agreed.server_no_context_takeover = true;
  message_writer writer(agreed, &pool);
  const std::string message(3000, 'a');
  static_cast<void>(writer.write(opcode::text, message));  // fills the pool
  const std::uint64_t before = news;
  const std::size_t zlib_bytes = pool.bytes();
  for (int i = 0; i < 10; ++i) static_cast<void>(writer.write(opcode::text, message));
  EXPECT_EQ(news, before);
  EXPECT_EQ(pool.bytes(), zlib_bytes);
}

}  // namespace
}  // namespace syncline::net::websocket
