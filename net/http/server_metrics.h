// What a server counts: connections, bytes, refusals by reason, and requests and latencies by route.
//
// Thread: the counters any; a route_metrics belongs to one core. Bound: `kRoutesMax` routes a core, the rest
// is counted as "other". Failure: when the registry is full a route counts into a sink; a request never fails
// because of its metrics.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "net/core/tls.h"
#include "net/http/parser.h"
#include "perf/metrics.h"

namespace syncline::net::http {

enum class timeout_kind : std::uint8_t { idle, header, body, write, linger, handshake };
inline constexpr std::size_t kTimeoutKinds = 6;

struct server_metrics {
  explicit server_metrics(const std::string& listener);

  perf::gauge& connections;
  perf::counter accepted;
  perf::counter refused;
  perf::counter accept_pauses;
  perf::counter handed_over;  // to another core
  perf::gauge& body_files_bytes;
  perf::counter received_bytes;
  perf::counter sent_bytes;
  perf::counter handler_failures;
  std::array<perf::counter, kParseErrors> parse_errors;
  perf::counter bad_bodies;
  std::array<perf::counter, kTimeoutKinds> timeouts;

  // Registered for a listener with TLS only; else they are sinks.
  void add_tls(const std::string& listener);
  perf::counter tls_full, tls_resumed;  // handshakes
  std::array<perf::counter, kTlsFailures> tls_failures;
  perf::counter tls_truncated;  // ended without close_notify
  perf::counter tls_reloaded, tls_not_reloaded;
  perf::gauge* tls_expires_s = nullptr;
};

class route_metrics {
 public:
  explicit route_metrics(std::string listener) : listener_(std::move(listener)) {}

  // `route` is a static string: it is found by its address, without comparing text or locking.
  void record(std::string_view route, int status, std::uint64_t us) noexcept;

 private:
  static constexpr std::size_t kRoutesMax = 256;
  struct entry {
    std::string_view route;
    perf::histogram latency;
    std::array<perf::counter, 6> by_class;
    std::array<bool, 6> registered;
  };
  [[nodiscard]] entry& find(std::string_view route);

  std::string listener_;
  std::vector<entry> entries_;
  std::array<std::uint16_t, 2 * kRoutesMax>
      slots_{};  // open addressing by address; 0 is free, else index + 1
};

}  // namespace syncline::net::http
