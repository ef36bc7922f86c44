#include "net/websocket/frame_writer.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/net/websocket_frames.h"

namespace syncline::net::websocket {
namespace {

using testing::from_bytes;

std::string header(frame_shape shape, std::uint64_t n) {
  char out[kHeaderBytesMax];
  const std::size_t size = write_header(out, shape, n);
  EXPECT_EQ(size, header_bytes(n));
  return {out, size};
}

TEST(WebsocketFrameWriter, WritesTheExamplesOfRfc6455Section57) {
  EXPECT_EQ(header({.op = opcode::text}, 5), from_bytes({0x81, 0x05}));
  EXPECT_EQ(header({.op = opcode::text, .final = false}, 3), from_bytes({0x01, 0x03}));
  EXPECT_EQ(header({.op = opcode::continuation}, 2), from_bytes({0x80, 0x02}));
  EXPECT_EQ(header({.op = opcode::binary}, 256), from_bytes({0x82, 0x7E, 0x01, 0x00}));
  EXPECT_EQ(header({.op = opcode::binary}, 65536), from_bytes({0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0}));
  EXPECT_EQ(header({.op = opcode::text, .compressed = true}, 7), from_bytes({0xC1, 0x07}));
  mask_key key;
  const std::string key_bytes = from_bytes({0x37, 0xfa, 0x21, 0x3d});
  std::memcpy(&key, key_bytes.data(), 4);
  EXPECT_EQ(testing::frame({.op = opcode::text}, "Hello", key),
            from_bytes({0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58}));
}

TEST(WebsocketFrameWriter, UsesTheShortestLength) {
  EXPECT_EQ(header({}, 0).size(), 2U);
  EXPECT_EQ(header({}, 125).size(), 2U);
  EXPECT_EQ(header({}, 126), from_bytes({0x81, 0x7E, 0, 126}));
  EXPECT_EQ(header({}, 65535), from_bytes({0x81, 0x7E, 0xFF, 0xFF}));
  EXPECT_EQ(header({}, (1ULL << 63U) - 1),
            from_bytes({0x81, 0x7F, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}));
}

std::string closing(close_code code, std::string_view reason) {
  char out[kControlFrameBytesMax];
  return {out, write_close(out, code, reason)};
}

TEST(WebsocketFrameWriter, WritesControlFrames) {
  char out[kControlFrameBytesMax];
  EXPECT_EQ(std::string(out, write_control(out, opcode::pong, "Hello")), from_bytes({0x8a, 5}) + "Hello");
  EXPECT_EQ(std::string(out, write_control(out, opcode::ping, "")), from_bytes({0x89, 0}));
  EXPECT_EQ(write_control(out, opcode::ping, std::string(300, 'a')), 127U);
  EXPECT_EQ(closing(close_code::normal, ""), from_bytes({0x88, 2, 0x03, 0xE8}));
  EXPECT_EQ(closing(close_code::too_big, "big"), from_bytes({0x88, 5, 0x03, 0xF1}) + "big");
  EXPECT_EQ(closing(close_code::none_received, "x"), from_bytes({0x88, 0}));
}

TEST(WebsocketFrameWriter, CutsALongReasonBetweenCharacters) {
  std::string reason(122, 'a');
  reason.append("\xC3\xA9");
  EXPECT_EQ(closing(close_code::normal, reason), from_bytes({0x88, 124, 0x03, 0xE8}) + std::string(122, 'a'));
}

}  // namespace
}  // namespace syncline::net::websocket
