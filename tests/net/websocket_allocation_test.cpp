// Reading and framing allocate nothing on the usual path: whole messages in one read, streamed pieces,
// control frames, headers, masks and text checks.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "net/websocket/deflate.h"
#include "net/websocket/message_writer.h"
#include "tests/net/watched_memory.h"
#include "tests/net/websocket_frames.h"

namespace syncline::net::websocket {
namespace {

using testing::frame;

std::uint64_t news() {
  return syncline::testing::memory::of_this_thread();
}

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
  const std::uint64_t before = news();
  const std::uint64_t events = events_in(reader, bytes);
  EXPECT_EQ(news(), before);
  EXPECT_EQ(events, 4U);
}

TEST(WebsocketAllocation, StreamingAMessageByteByByteAllocatesNothing) {
  reader_options options;
  options.whole_messages = false;
  message_reader reader(options, role::server);
  std::string bytes = frame({.op = opcode::text, .final = false}, std::string(300, 'a')) +
                      frame({.op = opcode::continuation}, std::string(300, 'b'));
  const std::uint64_t before = news();
  std::uint64_t events = 0;
  for (char& c : bytes) events += events_in(reader, {&c, 1});
  EXPECT_EQ(news(), before);
  EXPECT_EQ(events, 600U);
}

TEST(WebsocketAllocation, APieceOfAMessageIsHeldOnlyWhileItIsInProgress) {
  const reader_options options;
  message_reader reader(options, role::server);
  std::string bytes = frame({.op = opcode::text}, std::string(300, 'a'));
  const std::uint64_t before = news();
  EXPECT_EQ(events_in(reader, std::span<char>(bytes.data(), 100)), 0U);
  EXPECT_FALSE(reader.idle());
  const bool seen = news() > before;  // which shows that the count works
  EXPECT_EQ(seen, syncline::testing::memory::counts());
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
  const std::uint64_t before = news();
  const std::size_t zlib_bytes = pool.bytes();
  for (int i = 0; i < 10; ++i) static_cast<void>(writer.write(opcode::text, message));
  EXPECT_EQ(news(), before);
  EXPECT_EQ(pool.bytes(), zlib_bytes);
}

}  // namespace
}  // namespace syncline::net::websocket
