#include "net/http/scan.h"

#include <array>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace syncline::net::http {

namespace {

constexpr scan_functions kScalar{scan_level::scalar, byte_scan::value, byte_scan::target, byte_scan::path};

#if defined(__x86_64__)

// Pairs of first and last byte of what is outside a class, as pcmpestri takes them.
struct ranges {
  alignas(16) std::array<char, 16> pairs;
  int size;
};
constexpr ranges kOutsideValue{{0x00, 0x08, 0x0a, 0x1f, 0x7f, 0x7f}, 6};
constexpr ranges kOutsideTarget{{0x00, 0x20, '#', '#', 0x7f, static_cast<char>(0xff)}, 6};
constexpr ranges kOutsidePath{{0x00, 0x20, '#', '#', '?', '?', 0x7f, static_cast<char>(0xff)}, 8};

[[gnu::target("sse4.2"), gnu::always_inline]] inline const char* skip_sse42(const char* p, const char* end,
                                                                            const ranges& outside) noexcept {
  const __m128i pairs = _mm_load_si128(reinterpret_cast<const __m128i*>(outside.pairs.data()));
  while (end - p >= 16) {
    const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const int at = _mm_cmpestri(pairs, outside.size, x, 16,
                                _SIDD_UBYTE_OPS | _SIDD_CMP_RANGES | _SIDD_LEAST_SIGNIFICANT);
    if (at != 16) return p + at;
    p += 16;
  }
  return p;
}

[[gnu::target("sse4.2")]] const char* value_sse42(const char* p, const char* end) noexcept {
  return byte_scan::value(skip_sse42(p, end, kOutsideValue), end);
}
[[gnu::target("sse4.2")]] const char* target_sse42(const char* p, const char* end) noexcept {
  return byte_scan::target(skip_sse42(p, end, kOutsideTarget), end);
}
[[gnu::target("sse4.2")]] const char* path_sse42(const char* p, const char* end) noexcept {
  return byte_scan::path(skip_sse42(p, end, kOutsidePath), end);
}

constexpr scan_functions kSse42{scan_level::sse42, value_sse42, target_sse42, path_sse42};

[[gnu::target("avx2"), gnu::always_inline]] inline unsigned outside_value_avx2(__m256i x) noexcept {
  const __m256i control = _mm256_cmpeq_epi8(_mm256_min_epu8(x, _mm256_set1_epi8(0x1f)), x);
  const __m256i bad = _mm256_andnot_si256(_mm256_cmpeq_epi8(x, _mm256_set1_epi8('\t')), control);
  return static_cast<unsigned>(
      _mm256_movemask_epi8(_mm256_or_si256(bad, _mm256_cmpeq_epi8(x, _mm256_set1_epi8(0x7f)))));
}
[[gnu::target("avx2"), gnu::always_inline]] inline unsigned outside_target_avx2(__m256i x,
                                                                                char also) noexcept {
  const __m256i moved = _mm256_sub_epi8(x, _mm256_set1_epi8(0x21));
  const __m256i visible = _mm256_cmpeq_epi8(_mm256_min_epu8(moved, _mm256_set1_epi8(0x7e - 0x21)), moved);
  const __m256i mark = _mm256_or_si256(_mm256_cmpeq_epi8(x, _mm256_set1_epi8('#')),
                                       _mm256_cmpeq_epi8(x, _mm256_set1_epi8(also)));
  return ~static_cast<unsigned>(_mm256_movemask_epi8(_mm256_andnot_si256(mark, visible)));
}

// What is left after the last 32 bytes is smaller than that: 16 bytes at a time, then singly.
[[gnu::target("avx2")]] const char* value_avx2(const char* p, const char* end) noexcept {
  for (; end - p >= 32; p += 32) {
    const unsigned outside = outside_value_avx2(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    if (outside != 0) return p + __builtin_ctz(outside);
  }
  if (end - p >= 16) {
    const unsigned outside = detail::outside_value(detail::load16(p));
    if (outside != 0) return p + __builtin_ctz(outside);
    p += 16;
  }
  return byte_scan::value(p, end);
}

[[gnu::target("avx2"), gnu::always_inline]] inline const char* skip_target_avx2(const char* p,
                                                                                const char* end,
                                                                                char also) noexcept {
  for (; end - p >= 32; p += 32) {
    const unsigned outside =
        outside_target_avx2(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)), also);
    if (outside != 0) return p + __builtin_ctz(outside);
  }
  if (end - p >= 16) {
    const unsigned outside = detail::outside_target(detail::load16(p), also);
    if (outside != 0) return p + __builtin_ctz(outside);
    p += 16;
  }
  return p;
}

[[gnu::target("avx2")]] const char* target_avx2(const char* p, const char* end) noexcept {
  return byte_scan::target(skip_target_avx2(p, end, '#'), end);
}
[[gnu::target("avx2")]] const char* path_avx2(const char* p, const char* end) noexcept {
  return byte_scan::path(skip_target_avx2(p, end, '?'), end);
}

constexpr scan_functions kAvx2{scan_level::avx2, value_avx2, target_avx2, path_avx2};

#endif

struct levels {
  std::array<scan_functions, 3> all{kScalar, kScalar, kScalar};
  std::size_t count = 1;
  levels() noexcept {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("sse4.2") != 0) all[count++] = kSse42;
    if (__builtin_cpu_supports("avx2") != 0) all[count++] = kAvx2;
#endif
    detail::active_functions = &all[count - 1];
  }
};

}  // namespace

constinit const scan_functions* detail::active_functions = &kScalar;

namespace {
const levels kLevels;  // asks the processor once, before main()
}

std::span<const scan_functions> scan_levels() noexcept {
  return {kLevels.all.data(), kLevels.count};
}

const scan_functions& active_scan() noexcept {
  return *detail::active_functions;
}

void use_scan_level(scan_level level) noexcept {
  for (const scan_functions& each : scan_levels()) {
    if (each.level == level) detail::active_functions = &each;
  }
}

std::string_view to_string(scan_level level) noexcept {
  switch (level) {
    case scan_level::scalar:
      return "scalar";
    case scan_level::sse42:
      return "sse4.2";
    case scan_level::avx2:
      break;
  }
  return "avx2";
}

}  // namespace syncline::net::http
