// What a connection still has to send: small answers copied together, large shared bodies by reference
// between them.
//
// Use it so that a batch of answers costs one send. Thread: one. Bound: the connection stops producing at
// `output_buffer_bytes`.
//
// Invariant: size() is the sum of the copied bytes and the unsent parts of the shared bodies.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "net/core/byte_buffer.h"
#include "net/core/shared_bytes.h"

namespace syncline::net {

class output_queue {
 public:
  [[nodiscard]] bool empty() const noexcept { return bytes_.empty() && shared_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return bytes_.size() + shared_bytes_; }
  [[nodiscard]] std::size_t capacity() const noexcept { return bytes_.capacity(); }

  [[nodiscard]] char* prepare(std::size_t room) { return bytes_.prepare(room); }
  void commit(std::size_t n) noexcept {
    bytes_.commit(n);
    appended_ += n;
  }
  void append(std::string_view text) {
    bytes_.append(text);
    appended_ += text.size();
  }
  // Without its first `sent` bytes, if it is the first in the queue.
  void append(shared_bytes body, std::size_t sent = 0);

  // Fills `out` with what comes next; returns how many entries. Then consume() what the kernel took.
  [[nodiscard]] std::size_t gather(std::span<iovec> out) noexcept {
    if (!shared_.empty() || out.empty()) return gather_parts(out);
    out[0] = {bytes_.data(), bytes_.size()};
    return bytes_.empty() ? 0 : 1;
  }
  void consume(std::size_t n) noexcept {
    if (!shared_.empty()) return consume_parts(n);
    bytes_.consume(n);
    consumed_ += n;
  }
  [[nodiscard]] bool has_shared() const noexcept { return !shared_.empty(); }
  // The first shared body (there must be one), how much of it is sent, and what comes before it.
  struct next_shared {
    std::span<char> before;
    const shared_bytes& body;
    std::size_t sent;
  };
  [[nodiscard]] next_shared first_shared() noexcept {
    const shared_part& part = shared_.front();
    return {{bytes_.data(), static_cast<std::size_t>(part.at - consumed_)}, part.body, first_sent_};
  }
  void clear() noexcept;
  void release() noexcept;

 private:
  [[nodiscard]] std::size_t gather_parts(std::span<iovec> out) noexcept;
  void consume_parts(std::size_t n) noexcept;

  struct shared_part {
    std::uint64_t at;  // position among the copied bytes
    shared_bytes body;
  };

  byte_buffer bytes_;
  std::vector<shared_part> shared_;
  std::size_t shared_bytes_ = 0;  // unsent
  std::size_t first_sent_ = 0;    // bytes of shared_.front() already sent
  std::uint64_t appended_ = 0;    // copied bytes, ever
  std::uint64_t consumed_ = 0;
};

}  // namespace syncline::net
