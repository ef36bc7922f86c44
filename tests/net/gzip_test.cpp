#include "net/core/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "net/core/deflate_pool.h"

namespace syncline::net {
namespace {

std::string compressed(std::string_view text, int level = 1) {
  std::string out;
  gzip_encoder encoder(level);
  encoder.append(text, false, out);
  encoder.finish(out);
  return out;
}

// Feeds `in` in pieces of `piece` bytes with `room` bytes of output a call.
result<std::string> decoded(gzip_decoder& decoder, std::string_view in, std::size_t piece, std::size_t room) {
  std::string out;
  while (!in.empty()) {
    std::string_view part = in.substr(0, piece);
    in.remove_prefix(part.size());
    for (;;) {
      const std::size_t before = out.size();
      const result<void> step = decoder.decode(part, room, out);
      if (step.has_error()) return step.error();
      EXPECT_LE(out.size() - before, room);
      if (part.empty() && out.size() - before < room) break;
    }
  }
  return out;
}

std::string some_text(std::size_t bytes) {
  std::mt19937 random(7);
  std::string out;
  while (out.size() < bytes)
    out += "{\"id\":" + std::to_string(random() % 100'000) + ",\"name\":\"someone\"}\r\n";
  return out;
}

TEST(Gzip, ComesBackAsItWasInPiecesOfAnySize) {
  const std::string text = some_text(200'000);
  const std::string packed = compressed(text);
  EXPECT_LT(packed.size(), text.size() / 2);
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{1000}, packed.size()}) {
    for (const std::size_t room : {std::size_t{100}, std::size_t{16'384}, std::size_t{1'000'000}}) {
      gzip_decoder decoder;
      const auto back = decoded(decoder, packed, piece, room);
      ASSERT_TRUE(back.has_value());
      EXPECT_TRUE(*back == text) << piece << " " << room;
      EXPECT_TRUE(decoder.complete());
    }
  }
}

// curl and browsers stop at the end of the first member, so a stream that rests must stay one.
TEST(Gzip, AStreamThatRestsHoldsNoStateAndStaysOneMember) {
  const std::size_t before = deflate_bytes();
  gzip_encoder encoder;
  std::string wire, text;
  for (int i = 0; i < 50; ++i) {
    const std::string line = some_text(i % 2 == 0 ? 100 : 70'000);
    text += line;
    encoder.append(line, true, wire);
    encoder.rest();
    EXPECT_LE(deflate_bytes(), before + deflate_state::kBytes);  // one spare state, used again and again
  }
  encoder.finish(wire);
  z_stream stream{};
  ASSERT_EQ(inflateInit2(&stream, 15 + 16), Z_OK);
  std::string back(text.size() + 1, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(wire.data());
  stream.avail_in = static_cast<uInt>(wire.size());
  stream.next_out = reinterpret_cast<Bytef*>(back.data());
  stream.avail_out = static_cast<uInt>(back.size());
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);  // zlib ends at the end of the first member
  EXPECT_EQ(stream.avail_in, 0U);
  inflateEnd(&stream);
  back.pop_back();
  EXPECT_TRUE(back == text);
}

TEST(Gzip, RestKeepsWhatIsNotFlushed) {
  gzip_encoder encoder;
  std::string wire;
  encoder.append("abc", false, wire);
  encoder.rest();
  encoder.append("def", true, wire);
  encoder.finish(wire);
  gzip_decoder decoder;
  EXPECT_EQ(*decoded(decoder, wire, 100, 100), "abcdef");
}

// With room for two states in the whole process, twenty streams at once are all right and readable at once;
// those without a state store their bytes.
TEST(Gzip, DeflateMemoryIsBoundedAndStreamsGoOnWithoutIt) {
  std::thread([] {  // the spare states of other threads count too, so the bound is what is there and two more
    set_deflate_bytes_max(deflate_bytes() + 2 * deflate_state::kBytes);
    const std::size_t bound = deflate_bytes() + 2 * deflate_state::kBytes;
    std::vector<gzip_encoder> encoders(20);
    std::vector<std::string> wires(encoders.size()), texts(encoders.size());
    std::size_t largest = 0, smallest = SIZE_MAX;
    for (int round = 0; round < 3; ++round) {
      for (std::size_t i = 0; i < encoders.size(); ++i) {
        const std::string text = some_text(100'000);
        texts[i] += text;
        encoders[i].append(text, false, wires[i]);  // unflushed: the state cannot be given back
        EXPECT_LE(deflate_bytes(), bound);
      }
    }
    for (std::size_t i = 0; i < encoders.size(); ++i) {
      encoders[i].finish(wires[i]);
      largest = std::max(largest, wires[i].size());
      smallest = std::min(smallest, wires[i].size());
      gzip_decoder decoder;
      const auto back = decoded(decoder, wires[i], 5000, 100'000);
      ASSERT_TRUE(back.has_value());
      EXPECT_TRUE(*back == texts[i]) << i;
      EXPECT_TRUE(decoder.complete());
    }
    EXPECT_GT(largest, texts[0].size());
    EXPECT_LT(smallest, texts[0].size() / 2);
    set_deflate_bytes_max(64UL * 1024 * 1024);
  })
      .join();
}

TEST(Gzip, WhenStatesAreScarceAFlushGivesThemBack) {
  std::thread([] {
    gzip_encoder one, two;
    std::string wire;
    one.append(some_text(1000), true, wire);
    const std::size_t held = deflate_bytes();
    set_deflate_bytes_max(held + deflate_state::kBytes);
    two.append(some_text(1000), true, wire);
    EXPECT_EQ(deflate_bytes(), held);
    set_deflate_bytes_max(64UL * 1024 * 1024);
  }).join();
}

TEST(Gzip, AFlushedLineCanBeReadAtOnce) {
  gzip_encoder encoder;
  gzip_decoder decoder;
  for (int i = 0; i < 50; ++i) {
    const std::string line = "{\"line\":" + std::to_string(i) + "}\r\n";
    std::string wire;
    encoder.append(line, true, wire);
    std::string back;
    std::string_view in = wire;
    ASSERT_TRUE(decoder.decode(in, 1000, back).has_value());
    EXPECT_EQ(back, line);
    EXPECT_FALSE(decoder.complete());
  }
  std::string wire;
  encoder.append({}, true, wire);
  encoder.append({}, true, wire);
  encoder.finish(wire);
  std::string back;
  std::string_view in = wire;
  ASSERT_TRUE(decoder.decode(in, 1000, back).has_value());
  EXPECT_TRUE(back.empty());
  EXPECT_TRUE(decoder.complete());
}

TEST(Gzip, SeveralMembersAreOneStream) {
  const std::string packed = compressed("one ") + compressed("") + compressed("three");
  for (const std::size_t piece : {std::size_t{1}, packed.size()}) {
    gzip_decoder decoder;
    const auto back = decoded(decoder, packed, piece, 3);
    ASSERT_TRUE(back.has_value());
    EXPECT_EQ(*back, "one three");
    EXPECT_TRUE(decoder.complete());
  }
}

TEST(Gzip, AnEncoderThatFinishedBeginsAnotherMember) {
  gzip_encoder encoder;
  std::string wire;
  encoder.append("first ", false, wire);
  encoder.finish(wire);
  encoder.append("second", false, wire);
  encoder.finish(wire);
  gzip_decoder decoder;
  const auto back = decoded(decoder, wire, wire.size(), 1000);
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(*back, "first second");
}

TEST(Gzip, TruncatedInputIsNotComplete) {
  const std::string packed = compressed(some_text(5000));
  for (std::size_t cut = 0; cut < packed.size(); cut += 13) {
    gzip_decoder decoder;
    const auto back = decoded(decoder, std::string_view(packed).substr(0, cut), 64, 1000);
    ASSERT_TRUE(back.has_value());
    EXPECT_FALSE(decoder.complete());
  }
  // A cut inside the second member is a cut, too.
  gzip_decoder decoder;
  const std::string twice = packed + packed.substr(0, 3);
  ASSERT_TRUE(decoded(decoder, twice, twice.size(), 1'000'000).has_value());
  EXPECT_FALSE(decoder.complete());
}

TEST(Gzip, WhatIsNoGzipIsCorruptAndStaysSo) {
  for (const std::string& bad : {std::string("plain text, no gzip"), compressed("x") + "trailing", [] {
                                   std::string damaged = compressed(some_text(5000));
                                   damaged[damaged.size() - 6] =
                                       static_cast<char>(damaged[damaged.size() - 6] ^ 1);  // the checksum
                                   return damaged;
                                 }()}) {
    gzip_decoder decoder;
    const auto back = decoded(decoder, bad, bad.size(), 100'000);
    ASSERT_TRUE(back.has_error());
    EXPECT_EQ(back.error().code, errc::corrupt);
    EXPECT_FALSE(decoder.complete());
    std::string out;
    std::string_view good = "x";
    EXPECT_TRUE(decoder.decode(good, 10, out).has_error());
  }
}

TEST(Gzip, ABombComesOutInBoundedPieces) {
  const std::string bomb = compressed(std::string(20'000'000, '\0'), 9);
  ASSERT_LT(bomb.size(), 50'000U);
  gzip_decoder decoder;
  std::string_view in = bomb;
  std::string out;
  ASSERT_TRUE(decoder.decode(in, 10'000, out).has_value());
  EXPECT_EQ(out.size(), 10'000U);
  EXPECT_FALSE(decoder.complete());
  ASSERT_TRUE(decoder.decode(in, 10'000, out).has_value());
  EXPECT_EQ(out.size(), 20'000U);
}

TEST(Gzip, OtherDecodersReadIt) {
  const std::string text = some_text(3000);
  const std::string packed = compressed(text, 6);
  z_stream stream{};
  ASSERT_EQ(inflateInit2(&stream, 15 + 16), Z_OK);
  std::string in = packed;
  std::string back(text.size() + 100, ' ');
  stream.next_in = reinterpret_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(back.data());
  stream.avail_out = static_cast<uInt>(back.size());
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  back.resize(stream.total_out);
  EXPECT_EQ(back, text);
  inflateEnd(&stream);
}

}  // namespace
}  // namespace syncline::net
