#include "perf/memory.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "perf/metrics.h"

namespace syncline::perf {
namespace {

TEST(Memory, ResidentBytesGrowWithTouchedMemory) {
  const std::uint64_t before = read_memory_figures().resident_bytes;
  constexpr std::size_t kBytes = 64U << 20U;
  const std::vector<char> touched(kBytes, 'x');
  const std::uint64_t after = read_memory_figures().resident_bytes;
  ASSERT_EQ(touched.back(), 'x');
  EXPECT_GT(after, before + kBytes / 2);
}

TEST(Memory, WithoutJemallocItsFiguresAreZero) {
  const memory_figures figures = read_memory_figures();
  if (figures.jemalloc) {
    EXPECT_GT(figures.allocated_bytes, 0U);
    EXPECT_GE(figures.mapped_bytes, figures.active_bytes);
  } else {
    EXPECT_EQ(figures.allocated_bytes + figures.active_bytes + figures.mapped_bytes + figures.retained_bytes,
              0U);
  }
}

TEST(Memory, RegisteringTwiceDoesNotDoubleTheFigures) {
  register_memory_metrics();
  register_memory_metrics();
  const std::string text = metrics::scrape();
  const std::string name = "\nsyncline_memory_resident_bytes ";
  const std::size_t at = text.find(name);
  ASSERT_NE(at, std::string::npos);
  EXPECT_LT(std::stod(text.substr(at + name.size())),
            1.5 * static_cast<double>(read_memory_figures().resident_bytes));
}

}  // namespace
}  // namespace syncline::perf
