// A ring of bytes between one thread that logs and the thread that drains.
//
// Use it for log records only: whole records go in, whole records come out, in order. Not for more than one
// writer or reader at a time; a ring may change its writer when a lock orders the two (perf/log.cpp hands
// rings on). Thread: reserve/put/piece/commit by the writer, peek/texts/release by the reader. Bound:
// kRingBytes. Failure: reserve says false when the record does not fit, and nothing was written.
//
// Invariants
//  1. tail_ <= head_ <= tail_ + kRingBytes; both only grow, the place in memory is the value modulo
//  kRingBytes.
//  2. Bytes in [tail_, head_) are whole records and belong to the reader; all others belong to the writer.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "perf/log.h"

namespace syncline::perf {

// What stands before a record's texts. `steady_ns` orders lines of all threads: the wall clock may step back.
struct log_record_header {
  std::uint32_t record_bytes = 0;   // of the texts, without this header
  std::uint32_t message_bytes = 0;  // before cutting
  std::int64_t steady_ns = 0;
  std::int64_t wall_ms = 0;
  std::uint32_t fields = 0;  // kAccessRecord: an access_record and its texts follow, `wall_ms` is not set
  log_level level = log_level::info;
};
inline constexpr std::uint32_t kAccessRecord = ~std::uint32_t{0};

struct log_field_header {
  std::uint32_t key_bytes = 0;    // before cutting
  std::uint32_t value_bytes = 0;  // before cutting
};

// Gives the calling thread its ring now. Without it the first line of a thread needs memory for one, and a
// line that says there is none would be lost.
void log_prepare_thread() noexcept;

class log_ring {
 public:
  log_ring() : bytes_(new char[kRingBytes]) {}  // not zeroed: a thread that logs little touches little memory

  [[nodiscard]] bool reserve(std::size_t n) noexcept {
    write_at_ = head_.load(std::memory_order_relaxed);
    return n <= kRingBytes - (write_at_ - tail_.load(std::memory_order_acquire));
  }
  void put(const void* from, std::size_t n) noexcept {
    const std::size_t at = write_at_ % kRingBytes;
    const std::size_t first = std::min(n, kRingBytes - at);
    if (first == n) [[likely]] {
      std::memcpy(bytes_.get() + at, from, n);
      write_at_ += n;
      return;
    }
    std::memcpy(bytes_.get() + at, from, first);
    std::memcpy(bytes_.get(), static_cast<const char*>(from) + first, n - first);
    write_at_ += n;
  }
  // After reserve(n): where `n` bytes may be written in one piece, or null; then commit_piece(n).
  [[nodiscard]] char* piece(std::size_t n) noexcept {
    const std::size_t at = write_at_ % kRingBytes;
    return n <= kRingBytes - at ? bytes_.get() + at : nullptr;
  }
  void commit_piece(std::size_t n) noexcept { head_.store(write_at_ + n, std::memory_order_release); }
  void commit() noexcept { head_.store(write_at_, std::memory_order_release); }

  // The header of the oldest record, left where it is.
  [[nodiscard]] bool peek(log_record_header& out) const noexcept {
    const std::size_t at = tail_.load(std::memory_order_relaxed);
    if (head_.load(std::memory_order_acquire) == at) return false;
    get(at, &out, sizeof out);
    return true;
  }
  // What stands behind the oldest record's header, which `peek` gave, until release(): in place, or, when it
  // goes over the end of the memory, in `spare`.
  [[nodiscard]] std::string_view texts(const log_record_header& header, std::string& spare) const {
    const std::size_t from = tail_.load(std::memory_order_relaxed) + sizeof header;
    const std::size_t at = from % kRingBytes;
    if (header.record_bytes <= kRingBytes - at) return {bytes_.get() + at, header.record_bytes};
    spare.resize(header.record_bytes);
    get(from, spare.data(), spare.size());
    return spare;
  }
  void release(const log_record_header& header) noexcept {
    tail_.store(tail_.load(std::memory_order_relaxed) + sizeof header + header.record_bytes,
                std::memory_order_release);
  }

  std::atomic<std::uint64_t> dropped_lines{0};  // counted by the writer, taken by the reader

 private:
  void get(std::size_t from, void* to, std::size_t n) const noexcept {
    const std::size_t at = from % kRingBytes;
    const std::size_t first = std::min(n, kRingBytes - at);
    std::memcpy(to, bytes_.get() + at, first);
    std::memcpy(static_cast<char*>(to) + first, bytes_.get(), n - first);
  }

  std::unique_ptr<char[]> bytes_;
  alignas(64) std::atomic<std::size_t> head_{0};
  std::size_t write_at_ = 0;  // the writer's place between reserve and commit
  alignas(64) std::atomic<std::size_t> tail_{0};
};

}  // namespace syncline::perf
