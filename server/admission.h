// Admits work that goes on for as long as its client wants, of which only so much may be in flight at once.
//
// Thread: any. Bound: the largest `max` that was asked for of a kind. Failure: false when as many are in
// flight.
#pragma once

#include <cstdint>

namespace syncline::server {

enum class long_work : std::uint8_t {
  stream,  // a sync stream or a subscription: `sync.streams_max`
  upload,  // `bulk.uploads_max`
};

class admission {
 public:
  admission(long_work of, std::uint32_t max);
  ~admission();
  admission(const admission&) = delete;
  admission& operator=(const admission&) = delete;
  explicit operator bool() const noexcept { return held_; }

 private:
  long_work of_;
  bool held_;
};

}  // namespace syncline::server
