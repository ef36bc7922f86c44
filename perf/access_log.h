// The access log: one line for each request, in the same file and order as all other log lines.
//
// `ts=… level=info msg="request" method=GET target=/v1/users/17 route="GET /v1/{resource}/{key}" status=200
// bytes=500 us=12 peer=127.0.0.1 request_id=…`. The thread that answers stores the facts as they are, about
// 150 bytes; the log's thread makes text of them. As a line of log fields it cost 11,200 instructions a
// request. Thread: any. Bound: that of the log; texts are cut at kAccessTextBytesMax. Failure: a full ring
// drops the line and counts it (syncline_log_dropped_total).
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace syncline::perf {

inline constexpr std::size_t kAccessTextBytesMax = 1024;

struct access_entry {
  std::chrono::steady_clock::time_point when;  // of the end of the request
  std::string_view method;                     // a token (RFC 9110 section 5.6.2)
  std::string_view target;
  std::string_view route;  // static
  std::string_view peer;
  std::string_view request_id;
  std::uint64_t bytes = 0;  // of the body that was answered
  std::uint32_t us = 0;
  std::uint16_t status = 0;
};

// Set by log_start(), log_set_level(): the access log is on, or the level is debug.
extern std::atomic<bool> access_log_on;
[[nodiscard]] inline bool access_log_enabled() noexcept {
  return access_log_on.load(std::memory_order_relaxed);
}
void log_access(const access_entry& entry) noexcept;

// What of an entry is in the ring, in front of method, target, peer and request id.
struct access_record {
  const char* route = nullptr;
  std::uint64_t bytes = 0;
  std::uint32_t us = 0;
  std::uint32_t target_bytes = 0;  // before cutting
  std::uint16_t route_bytes = 0;
  std::uint16_t status = 0;
  std::uint16_t target_stored = 0;
  std::uint16_t id_bytes = 0;
  std::uint8_t method_bytes = 0;
  std::uint8_t peer_bytes = 0;
};

// Makes lines of records, for the log's thread. Keeps what is the same for many lines: the second, the quoted
// names of routes.
class access_line {
 public:
  void append(std::string& out, std::int64_t at_ms, std::string_view record_and_texts);

 private:
  struct named {
    const char* route = nullptr;
    std::uint16_t bytes = 0;
    std::string text;
  };
  [[nodiscard]] std::string_view time_of(std::int64_t at_s);
  [[nodiscard]] std::string_view name_of(const access_record& record);

  std::int64_t second_ = -1;
  std::string second_text_;  // "2026-01-31T23:59:59."
  std::string line_;
  named named_[64];
};

}  // namespace syncline::perf
