// Idempotency-Key: a phone that sends a write again after a tunnel does it once.
//
// What a key did is remembered by the store in the transaction of the write itself (storage::idempotency);
// here are the reading of the header and the keys that this node is working on right now. Thread: any core.
// Bound: one entry per request in flight. Failure: errc::invalid for a key that is empty, longer than 200, or
// not visible ASCII, or given twice.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>

#include "net/core/error.h"
#include "net/http/exchange.h"

namespace syncline::server {

// The stored key of this request: 32 hex digits of a 128-bit hash of principal, method, path and the client's
// key; nothing without the header.
[[nodiscard]] net::result<std::optional<std::string>> read_idempotency_key(net::http::exchange& x);
// Tells a request sent again from another one under the same key.
[[nodiscard]] std::uint64_t request_fingerprint(std::string_view query, std::string_view body) noexcept;

class requests_in_progress {
 public:
  // Held while a request works; false when another one on this node does.
  class claim {
   public:
    claim(requests_in_progress& in, std::string key);
    ~claim();
    claim(const claim&) = delete;
    claim& operator=(const claim&) = delete;
    explicit operator bool() const noexcept { return held_; }

   private:
    requests_in_progress* in_;
    std::string key_;
    bool held_;
  };

 private:
  struct stripe {
    std::mutex mutex;
    std::unordered_set<std::string> keys;
  };
  [[nodiscard]] stripe& stripe_of(std::string_view key) noexcept;
  std::array<stripe, 16> stripes_;
};

// What a single write saves about itself: the status of its answer and the canonical key of its row.
struct saved_write {
  int status = 200;
  std::string key;
  [[nodiscard]] std::string text() const { return std::to_string(status) + " " + key; }
  [[nodiscard]] static std::optional<saved_write> parse(std::string_view text);
};

}  // namespace syncline::server
