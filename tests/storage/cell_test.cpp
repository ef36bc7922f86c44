#include "storage/cell.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace syncline::storage {
namespace {

TEST(TextArena, CopiesStayWhereTheyAreWhileItGrows) {
  text_arena arena;
  std::vector<std::string> wanted;
  std::vector<std::string_view> kept;
  for (std::size_t i = 0; i < 3000; ++i) {
    wanted.push_back(std::string(i % 257, static_cast<char>('a' + i % 26)));
    kept.push_back(arena.copy(wanted.back()));
  }
  const std::string large(100'000, 'x');
  kept.push_back(arena.copy(large));
  wanted.push_back(large);
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_EQ(kept[i], wanted[i]);
    bytes += wanted[i].size();
  }
  EXPECT_EQ(arena.bytes(), bytes);
}

TEST(TextArena, MovedFromArenaDoesNotWriteIntoWhatItGaveAway) {
  text_arena first;
  const std::string_view kept = first.copy("kept");
  const text_arena second = std::move(first);
  const std::string_view other =
      first.copy("other");  // NOLINT(bugprone-use-after-move): the promise under test
  EXPECT_EQ(kept, "kept");
  EXPECT_EQ(other, "other");
  EXPECT_EQ(first.bytes(), 5U);
  EXPECT_EQ(second.bytes(), 4U);
}

TEST(TextArena, ClearedArenaIsUsableAgain) {
  text_arena arena;
  (void)arena.copy("gone");
  arena.clear();
  EXPECT_EQ(arena.bytes(), 0U);
  EXPECT_EQ(arena.copy(""), "");
  EXPECT_EQ(arena.copy("new"), "new");
}

}  // namespace
}  // namespace syncline::storage
