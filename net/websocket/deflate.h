// permessage-deflate's streams (RFC 7692 section 7.2) and the pool they are borrowed from.
//
// A message's DEFLATE bytes travel without their last four (00 00 FF FF): a compressor cuts them off, an
// inflater puts them back. Use a pool per core. Without context takeover a socket borrows a stream for one
// message and holds none between messages; with it the socket keeps its lease.
// Thread: one core's: pool, leases and scratch. The pool outlives its leases.
// Bound: `streams_max` leases at once, `spares_max` unused streams of each kind kept; bytes() is what all of
// them hold now. Measured with zlib 1.2.13 (WebsocketDeflate.StreamsCostWhatTheHeaderSays), in KiB:
//
//     window bits                  9    10    11    12    13    14    15
//     compressor                  12    18    30    54   102   198   262   (memory level 8, see below)
//     the same, memory level 4    12    18    22    30    46    78   142
//     inflater, with its window   9     9    10    12    16    24    40   (8 before the first message)
//
// Failure: borrow_*() returns null when `streams_max` are out; an inflater says `corrupt` once and must then
// be given back. std::bad_alloc when zlib gets no memory.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct z_stream_s;

namespace syncline::net::websocket {

class deflate_pool;

enum class inflate_status : std::uint8_t {
  done,     // all input is taken, and with `last` the message is complete
  full,     // `out` is full; call again with what is left of the input
  corrupt,  // no DEFLATE, or a message that ends inside a block
};

struct inflate_step {
  std::size_t produced = 0;
  inflate_status what = inflate_status::done;
};

class inflater {
 public:
  // `window_bits` 8..15; below 9 counts as 9, see deflate_offer.h.
  inflater(std::size_t& bytes, int window_bits);
  ~inflater();
  inflater(const inflater&) = delete;
  inflater& operator=(const inflater&) = delete;
  // Inflates from the front of `in` (advancing it) into `out`, which is not empty. `last`: `in` is the end of
  // the message. The window stays for the next message until reset(). A peer that reaches back further than
  // it agreed to may be found out or not: zlib notices it only across calls.
  [[nodiscard]] inflate_step run(std::string_view& in, bool last, std::span<char> out) noexcept;
  void reset(int window_bits) noexcept;

 private:
  [[nodiscard]] inflate_status pump(std::string_view& in) noexcept;
  [[nodiscard]] bool restart() noexcept;

  std::unique_ptr<z_stream_s> stream_;
  std::uint8_t tail_at_ = 0;  // how much of the tail has been put back
  bool ended_ = false;        // a block said that it is the final one (BFINAL)
};

class compressor {
 public:
  // `window_bits` 9..15.
  compressor(std::size_t& bytes, int window_bits, int memory_level, int level);
  ~compressor();
  compressor(const compressor&) = delete;
  compressor& operator=(const compressor&) = delete;
  // Appends a piece of a message, compressed; with `last` the message is complete and its tail cut off. Two
  // messages share the window unless reset() is between them.
  void run(std::string_view piece, bool last, std::string& out);
  void reset() noexcept;
  [[nodiscard]] int window_bits() const noexcept { return window_bits_; }

 private:
  std::unique_ptr<z_stream_s> stream_;
  int window_bits_;
  bool begun_ = false;  // the message has had input
};

struct give_back {
  deflate_pool* pool = nullptr;
  void operator()(inflater* unused) const noexcept;
  void operator()(compressor* unused) const noexcept;
};
using inflater_lease = std::unique_ptr<inflater, give_back>;
using compressor_lease = std::unique_ptr<compressor, give_back>;

struct deflate_pool_options {
  int level = 1;         // 1 fastest .. 9 smallest
  int memory_level = 8;  // 1..9; see effective_memory_level()
  std::size_t streams_max = 1024;
  std::size_t spares_max = 8;
};

// zlib walks its whole hash table (2 << (level + 7) bytes) each time the window has slid by its own size, so
// a large table makes a small window slow: at window 11 level 8 took three times as long as level 5 for 16
// KB.
[[nodiscard]] constexpr int effective_memory_level(int memory_level, int window_bits) noexcept {
  return memory_level < window_bits - 6 ? memory_level : window_bits - 6;
}

// The window for one message without history: no larger than the message needs, so that a short one does not
// pay for clearing a large hash table. zlib reaches back the window less 262 bytes (its longest look ahead).
[[nodiscard]] constexpr int window_bits_for(std::size_t message_bytes, int window_bits_max) noexcept {
  const int wanted = static_cast<int>(std::bit_width(message_bytes + 261));
  return std::max(9, std::min(wanted, window_bits_max));
}

class deflate_pool {
 public:
  explicit deflate_pool(const deflate_pool_options& options = {});
  ~deflate_pool();
  deflate_pool(const deflate_pool&) = delete;
  deflate_pool& operator=(const deflate_pool&) = delete;

  // Fresh streams (no history); null when too many are out.
  [[nodiscard]] inflater_lease borrow_inflater(int window_bits);
  [[nodiscard]] compressor_lease borrow_compressor(int window_bits);

  // Where readers inflate to and writers compress to: valid until the next of them runs on this core.
  [[nodiscard]] std::span<char> inflated() noexcept { return {inflated_.get(), kScratchBytes}; }
  [[nodiscard]] std::string& compressed() noexcept;

  [[nodiscard]] std::size_t borrowed() const noexcept { return borrowed_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }  // of zlib, spares included

 private:
  friend struct give_back;
  static constexpr std::size_t kScratchBytes = 16 * 1024;

  const deflate_pool_options options_;
  std::size_t bytes_ = 0;
  std::size_t borrowed_ = 0;
  std::unique_ptr<char[]> inflated_;
  std::string compressed_;
  std::vector<std::unique_ptr<inflater>> inflaters_;
  std::vector<std::unique_ptr<compressor>> compressors_;
};

}  // namespace syncline::net::websocket
