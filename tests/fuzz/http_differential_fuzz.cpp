// Arbitrary bytes of a connection: our parser and body decoder must come to what the reference parser comes
// to, however the bytes arrive and at each level of the scans. The first byte chooses how they are split:
// a digit is that many bytes at a time, 0 a varying number.
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string_view>

#include "net/http/scan.h"
#include "tests/net/differential.h"

namespace {

using namespace syncline::net::http;

// After as many bytes as the input says, or a pseudo-random number of them when it says 0.
class splits {
 public:
  explicit splits(std::size_t step) : step_(step) {}
  std::size_t operator()() {
    if (step_ != 0) return step_;
    state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return 1 + (state_ >> 33U) % 40;
  }

 private:
  std::size_t step_;
  std::uint64_t state_ = 88172645463325252ULL;
};

void demand(bool equal, const char* how) {
  if (equal) return;
  std::cerr << "differs from the reference: " << how << ", " << to_string(active_scan().level) << '\n';
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(bytes) + 1, size - 1);
  const limits bounds = testing::small_limits();
  const testing::conversation expected = testing::read_with_reference(input, bounds);
  for (const scan_functions& level : scan_levels()) {
    use_scan_level(level.level);
    demand(testing::read_with_ours(input, bounds, splits(size)) == expected, "whole");
    demand(testing::read_with_ours(input, bounds, splits(bytes[0] % 48U)) == expected, "split");
  }
  demand(testing::read_with_ours(input, bounds, splits(1)) == expected, "by byte");
  return 0;
}
