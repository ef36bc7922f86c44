#include "net/http/scan.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>

namespace syncline::net::http {
namespace {

struct scan_class {
  const char* name;
  scan_functions::function by_byte;
  scan_functions::function wide;
  scan_functions::function scan_functions::*leveled;
};

const scan_class kScans[] = {
    {"value", byte_scan::value, wide_scan::value, &scan_functions::value},
    {"target", byte_scan::target, wide_scan::target, &scan_functions::target},
    {"path", byte_scan::path, wide_scan::path, &scan_functions::path},
    {"token", byte_scan::token, wide_scan::token, nullptr},
};

// Every level, with each byte value at each place of fields of every length up to three vectors, in memory of
// exactly that size, so that a sanitizer sees a read beyond it.
TEST(Scan, EveryLevelStopsWhereTheDefinitionDoes) {
  const scan_level before = active_scan().level;
  for (const scan_functions& level : scan_levels()) {
    use_scan_level(level.level);
    for (const scan_class& scan : kScans) {
      for (std::size_t size = 0; size <= 100; ++size) {
        const std::unique_ptr<char[]> exact(new char[size]);
        std::memset(exact.get(), 'a', size);
        const char* const p = exact.get();
        const char* const end = p + size;
        for (std::size_t at = 0; at <= size; ++at) {
          for (unsigned byte = 0; byte < 256; ++byte) {
            if (at < size) exact[at] = static_cast<char>(byte);
            const char* const expected = scan.by_byte(p, end);
            ASSERT_EQ(scan.wide(p, end), expected)
                << to_string(level.level) << ' ' << scan.name << ' ' << size;
            if (scan.leveled != nullptr) {
              ASSERT_EQ((level.*scan.leveled)(p, end), expected)
                  << to_string(level.level) << ' ' << scan.name;
            }
            if (at == size) break;
          }
          if (at < size) exact[at] = 'a';
        }
      }
    }
  }
  use_scan_level(before);
}

TEST(Scan, TheBestLevelIsInForce) {
  EXPECT_EQ(scan_levels().front().level, scan_level::scalar);
  EXPECT_EQ(active_scan().level, scan_levels().back().level);
}

}  // namespace
}  // namespace syncline::net::http
