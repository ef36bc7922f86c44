// The broadcasts of one turn of a core, laid out once for all sockets that are sent them.
//
// A socket that is sent the same messages as its neighbours keeps two numbers, not references or copies: its
// unsent range of the log. Short frames lie one behind the other, so a burst of them is one piece for the
// kernel, made by one copy for all sockets; long ones are sent from where they are. Thread: the core. Bound:
// kBytesMax of frames; beyond that append() refuses and the caller queues the frame by itself. Failure: none.
//
// Invariants
//  1. Entries stay while anybody holds a range; when nobody does, the log is empty.
//  2. Short frames that follow each other in the log follow each other in `text_`.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "net/core/output_queue.h"
#include "net/core/shared_bytes.h"

namespace syncline::net::websocket {

class broadcast_log {
 public:
  static constexpr std::size_t kBytesMax = 1024 * 1024;
  // A longer frame is sent from where it is.
  static constexpr std::size_t kCopyBytesMax = 4096;
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  // The index of `frame`: `expected` if it is that entry, else that of the last entry or one of the first
  // few, else of a new one; kNone when the log is full. An index counts until the next release() at most,
  // unless hold() comes before.
  [[nodiscard]] std::uint32_t find_or_append(const shared_bytes& frame, std::uint32_t expected);
  // Of the entries from..to: how many bytes; in pieces for the kernel (as many as `out` has room for); into a
  // queue, without the first `sent` bytes.
  [[nodiscard]] std::size_t bytes(std::uint32_t from, std::uint32_t to) const noexcept;
  [[nodiscard]] std::size_t gather(std::uint32_t from, std::uint32_t to, std::span<iovec> out) noexcept;
  void copy(std::uint32_t from, std::uint32_t to, std::size_t sent, output_queue& out) const;

  // A socket begins to have a range, or has none any more.
  void hold() noexcept { ++held_; }
  void release() noexcept {
    if (--held_ == 0) clear();
  }

 private:
  struct entry {
    shared_bytes frame;
    std::size_t text_at;       // where a short frame is in text_; of a long one, where the next short one is
    std::size_t bytes_before;  // of the entries before it
    std::uint32_t long_before;
    bool is_long;
  };
  void clear() noexcept;
  [[nodiscard]] std::size_t text_end(std::uint32_t to) const noexcept;

  std::vector<entry> entries_;
  std::string text_;
  std::size_t bytes_ = 0;
  std::uint32_t long_frames_ = 0;
  std::size_t held_ = 0;
};

}  // namespace syncline::net::websocket
