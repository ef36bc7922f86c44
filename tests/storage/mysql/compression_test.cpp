// What is packed comes out as it was, wherever it is cut; what is no honest message is refused before it
// costs memory.
#include "storage/mysql/compression.h"

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <x_protocol.pb.h>
#include <zstd.h>

#include "net/core/core.h"
#include "storage/mysql/frame_reader.h"
#include "storage/mysql/wire_reader.h"

namespace syncline::storage::mysql {
namespace {

using namespace std::string_literals;

constexpr std::size_t kUnpackedMax = 1 << 20;

std::string frame_of(server_message type, const std::string& body) {
  std::string out;
  for (unsigned i = 0; i < 4; ++i) out.push_back(static_cast<char>((body.size() + 1) >> (8 * i) & 0xffU));
  out.push_back(static_cast<char>(type));
  return out + body;
}

std::string packed_of(const std::string& payload, std::uint64_t claimed) {
  wire::Compression out;
  out.set_uncompressed_size(claimed);
  out.set_payload(payload);
  return out.SerializeAsString();
}

// The sending half of a server.
class packer {
 public:
  explicit packer(int window_log = 0) : stream_(ZSTD_createCCtx(), ZSTD_freeCCtx) {
    if (window_log != 0) ZSTD_CCtx_setParameter(stream_.get(), ZSTD_c_windowLog, window_log);
  }
  // Ends at a block, or ends the stream as some servers do.
  std::string pack(const std::string& bytes, ZSTD_EndDirective how = ZSTD_e_flush) {
    std::string out(ZSTD_compressBound(bytes.size()) + 100, '\0');
    ZSTD_inBuffer from{bytes.data(), bytes.size(), 0};
    ZSTD_outBuffer to{out.data(), out.size(), 0};
    EXPECT_EQ(ZSTD_compressStream2(stream_.get(), &to, &from, how), 0U);
    out.resize(to.pos);
    return out;
  }
  std::string body(const std::string& bytes) { return packed_of(pack(bytes), bytes.size()); }

 private:
  std::unique_ptr<ZSTD_CCtx, std::size_t (*)(ZSTD_CCtx*)> stream_;
};

frame_state unpack_once(const std::string& body) {
  message_decompressor from(kUnpackedMax);
  net::byte_buffer out;
  const frame_state state = from.unpack(body, out);
  EXPECT_LE(out.capacity(), 4 * (kUnpackedMax + kCombinedBytesMax)) << "memory of a bomb";
  return state;
}

std::string row_like(int i) {
  return "user-" + std::to_string(i) + "@example.org, " + std::to_string(i * 7919 % 10007);
}

TEST(MysqlCompression, MessagesOfAllTypesComeOutAsTheyWentIn) {
  packer to;
  message_decompressor from(kUnpackedMax);
  net::byte_buffer out;
  for (int i = 0; i < 50; ++i) {
    std::string inside = frame_of(server_message::column, row_like(i));
    for (int k = 0; k < i; ++k) inside += frame_of(server_message::row, row_like(k));
    inside += frame_of(server_message::fetch_done, "") + frame_of(server_message::statement_ok, "");
    out.clear();
    ASSERT_EQ(from.unpack(to.body(inside), out), frame_state::whole) << i;
    EXPECT_EQ(out.view(), inside);
  }
}

TEST(MysqlCompression, AStreamMayEndAndBeginAnew) {
  packer to;
  message_decompressor from(kUnpackedMax);
  net::byte_buffer out;
  for (int i = 0; i < 5; ++i) {
    const std::string inside = frame_of(server_message::row, row_like(i));
    out.clear();
    ASSERT_EQ(from.unpack(packed_of(to.pack(inside, ZSTD_e_end), inside.size()), out), frame_state::whole);
    EXPECT_EQ(out.view(), inside);
  }
}

TEST(MysqlCompression, LargeMessagesArePackedAndSmallOnesAreNot) {
  message_compressor to;
  message_decompressor from(kUnpackedMax);
  const std::string small = frame_of(server_message::column, "small");
  std::string large;
  for (int i = 0; i < 2000; ++i) large += row_like(i);
  large = frame_of(server_message::column, large);
  std::size_t first_bytes = 0;
  for (int i = 0; i < 3; ++i) {
    net::byte_buffer wire;
    to.append(wire, small, kUnpackedMax);
    EXPECT_EQ(wire.view(), small);
    wire.clear();
    to.append(wire, large, kUnpackedMax);
    EXPECT_LT(wire.size(), large.size() / 2);
    ASSERT_EQ(wire.view()[4], static_cast<char>(client_message::compression));
    if (i == 0) first_bytes = wire.size();
    net::byte_buffer out;
    ASSERT_EQ(from.unpack(wire.view().substr(kFrameHeadBytes), out), frame_state::whole);
    EXPECT_EQ(out.view(), large);
  }
  EXPECT_GT(first_bytes, 0U);
}

TEST(MysqlCompression, WhatMightNotFitPackedGoesAsItIs) {
  message_compressor to;
  const std::string frame = frame_of(server_message::column, std::string(5000, 'x'));
  net::byte_buffer wire;
  to.append(wire, frame, frame.size() + 10);
  EXPECT_EQ(wire.view(), frame);
}

TEST(MysqlCompression, ABombIsRefusedByWhatItClaims) {
  packer to;
  const std::string inside = frame_of(server_message::row, std::string(1000, 'x'));
  EXPECT_EQ(unpack_once(packed_of(to.pack(inside), 1ULL << 40)), frame_state::too_large);
  EXPECT_EQ(unpack_once(packed_of("", ~0ULL)), frame_state::too_large);
}

TEST(MysqlCompression, ABombIsRefusedByWhatItUnpacksTo) {
  // 100 MB in some 10 KB; each would be one honest row.
  const std::string inside = frame_of(server_message::row, std::string(100'000'000, 'x'));
  packer to;
  const std::string payload = to.pack(inside);
  ASSERT_LT(payload.size(), 20'000U);
  EXPECT_EQ(unpack_once(packed_of(payload, 1005)), frame_state::undecodable) << "more than it says";
  wire::Compression silent;
  silent.set_payload(payload);
  EXPECT_EQ(unpack_once(silent.SerializeAsString()), frame_state::too_large) << "it says nothing";
  EXPECT_EQ(unpack_once(packed_of(payload, inside.size())), frame_state::too_large) << "it says the truth";
}

TEST(MysqlCompression, AMessageInsideIsBoundedLikeAnyOther) {
  packer to;
  EXPECT_EQ(unpack_once(to.body(frame_of(server_message::row, std::string(kUnpackedMax, 'x')))),
            frame_state::too_large);
  packer other;
  const std::string most = frame_of(server_message::column, std::string(kCombinedBytesMax - 100, 'x')) +
                           frame_of(server_message::row, std::string(kUnpackedMax - 1, 'x'));
  EXPECT_EQ(unpack_once(other.body(most)), frame_state::whole) << "a full buffer and the largest row";
}

TEST(MysqlCompression, AWindowThatIsTooLargeIsRefused) {
  const std::string inside = frame_of(server_message::row, std::string(1000, 'x'));
  packer to(23);
  EXPECT_EQ(unpack_once(to.body(inside)), frame_state::whole);
  packer greedy(27);
  EXPECT_EQ(unpack_once(greedy.body(inside)), frame_state::undecodable);
}

TEST(MysqlCompression, NonsenseIsRefused) {
  const std::string row = frame_of(server_message::row, "abc");
  const auto packed = [](const std::string& inside) {
    packer to;
    return to.body(inside);
  };
  EXPECT_EQ(unpack_once(""), frame_state::undecodable) << "no payload";
  EXPECT_EQ(unpack_once("\xff"), frame_state::undecodable);
  EXPECT_EQ(unpack_once(packed_of("no zstd", 8)), frame_state::undecodable);
  EXPECT_EQ(unpack_once(packed("")), frame_state::undecodable) << "nothing inside";
  EXPECT_EQ(unpack_once(packed(row.substr(0, 7))), frame_state::undecodable) << "half a message";
  EXPECT_EQ(unpack_once(packed(row + "\0\0"s)), frame_state::undecodable) << "and a half";
  EXPECT_EQ(unpack_once(packed(row + "\0\0\0\0\0"s)), frame_state::undecodable) << "no type";
  EXPECT_EQ(unpack_once(packed(frame_of(server_message::compression, packed(row)))), frame_state::undecodable)
      << "packed twice";
  packer to;
  EXPECT_EQ(unpack_once(packed_of(to.pack(row), row.size() + 1)), frame_state::undecodable)
      << "less than it says";
}

TEST(MysqlCompression, AMessageThatIsCutOffIsNeverWhole) {
  std::string inside;
  for (int i = 0; i < 40; ++i) inside += frame_of(server_message::row, row_like(i));
  packer to;
  const std::string payload = to.pack(inside);
  for (std::size_t size = 0; size < payload.size(); ++size) {
    EXPECT_NE(unpack_once(packed_of(payload.substr(0, size), inside.size())), frame_state::whole) << size;
  }
}

TEST(MysqlCompression, ChangedBytesNeverReachBeyondTheBounds) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::minstd_rand random(seed);
  std::string inside;
  for (int i = 0; i < 300; ++i) inside += frame_of(server_message::row, row_like(i));
  packer to;
  const std::string honest = to.body(inside);
  for (int round = 0; round < 3000; ++round) {
    std::string changed = honest;
    for (int i = 0; i < 3; ++i) changed[random() % changed.size()] = static_cast<char>(random());
    static_cast<void>(unpack_once(changed));
  }
}

// What a link received, byte by byte; the frames that came out of it.
std::vector<std::string> read_split(const std::string& bytes, std::size_t piece_bytes, frame_state& end) {
  net::core on(0, false);
  const auto over = std::make_shared<link>(on);
  frame_reader frames(*over, kUnpackedMax);
  frames.allow_compression();
  std::vector<std::string> out;
  end = frame_state::incomplete;
  for (std::size_t at = 0; at < bytes.size(); at += piece_bytes) {
    over->input().append(std::string_view(bytes).substr(at, piece_bytes));
    frame next;
    while ((end = frames.next(next)) == frame_state::whole) {
      frame again;
      EXPECT_EQ(frames.next(again), frame_state::whole);
      EXPECT_EQ(again.body.data(), next.body.data()) << "until it is consumed";
      out.push_back(frame_of(next.type, std::string(next.body)));
      frames.consume(next.bytes());
    }
    if (end != frame_state::incomplete) break;
  }
  return out;
}

TEST(MysqlCompression, PackedAndPlainMessagesAreReadInOrderWhereverTheyAreSplit) {
  packer to;
  std::string bytes;
  std::vector<std::string> expected;
  for (int i = 0; i < 6; ++i) {
    std::string inside;
    for (int k = 0; k < 3 + i; ++k) {
      expected.push_back(frame_of(k % 2 == 0 ? server_message::row : server_message::notice, row_like(k)));
      inside += expected.back();
    }
    bytes += frame_of(server_message::compression, to.body(inside));
    if (i % 2 == 0) {
      expected.push_back(frame_of(server_message::statement_ok, ""));
      bytes += expected.back();
    }
  }
  for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
    frame_state end = frame_state::whole;
    ASSERT_EQ(read_split(bytes, piece, end), expected) << piece;
    EXPECT_EQ(end, frame_state::incomplete);
  }
}

TEST(MysqlCompression, AfterNonsenseNothingIsRead) {
  const std::string row = frame_of(server_message::row, "abc");
  const std::string bytes = row + frame_of(server_message::compression, "nonsense") + row;
  for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
    frame_state end = frame_state::whole;
    EXPECT_EQ(read_split(bytes, piece, end), std::vector<std::string>{row}) << piece;
    EXPECT_EQ(end, frame_state::undecodable);
  }
  EXPECT_EQ(frame_error(frame_state::undecodable).code, net::errc::corrupt);
}

}  // namespace
}  // namespace syncline::storage::mysql
