#include "net/core/gzip_bytes.h"

#include <gtest/gtest.h>

#include <random>

#include "net/core/gzip.h"

namespace syncline::net {
namespace {

std::string plain(std::string_view packed) {
  gzip_decoder decoder;
  std::string out;
  while (!packed.empty()) EXPECT_TRUE(decoder.decode(packed, 1 << 20, out).has_value());
  EXPECT_TRUE(decoder.complete());
  return out;
}

TEST(GzipBytes, MakesOneMemberThatAnyoneCanRead) {
  std::string json = "[";
  for (int i = 0; i < 500; ++i) json += "{\"id\":" + std::to_string(i) + ",\"name\":\"somebody\"},";
  const std::string packed = gzip_bytes(json);
  EXPECT_LT(packed.size(), json.size() / 4);
  EXPECT_EQ(plain(packed), json);
}

TEST(GzipBytes, SaysNothingWhereItDoesNotPay) {
  std::mt19937_64 dice(1);
  std::string noise;
  for (int i = 0; i < 4096; ++i) noise.push_back(static_cast<char>(dice()));
  EXPECT_EQ(gzip_bytes(noise), "");
  EXPECT_EQ(gzip_bytes("short"), "");
  EXPECT_EQ(gzip_bytes(""), "");
}

}  // namespace
}  // namespace syncline::net
