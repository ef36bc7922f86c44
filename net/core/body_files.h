// Large bodies that are sent again and again, a second time as pages of the kernel, so that sendfile need not
// copy them for each client.
//
// Use it for immutable shared bodies of 32 KB and more. A body gets its file (a memfd) when it is sent for
// the third time while it is remembered. Thread: one core. Bound: `bytes_max` of files and kSlots
// descriptors; bodies that nobody holds any more are forgotten when room is needed. Failure: no file, and the
// body is sent from where it is.
//
// Invariants
//  1. A file is found for the very object it was made of only: the slot watches that object, so an address
//  that was used again is not taken for it.
//  2. A file never changes after it was made; packets in flight keep its pages after it was closed.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "net/core/shared_bytes.h"
#include "perf/metrics.h"

namespace syncline::net {

class body_files {
 public:
  static constexpr std::size_t kBodyBytesMin = 32 * 1024;

  // `total` counts the bytes of all files, of all cores.
  body_files(std::uint64_t bytes_max, perf::gauge& total) noexcept : bytes_max_(bytes_max), total_(total) {}
  ~body_files();
  body_files(const body_files&) = delete;
  body_files& operator=(const body_files&) = delete;

  // The file with these bytes, or -1. Counts as a use while none of the body was sent (`begins`), not for
  // each of the pieces that a slow reader takes.
  [[nodiscard]] int find(const shared_bytes& body, bool begins = true) noexcept;
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }

 private:
  static constexpr std::size_t kSlots = 64;
  static constexpr std::uint32_t kUsesBeforeFile = 3;
  static constexpr std::uint32_t kUsesMax = 1000;
  struct slot {
    const std::string* key = nullptr;
    std::weak_ptr<const std::string> alive;
    std::uint64_t bytes = 0;  // of the file
    std::uint32_t uses = 0;
    int file = -1;
  };
  void forget(slot& s) noexcept;
  void forget_the_dead() noexcept;
  void make_file(slot& s, const std::string& body) noexcept;

  std::array<slot, kSlots> slots_;
  std::uint64_t bytes_ = 0;
  const std::uint64_t bytes_max_;
  perf::gauge& total_;
};

}  // namespace syncline::net
