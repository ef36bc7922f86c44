// The messages that came over a link, one after the other, those that were packed together unpacked.
//
// Use it through `pipeline`. Thread: the core. Bound: the messages of one COMPRESSION message at a time, as
// compression.h bounds them; the next is unpacked when they are consumed. Failure: frame_state, for good.
//
// Invariants
//  1. next() gives the same frame until it is consumed; its body is valid as long, when nothing is read.
//  2. The link's input is changed only while it is not reading: what is incomplete stays as it is.
#pragma once

#include <cstddef>
#include <optional>

#include "net/core/byte_buffer.h"
#include "storage/mysql/compression.h"
#include "storage/mysql/link.h"
#include "storage/mysql/message.h"

namespace syncline::storage::mysql {

class frame_reader {
 public:
  frame_reader(link& over, std::size_t message_bytes_max) noexcept
      : link_(&over), message_bytes_max_(message_bytes_max) {}
  // From now on messages may come packed. Without it one that does is nonsense.
  void allow_compression() { unpacks_.emplace(message_bytes_max_); }

  // The frame at the front.
  [[nodiscard]] frame_state next(frame& out);
  // Drops it; `bytes` are its own.
  void consume(std::size_t bytes) noexcept;

 private:
  link* link_;
  std::size_t message_bytes_max_;
  std::optional<message_decompressor> unpacks_;
  net::byte_buffer unpacked_;
  frame_state broken_ = frame_state::whole;
};

}  // namespace syncline::storage::mysql
