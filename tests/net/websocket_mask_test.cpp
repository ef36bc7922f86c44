#include "net/websocket/mask.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

namespace syncline::net::websocket {
namespace {

std::string byte_wise(std::string bytes, mask_key key, std::size_t offset) {
  char k[4];
  std::memcpy(k, &key, 4);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(bytes[i] ^ k[(offset + i) % 4]);
  return bytes;
}

std::vector<instructions> forms() {
  std::vector<instructions> out{instructions::scalar};
  if (best_instructions() >= instructions::sse2) out.push_back(instructions::sse2);
  if (best_instructions() >= instructions::avx2) out.push_back(instructions::avx2);
  return out;
}

TEST(WebsocketMask, EveryFormEqualsTheByteWiseLoop) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  std::string bytes(700, '\0');
  for (char& c : bytes) c = static_cast<char>(random());
  for (std::size_t size = 0; size < 300; ++size) {
    const std::size_t at = random() % 70;
    const std::size_t offset = random() % 9;
    const auto key = static_cast<mask_key>(random());
    const std::string wanted = byte_wise(bytes.substr(at, size), key, offset);
    for (const instructions form : forms()) {
      std::string copy = bytes;
      const mask_key next = unmask_with(form, copy.data() + at, size, turn_key(key, offset));
      ASSERT_EQ(copy.substr(at, size), wanted) << size << " bytes at " << at;
      ASSERT_EQ(copy.substr(0, at), bytes.substr(0, at)) << "wrote in front";
      ASSERT_EQ(copy.substr(at + size), bytes.substr(at + size)) << "wrote behind";
      ASSERT_EQ(next, turn_key(key, offset + size));
    }
  }
}

TEST(WebsocketMask, PiecesGiveWhatTheWholeGives) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  std::string whole(5000, '\0');
  for (char& c : whole) c = static_cast<char>(random());
  const auto key = static_cast<mask_key>(random());
  const std::string wanted = byte_wise(whole, key, 0);
  mask_key now = key;
  for (std::size_t at = 0; at < whole.size();) {
    const std::size_t n = std::min<std::size_t>(random() % 90, whole.size() - at);
    now = unmask(whole.data() + at, n, now);
    at += n;
  }
  EXPECT_EQ(whole, wanted);
}

}  // namespace
}  // namespace syncline::net::websocket
