// One of `sync.streams_max` places, held while a stream or a subscription lives.
//
// Thread: any. Bound: the largest `max` that was asked for. Failure: false when all are taken.
#pragma once

#include <cstdint>

namespace syncline::server {

class stream_place {
 public:
  explicit stream_place(std::uint32_t max);
  ~stream_place();
  stream_place(const stream_place&) = delete;
  stream_place& operator=(const stream_place&) = delete;
  explicit operator bool() const noexcept { return held_; }

 private:
  bool held_;
};

}  // namespace syncline::server
