#include "net/websocket/deflate.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/websocket/broadcast.h"
#include "net/websocket/message_reader.h"
#include "net/websocket/message_writer.h"
#include "tests/net/websocket_frames.h"

namespace syncline::net::websocket {
namespace {

using testing::at_random;
using testing::every;
using testing::from_bytes;
using testing::seen;
using testing::text;

deflate_agreement with_takeover() {
  return {};
}
deflate_agreement without_takeover() {
  deflate_agreement out;
  out.server_no_context_takeover = out.client_no_context_takeover = true;
  return out;
}

// What a client that agreed to `agreed` reads.
std::vector<seen> read_as_client(std::string_view bytes, const deflate_agreement& agreed, deflate_pool& pool,
                                 std::size_t step = 1'000'000) {
  const reader_options options;
  message_reader reader(options, role::client, agreed, &pool);
  return testing::read_all(reader, bytes, every(step));
}

std::string sent(const outgoing_frame& f) {
  return std::string(f.header, f.header_bytes).append(f.payload);
}

// One message's DEFLATE bytes, with the tail cut off.
std::string packed(std::string_view message, int level = 6) {
  std::size_t bytes = 0;
  compressor stream(bytes, 15, 8, level);
  std::string out;
  stream.run(message, true, out);
  return out;
}

std::string some_json(std::size_t n) {
  std::string out;
  while (out.size() < n)
    out += "{\"op\":\"put\",\"id\":" + std::to_string(out.size() * 7919 % 10'000) + "}\r\n";
  out.resize(n);
  return out;
}

TEST(WebsocketDeflate, ReadsTheExamplesOfRfc7692Section723) {
  const std::string hello = from_bytes({0xc1, 0x07, 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00});
  const std::string again = from_bytes({0xc1, 0x05, 0xf2, 0x00, 0x11, 0x00, 0x00});
  const std::string fragmented =
      from_bytes({0x41, 0x03, 0xf2, 0x48, 0xcd, 0x80, 0x04, 0xc9, 0xc9, 0x07, 0x00});
  const std::string stored =
      from_bytes({0xc1, 0x0b, 0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00});
  const std::string final_block = from_bytes({0xc1, 0x08, 0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00});
  const std::string two_blocks =
      from_bytes({0xc1, 0x0d, 0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00});
  const std::string empty = from_bytes({0xc1, 0x01, 0x00});
  deflate_pool pool;
  for (const std::size_t n : {1U, 2U, 3U, 1000U}) {
    for (const std::string& one : {hello, fragmented, stored, final_block, two_blocks}) {
      EXPECT_EQ(read_as_client(one, without_takeover(), pool, n), std::vector{text("Hello")});
      // The window outlives a final block, too.
      EXPECT_EQ(read_as_client(one + again + empty + again, with_takeover(), pool, n),
                (std::vector{text("Hello"), text("Hello"), text(""), text("Hello")}));
    }
  }
  EXPECT_EQ(pool.borrowed(), 0U);
}

TEST(WebsocketDeflate, WritesTheExamplesOfRfc7692Section723) {
  deflate_pool pool;
  const compressor_lease stream = pool.borrow_compressor(15);
  std::string out;
  stream->run("Hello", true, out);
  EXPECT_EQ(out, from_bytes({0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00}));
  out.clear();
  stream->run("Hello", true, out);
  EXPECT_EQ(out, from_bytes({0xf2, 0x00, 0x11, 0x00, 0x00}));
  for (int i = 0; i < 2; ++i) {
    out.clear();
    stream->run("", true, out);
    EXPECT_EQ(out, from_bytes({0x00}));
  }
}

TEST(WebsocketDeflate, EveryMessageComesBackWhateverItsSizeAndWindow) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  deflate_pool pool;
  for (int bits = 9; bits <= 15; ++bits) {
    for (deflate_agreement agreed : {with_takeover(), without_takeover()}) {
      agreed.server_window_bits = static_cast<std::uint8_t>(bits);
      message_writer writer(agreed, &pool, 0);
      std::string wire;
      std::vector<seen> wanted;
      for (const std::size_t n : {0U, 0U, 1U, 5U, 300U, 16'384U, 16'385U, 65'536U, 200'000U, 0U, 7U}) {
        std::string message = some_json(n);
        if (random() % 3 == 0) {
          for (char& c : message) c = static_cast<char>(random() % 128);  // hardly compressible
        }
        wire += sent(writer.write(opcode::text, message));
        wanted.push_back(text(message));
      }
      EXPECT_EQ(read_as_client(wire, agreed, pool), wanted) << bits;
      EXPECT_EQ(read_as_client(wire, agreed, pool, 1 + random() % 100), wanted) << bits;
    }
  }
  EXPECT_EQ(pool.borrowed(), 0U);
}

TEST(WebsocketDeflate, AMessageMayBeCompressedInPieces) {
  deflate_pool pool;
  const compressor_lease stream = pool.borrow_compressor(12);
  const std::string whole = some_json(50'000);
  std::string out;
  for (std::size_t at = 0; at < whole.size(); at += 777) {
    stream->run(std::string_view(whole).substr(at, 777), false, out);
  }
  stream->run("", true, out);
  char header[kHeaderBytesMax];
  const std::size_t n = write_header(header, {.op = opcode::text, .compressed = true}, out.size());
  EXPECT_EQ(read_as_client(std::string(header, n) + out, without_takeover(), pool), std::vector{text(whole)});
}

TEST(WebsocketDeflate, WithTakeoverSimilarMessagesBecomeSmaller) {
  deflate_pool pool;
  message_writer fresh(without_takeover(), &pool);
  message_writer remembering(with_takeover(), &pool);
  const std::string message = some_json(400);
  EXPECT_EQ(remembering.write(opcode::text, message).payload.size(),
            fresh.write(opcode::text, message).payload.size());
  EXPECT_LT(remembering.write(opcode::text, message).payload.size() * 4,
            fresh.write(opcode::text, message).payload.size());
}

TEST(WebsocketDeflate, SocketsHoldAStreamOnlyDuringAMessageOrWithTakeover) {
  deflate_pool pool;
  const std::string message = some_json(1000);
  message_writer fresh(without_takeover(), &pool);
  static_cast<void>(fresh.write(opcode::text, message));
  EXPECT_EQ(pool.borrowed(), 0U);
  {
    message_writer remembering(with_takeover(), &pool);
    EXPECT_EQ(pool.borrowed(), 0U);
    static_cast<void>(remembering.write(opcode::text, message));
    EXPECT_EQ(pool.borrowed(), 1U);
  }
  EXPECT_EQ(pool.borrowed(), 0U);

  const reader_options options;
  std::string bytes = testing::frame({.op = opcode::text, .compressed = true}, packed(message));
  for (const bool takeover : {false, true}) {
    message_reader reader(options, role::server, takeover ? with_takeover() : without_takeover(), &pool);
    std::string copy = bytes;
    std::span<char> first(copy.data(), 20);
    EXPECT_EQ(reader.next(first).what, event_kind::need_more);
    EXPECT_EQ(pool.borrowed(), 1U);
    std::span<char> rest(copy.data() + 20, copy.size() - 20);
    EXPECT_EQ(reader.next(rest).bytes, message);
    EXPECT_EQ(pool.borrowed(), takeover ? 1U : 0U);
  }
  EXPECT_EQ(pool.borrowed(), 0U);
}

TEST(WebsocketDeflate, AfterTheCloseFrameNothingIsHeld) {
  deflate_pool pool;
  const reader_options options;
  message_reader reader(options, role::server, with_takeover(), &pool);
  const std::string bytes = testing::frame({.op = opcode::text, .compressed = true}, packed("a")) +
                            testing::frame({.op = opcode::close}, "");
  EXPECT_EQ(testing::read_all(reader, bytes, every(1000)).size(), 2U);
  EXPECT_EQ(pool.borrowed(), 0U);
}

TEST(WebsocketDeflate, SmallAndIncompressibleMessagesGoAsTheyAre) {
  deflate_pool pool;
  std::mt19937 random(7);
  std::string noise(2000, '\0');
  for (char& c : noise) c = static_cast<char>(random());
  for (const deflate_agreement& agreed : {with_takeover(), without_takeover()}) {
    message_writer writer(agreed, &pool);
    const std::string small(kCompressBytesMin - 1, 'a');
    EXPECT_EQ(writer.write(opcode::text, small).payload.data(), small.data());
    std::string wire = sent(writer.write(opcode::binary, noise));
    EXPECT_EQ(static_cast<unsigned char>(wire[0]), 0x82U);
    // The compressor has forgotten the noise, which the peer never had in its window.
    wire += sent(writer.write(opcode::binary, noise + noise));
    const auto got = read_as_client(wire, agreed, pool);
    ASSERT_EQ(got.size(), 2U);
    EXPECT_EQ(got[1].bytes, noise + noise);
  }
}

TEST(WebsocketDeflate, ABombEndsAtTheLimit) {
  const std::string bomb = packed(std::string(50'000'000, '\0'), 9);
  ASSERT_LT(bomb.size(), 60'000U);
  deflate_pool pool;
  for (const bool whole : {true, false}) {
    reader_options options;
    options.limits.message_bytes_max = 1'000'000;
    options.whole_messages = whole;
    message_reader reader(options, role::server, without_takeover(), &pool);
    const auto got = testing::read_all(
        reader, testing::frame({.op = opcode::binary, .compressed = true}, bomb), every(100'000));
    ASSERT_FALSE(got.empty());
    EXPECT_EQ(got.back().code, 1009);
    EXPECT_LE(got.front().bytes.size(), 1'000'000U);
    EXPECT_EQ(pool.borrowed(), 0U);
  }
}

// Blocks that hold nothing: 5 bytes each on the wire, none in the message.
TEST(WebsocketDeflate, AnEndlessMessageOfEmptyBlocksEndsAtTheLimitToo) {
  reader_options options;
  options.limits.message_bytes_max = 8000;
  deflate_pool pool;
  message_reader reader(options, role::server, without_takeover(), &pool);
  const std::string empty_blocks = from_bytes({0, 0, 0, 0xFF, 0xFF});
  std::string bytes = testing::frame({.op = opcode::text, .final = false, .compressed = true}, empty_blocks);
  for (int i = 0; i < 3000; ++i)
    bytes += testing::frame({.op = opcode::continuation, .final = false}, empty_blocks);
  EXPECT_EQ(testing::read_all(reader, bytes, every(100)).back().code, 1009);
}

// A message of final blocks restarts the stream for each few bytes.
TEST(WebsocketDeflate, ManyFinalBlocksAreReadInOrder) {
  std::string blocks;
  std::string wanted;
  for (int i = 0; i < 100'000; ++i) {
    blocks += from_bytes({0x4b, 0x04, 0x00});  // a final block of fixed codes that holds "a"
    wanted += 'a';
  }
  blocks += '\0';
  deflate_pool pool;
  const reader_options options;
  message_reader reader(options, role::server, with_takeover(), &pool);
  const auto got = testing::read_all(reader, testing::frame({.op = opcode::text, .compressed = true}, blocks),
                                     every(5000));
  ASSERT_EQ(got.size(), 1U);
  EXPECT_EQ(got[0], text(wanted));
}

TEST(WebsocketDeflate, DamagedMessagesAreRefused) {
  const std::string fine = packed(some_json(3000));
  deflate_pool pool;
  const reader_options options;
  std::vector<std::string> bad = {from_bytes({0x07}),
                                  from_bytes({0xFF, 0xFF, 0xFF}),
                                  fine.substr(0, fine.size() - 3),
                                  fine.substr(0, 50),
                                  fine + "\x07",
                                  from_bytes({0xf2, 0x00, 0x11, 0x00, 0x00})};
  for (const std::string& payload : bad) {
    for (const std::size_t n : {1U, 1000U}) {
      message_reader reader(options, role::server, with_takeover(), &pool);
      const auto got = testing::read_all(
          reader, testing::frame({.op = opcode::text, .compressed = true}, payload), every(n));
      ASSERT_FALSE(got.empty()) << ::testing::PrintToString(payload);
      EXPECT_EQ(got.back().code, 1007);
    }
  }
}

TEST(WebsocketDeflate, InflatedTextIsCheckedAsItComesOut) {
  deflate_pool pool;
  reader_options options;
  message_reader reader(options, role::server, without_takeover(), &pool);
  // The message is not at its end: the bad byte alone ends it.
  const std::string payload = packed("good, then \xFF" + some_json(100'000));
  const auto got = testing::read_all(reader,
                                     testing::frame({.op = opcode::text, .final = false, .compressed = true},
                                                    std::string_view(payload).substr(0, 6000)),
                                     every(50));
  ASSERT_FALSE(got.empty());
  EXPECT_EQ(got.back().code, 1007);
}

// One call of zlib brings both out at once when the read is large; byte by byte the bad text comes first.
TEST(WebsocketDeflate, TheFirstThingWrongDecidesHoweverReadsAreCut) {
  reader_options options;
  options.limits.message_bytes_max = 2000;
  deflate_pool pool;
  const std::string too_long = packed("bad \xFF" + some_json(9000));
  const std::string damaged = packed("bad \xFF").append("\x07");
  const std::string late = packed(some_json(2000) + "\xFF");
  const std::vector<std::pair<std::string, int>> cases = {{too_long, 1007}, {damaged, 1007}, {late, 1009}};
  for (const auto& [payload, code] : cases) {
    for (const std::size_t n : {1U, 100'000U}) {
      message_reader reader(options, role::server, without_takeover(), &pool);
      const std::string bytes = testing::frame({.op = opcode::text, .compressed = true}, payload);
      const auto got = testing::read_all(reader, bytes, every(n));
      ASSERT_FALSE(got.empty());
      EXPECT_EQ(got.back().code, code);
      EXPECT_EQ(got.back().bytes == describe(protocol_error::bad_utf8).reason, code == 1007);
    }
  }
}

TEST(WebsocketDeflate, CompressedMessagesComeOutInBoundedPieces) {
  deflate_pool pool;
  reader_options options;
  options.whole_messages = false;
  message_reader reader(options, role::server, without_takeover(), &pool);
  std::string bytes =
      testing::frame({.op = opcode::binary, .compressed = true}, packed(std::string(1'000'000, 'z'), 9));
  std::span<char> in(bytes);
  std::size_t total = 0;
  std::size_t pieces = 0;
  for (message_event e = reader.next(in); e.what != event_kind::need_more; e = reader.next(in), ++pieces) {
    EXPECT_LE(e.bytes.size(), pool.inflated().size());
    EXPECT_EQ(e.first, pieces == 0);
    total += e.bytes.size();
    EXPECT_EQ(e.last, total == 1'000'000);
  }
  EXPECT_EQ(total, 1'000'000U);
  EXPECT_GT(pieces, 50U);
}

TEST(WebsocketDeflate, AnExhaustedPoolSendsPlainAndRefusesToInflate) {
  deflate_pool_options few;
  few.streams_max = 1;
  deflate_pool pool(few);
  const compressor_lease held = pool.borrow_compressor(15);
  const std::string message = some_json(1000);
  for (const deflate_agreement& agreed : {with_takeover(), without_takeover()}) {
    message_writer writer(agreed, &pool);
    EXPECT_EQ(writer.write(opcode::text, message).payload.data(), message.data());
  }
  const reader_options options;
  message_reader reader(options, role::server, without_takeover(), &pool);
  const std::string bytes = testing::frame({.op = opcode::text, .compressed = true}, packed(message));
  EXPECT_EQ(testing::read_all(reader, bytes, every(1000)).back().code, 1013);
  EXPECT_EQ(broadcast_message(opcode::text, message, &pool).compressed(), nullptr);
}

TEST(WebsocketDeflate, ThePoolKeepsAFewStreamsAndCountsTheirBytes) {
  deflate_pool_options options;
  options.spares_max = 2;
  deflate_pool pool(options);
  {
    std::vector<compressor_lease> out;
    for (int i = 0; i < 5; ++i) out.push_back(pool.borrow_compressor(15));
    EXPECT_EQ(pool.borrowed(), 5U);
  }
  const std::size_t two = pool.bytes();
  EXPECT_GT(two, 2U * 200 * 1024);
  EXPECT_LT(two, 2U * 300 * 1024);
  {
    const compressor_lease spare = pool.borrow_compressor(15);
    EXPECT_EQ(pool.bytes(), two);
  }
  const compressor_lease other = pool.borrow_compressor(9);
  EXPECT_GT(pool.bytes(), two);
}

std::size_t compressor_bytes(int window_bits, int memory_level) {
  std::size_t bytes = 0;
  const compressor stream(bytes, window_bits, effective_memory_level(memory_level, window_bits), 1);
  return bytes;
}

// In KiB, as in deflate.h; another version of zlib may differ a little.
TEST(WebsocketDeflate, StreamsCostWhatTheHeaderSays) {
  const std::size_t level_8[] = {12, 18, 30, 54, 102, 198, 262};
  const std::size_t level_4[] = {12, 18, 22, 30, 46, 78, 142};
  for (int bits = 9; bits <= 15; ++bits) {
    const auto at = static_cast<std::size_t>(bits - 9);
    EXPECT_NEAR(static_cast<double>(compressor_bytes(bits, 8)) / 1024, static_cast<double>(level_8[at]), 4);
    EXPECT_NEAR(static_cast<double>(compressor_bytes(bits, 4)) / 1024, static_cast<double>(level_4[at]), 4);
  }
  const std::size_t inflaters[] = {9, 9, 10, 12, 16, 24, 40};
  const std::string message = packed(some_json(100'000));
  std::vector<char> room(200'000);
  for (int bits = 9; bits <= 15; ++bits) {
    std::size_t bytes = 0;
    inflater stream(bytes, bits);
    EXPECT_LE(bytes, 8U * 1024);
    std::string_view in = message;
    static_cast<void>(stream.run(in, true, room));
    EXPECT_NEAR(static_cast<double>(bytes) / 1024, static_cast<double>(inflaters[bits - 9]), 2);
  }
}

// What is sent to a peer never reaches back further than its window: an inflater with that window and one
// byte of room at a time, so that it has nothing else to look in, reads it.
TEST(WebsocketDeflate, ACompressorKeepsToItsWindow) {
  const std::string message = some_json(40'000);
  std::size_t bytes = 0;
  for (int bits = 9; bits <= 15; ++bits) {
    compressor stream(bytes, bits, effective_memory_level(8, bits), 9);
    std::string out;
    stream.run(message, true, out);
    inflater reader(bytes, bits);
    std::string_view in = out;
    std::string back;
    std::vector<char> one(1);
    inflate_step did;
    do {
      did = reader.run(in, true, one);
      ASSERT_NE(did.what, inflate_status::corrupt) << bits;
      if (did.produced == 1) back.push_back(one[0]);
    } while (did.what == inflate_status::full);
    EXPECT_EQ(back, message) << bits;
  }
}

TEST(WebsocketBroadcast, OneFrameServesEverySocketThatMayTakeIt) {
  deflate_pool pool;
  const std::string message = some_json(4000);
  const broadcast_message all(opcode::text, message, &pool, 12);
  ASSERT_NE(all.compressed(), nullptr);
  EXPECT_LT(all.compressed()->size() * 2, all.plain()->size());

  deflate_agreement wide = without_takeover();
  deflate_agreement exact = without_takeover();
  exact.server_window_bits = 12;
  deflate_agreement narrow = without_takeover();
  narrow.server_window_bits = 11;
  const message_writer takes_wide(wide, &pool);
  const message_writer takes_exact(exact, &pool);
  const message_writer takes_narrow(narrow, &pool);
  const message_writer remembers(with_takeover(), &pool);
  const message_writer plain;
  EXPECT_EQ(all.for_socket(takes_wide), all.compressed());
  EXPECT_EQ(all.for_socket(takes_exact), all.compressed());
  EXPECT_EQ(all.for_socket(takes_narrow), all.plain());
  EXPECT_EQ(all.for_socket(remembers), all.plain());
  EXPECT_EQ(all.for_socket(plain), all.plain());

  EXPECT_EQ(read_as_client(*all.compressed() + *all.compressed(), exact, pool),
            (std::vector{text(message), text(message)}));
  EXPECT_EQ(read_as_client(*all.plain(), wide, pool), std::vector{text(message)});
}

// Its window is as small as the message, so nearly every peer can have the compressed form.
TEST(WebsocketBroadcast, AShortMessageIsForNarrowWindows) {
  deflate_pool pool;
  const std::string message = some_json(700);
  const broadcast_message all(opcode::text, message, &pool);
  deflate_agreement agreed = without_takeover();
  agreed.server_window_bits = 10;
  EXPECT_EQ(all.for_socket(message_writer(agreed, &pool)), all.compressed());
  EXPECT_EQ(read_as_client(*all.compressed(), agreed, pool), std::vector{text(message)});
  agreed.server_window_bits = 9;
  EXPECT_EQ(all.for_socket(message_writer(agreed, &pool)), all.plain());
}

TEST(WebsocketBroadcast, WithoutAPoolOrGainThereIsOnlyThePlainForm) {
  deflate_pool pool;
  EXPECT_EQ(broadcast_message(opcode::text, some_json(4000)).compressed(), nullptr);
  EXPECT_EQ(broadcast_message(opcode::text, "short", &pool).compressed(), nullptr);
  EXPECT_EQ(*broadcast_message(opcode::text, "Hello").plain(), from_bytes({0x81, 5}) + "Hello");
}

}  // namespace
}  // namespace syncline::net::websocket
