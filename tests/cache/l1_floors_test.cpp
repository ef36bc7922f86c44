#include "cache/l1_floors.h"

#include <algorithm>
#include <map>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace syncline::cache {
namespace {

TEST(L1Floors, RemembersTheNewestInvalidationOfAKeyAndNeverForgetsTowardsTooLow) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  l1_floors floors;
  std::map<std::size_t, std::int64_t> model;
  std::vector<std::size_t> hashes;
  for (int i = 0; i < 5000; ++i) hashes.push_back(random());
  EXPECT_EQ(floors.of(hashes[0]), 0);
  for (std::int64_t position = 1; position < 20'000; ++position) {
    const std::size_t hash = hashes[random() % hashes.size()];
    // Some arrive out of order.
    const std::int64_t at = random() % 10 == 0 ? std::max<std::int64_t>(1, position - 50) : position;
    floors.note(hash, at);
    model[hash] = std::max(model[hash], at);
    ASSERT_GE(floors.of(hash), model[hash]);
  }
  for (const auto& [hash, position] : model) ASSERT_GE(floors.of(hash), position);
  floors.note_all(30'000);
  for (const std::size_t hash : hashes) ASSERT_GE(floors.of(hash), 30'000);
  // A database that was put back: what it knew later is no floor any more.
  floors.note_all(7);
  for (const std::size_t hash : hashes) ASSERT_EQ(floors.of(hash), 7);
  floors.note(hashes[0], 9);
  EXPECT_EQ(floors.of(hashes[0]), 9);
}

TEST(L1Floors, AKeyWithoutInvalidationIsNotHeldBackByAFewOthers) {
  l1_floors floors;
  for (std::size_t i = 1; i <= 8; ++i) floors.note(i, 100);  // one set, all its ways
  EXPECT_EQ(floors.of(9), 0);
  for (std::size_t i = 1; i <= 8; ++i) EXPECT_EQ(floors.of(i), 100);
}

}  // namespace
}  // namespace syncline::cache
