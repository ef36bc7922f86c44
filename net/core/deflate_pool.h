// Deflate states, which cost 70 KB each: lent out while bytes are compressed, kept for the next borrower,
// bounded over the whole process.
//
// Shape: window 2^13, memory level 6. On NDJSON rows of 318 bytes in pages of 128 KB, level 1, it
// compresses 3.46 times; zlib's default (2^15, level 8: 256 KB) 3.51 times, 2^12 and 5 (32 KB) 3.38, 2^10 and
// 4 (12 KB) 2.83 and takes twice the time. Use it for streams of gzip; WebSocket has windows of its own to
// agree on. Thread: any. A thread keeps kSparesMax states for itself, so a core that gives one back takes the
// same one again without a lock. Bound: set_deflate_bytes_max(), 64 MiB unless set. Failure: take_deflate()
// gives null at the bound or without memory; the caller goes on without compression, which every deflate
// stream can.
#pragma once

#include <zlib.h>

#include <cstddef>
#include <memory>

namespace syncline::net {

// A raw deflate stream (RFC 1951 without a wrapper), fresh when taken.
class deflate_state {
 public:
  [[nodiscard]] static std::unique_ptr<deflate_state> make() noexcept;
  ~deflate_state();
  deflate_state(const deflate_state&) = delete;
  deflate_state& operator=(const deflate_state&) = delete;

  static constexpr std::size_t kBytes = 70 * 1024;  // 71,488 bytes in five blocks, measured
  z_stream stream{};

 private:
  deflate_state() = default;
  bool begun_ = false;
};

[[nodiscard]] std::unique_ptr<deflate_state> take_deflate(int level) noexcept;
// `used` may be null.
void give_back_deflate(std::unique_ptr<deflate_state> used) noexcept;
// More than half of the bound is taken: who can do without its history gives it back at once.
[[nodiscard]] bool deflate_is_scarce() noexcept;
void set_deflate_bytes_max(std::size_t bytes) noexcept;
[[nodiscard]] std::size_t deflate_bytes() noexcept;  // held now, spare ones included

}  // namespace syncline::net
