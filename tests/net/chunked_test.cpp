#include "net/http/chunked.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <random>
#include <string>
#include <vector>

namespace syncline::net::http {
namespace {

struct decoded {
  chunk_status status = chunk_status::need_more;
  chunk_error error = chunk_error::none;
  std::string body;
  std::size_t consumed = 0;
};

// Feeds `bytes` in pieces of `step` bytes.
decoded decode(std::string bytes, std::size_t step) {
  decoded out;
  chunked_decoder decoder;
  for (std::size_t at = 0; at < bytes.size() && out.status == chunk_status::need_more;) {
    const std::size_t n = std::min(step, bytes.size() - at);
    const chunked_decoder::step did = decoder.decode(bytes.data() + at, n);
    out.status = did.status;
    out.body.append(bytes.data() + at, did.produced);
    out.consumed += did.consumed;
    at += did.consumed;
  }
  out.error = decoder.error();
  return out;
}

TEST(Chunked, DecodesChunksAndLeavesWhatFollows) {
  const std::string bytes = "3\r\nabc\r\nA;x=\"y z\"\r\n0123456789\r\n000\r\nTrailer: v\r\n\r\nGET /";
  for (std::size_t step = 1; step <= bytes.size(); ++step) {
    const decoded d = decode(bytes, step);
    ASSERT_EQ(d.status, chunk_status::done) << step;
    EXPECT_EQ(d.body, "abc0123456789");
    EXPECT_EQ(bytes.substr(d.consumed), "GET /");
  }
}

struct bad_chunk {
  const char* name;
  std::string bytes;
  chunk_error expected;
};

std::vector<bad_chunk> bad_chunks() {
  using enum chunk_error;
  return {
      {"LeadingSpace", " 3\r\nabc\r\n0\r\n\r\n", bad_size},
      {"TrailingSpace", "3 \r\nabc\r\n0\r\n\r\n", bad_size},
      {"SpaceBeforeExtension", "3 ;a\r\nabc\r\n0\r\n\r\n", bad_size},
      {"EmptySize", "\r\nabc\r\n0\r\n\r\n", bad_size},
      {"Negative", "-3\r\nabc\r\n0\r\n\r\n", bad_size},
      {"Prefix0x", "0x3\r\nabc\r\n0\r\n\r\n", bad_size},
      {"BareLfAfterSize", "3\nabc\r\n0\r\n\r\n", bad_size},
      {"BareCrAfterSize", "3\rabc\r\n0\r\n\r\n", bad_size},
      {"Overflow", "10000000000000000\r\n", size_overflow},
      {"SignBit", "8000000000000000\r\n", size_overflow},
      {"ManyZeros", "00000000000000000\r\n\r\n", size_overflow},
      {"ExtensionControl", std::string("3;a\x01\r\nabc\r\n0\r\n\r\n"), bad_extension},
      {"ExtensionBareLf", "3;a\nabc\r\n0\r\n\r\n", bad_extension},
      {"ExtensionTooLong", "3;" + std::string(300, 'a') + "\r\nabc\r\n0\r\n\r\n", extension_too_long},
      {"NoCrlfAfterBytes", "3\r\nabcd\r\n0\r\n\r\n", missing_crlf},
      {"BareLfAfterBytes", "3\r\nabc\n0\r\n\r\n", missing_crlf},
      {"BareCrAfterBytes", "3\r\nabc\r0\r\n\r\n", missing_crlf},
      {"TrailerBareLf", "0\r\nA: b\n\r\n", bad_trailer},
      {"TrailerWithoutColon", "0\r\nAb\r\n\r\n", bad_trailer},
      {"TrailerEmptyName", "0\r\n: b\r\n\r\n", bad_trailer},
      {"TrailerFolded", "0\r\nA: b\r\n c\r\n\r\n", bad_trailer},
      {"TrailerSpaceBeforeColon", "0\r\nA : b\r\n\r\n", bad_trailer},
      {"EndBareLf", "0\r\n\n", bad_trailer},
      {"TrailerTooLong", "0\r\nA: " + std::string(9000, 'a') + "\r\n\r\n", trailer_too_long},
  };
}

class BadChunks : public ::testing::TestWithParam<bad_chunk> {};

TEST_P(BadChunks, AreRefusedHoweverTheyArrive) {
  const bad_chunk& bad = GetParam();
  for (const std::size_t step : {std::size_t{1}, std::size_t{7}, bad.bytes.size()}) {
    const decoded d = decode(bad.bytes, step);
    EXPECT_EQ(d.status, chunk_status::failed);
    EXPECT_EQ(to_string(d.error), to_string(bad.expected));
  }
}

INSTANTIATE_TEST_SUITE_P(Chunked, BadChunks, ::testing::ValuesIn(bad_chunks()),
                         [](const auto& param) { return std::string(param.param.name); });

TEST(Chunked, BoundsTheExtensionsOfAllChunksTogether) {
  std::string bytes;
  for (int i = 0; i < 200; ++i) bytes += "1;" + std::string(200, 'e') + "\r\nx\r\n";
  EXPECT_EQ(decode(bytes, 1000).error, chunk_error::extension_too_long);
}

TEST(Chunked, LargeChunksMayCarrySignatures) {
  std::string bytes;
  for (int i = 0; i < 400; ++i)
    bytes += "1000;" + std::string(90, 'e') + "\r\n" + std::string(4096, 'x') + "\r\n";
  bytes += "0\r\n\r\n";
  const decoded d = decode(bytes, 8000);
  EXPECT_EQ(d.status, chunk_status::done);
  EXPECT_EQ(d.body.size(), 400U * 4096U);
}

TEST(Chunked, RandomSplitsGiveTheSameBytes) {
  const std::uint32_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 300; ++round) {
    std::string body, bytes;
    for (auto chunks = static_cast<unsigned>(random() % 6); chunks > 0; --chunks) {
      const std::string piece(1 + random() % 300, static_cast<char>('a' + chunks));
      char size[16];
      std::snprintf(size, sizeof size, "%zx\r\n", piece.size());
      bytes += size + piece + "\r\n";
      body += piece;
    }
    bytes += "0\r\n\r\n";
    const decoded d = decode(bytes, 1 + random() % 50);
    ASSERT_EQ(d.status, chunk_status::done);
    ASSERT_EQ(d.body, body);
  }
}

}  // namespace
}  // namespace syncline::net::http
