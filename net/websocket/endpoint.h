// What the WebSockets of one server share: options, metrics, and per core a read buffer, DEFLATE streams,
// spare output queues and the broadcasts of the current turn.
//
// Make one per listener, before the server and to live at least as long as the core group; give it to
// upgrade() (upgrade.h). Thread: the endpoint any; an endpoint_core its own core. Bound: `session_options`; a
// core keeps 64 KB to read into, at most 1 MB of broadcasts a turn and kSparesMax empty queues. Failure:
// none.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "net/core/core.h"
#include "net/websocket/broadcast_log.h"
#include "net/websocket/deflate.h"
#include "net/websocket/deflate_offer.h"
#include "net/websocket/frame.h"
#include "net/websocket/message_reader.h"
#include "perf/metrics.h"

namespace syncline::net::websocket {

struct session_output;

struct session_options {
  std::uint64_t message_bytes_max = 1024 * 1024;  // of one message in, inflated: 1009
  std::uint32_t fragments_max = 131'072;          // of one message in: 1009
  std::uint32_t send_queue_bytes_max = 1024 * 1024;
  std::uint32_t drained_bytes = 16 * 1024;     // on_drained() at this or less
  std::uint32_t read_pause_bytes = 64 * 1024;  // unsent: the peer is not read
  std::uint32_t ping_interval_ms = 30'000;     // of silence, then a ping; 0: never
  std::uint32_t pong_timeout_ms = 15'000;      // of silence after a ping: dropped
  std::uint32_t message_timeout_ms = 60'000;   // from a message's first byte to its last: 1008; 0: any time
  std::uint32_t write_timeout_ms = 30'000;     // the peer takes nothing for so long: dropped
  std::uint32_t close_timeout_ms = 5'000;      // for the peer's close frame after ours
  std::uint32_t linger_timeout_ms = 2'000;     // after our FIN, for the peer's
  deflate_options deflate;
  deflate_pool_options deflate_pool;     // of each core
  std::string metrics_label = "public";  // the label `listener`
};

enum class session_timeout : std::uint8_t { pong, write, close, linger, message };
inline constexpr std::size_t kSessionTimeouts = 5;

struct session_metrics {
  explicit session_metrics(const std::string& listener);
  [[nodiscard]] const perf::counter& closed_with(close_code code) const noexcept;

  perf::gauge& open;
  perf::counter opened;
  perf::counter messages_in, messages_out;
  perf::counter bytes_in, bytes_out;  // on the wire, before TLS
  perf::counter overloaded;           // messages that send() refused
  perf::counter pongs_dropped;        // for the sake of a later one
  std::array<perf::counter, kSessionTimeouts> timeouts;
  std::array<perf::counter, kProtocolErrors> protocol_errors;

 private:
  std::array<perf::counter, 16> by_code_;  // 1000..1014, then the rest
};

class endpoint_core {
 public:
  endpoint_core(std::shared_ptr<const session_options> options, std::shared_ptr<session_metrics> counts);
  ~endpoint_core();
  endpoint_core(const endpoint_core&) = delete;
  endpoint_core& operator=(const endpoint_core&) = delete;

  [[nodiscard]] const session_options& options() const noexcept { return *options_; }
  [[nodiscard]] const reader_options& reading() const noexcept { return reading_; }
  [[nodiscard]] session_metrics& counts() noexcept { return *counts_; }
  [[nodiscard]] deflate_pool& streams() noexcept { return streams_; }
  [[nodiscard]] broadcast_log& broadcasts(bool compressed) noexcept {
    return broadcasts_[compressed ? 1 : 0];
  }
  [[nodiscard]] std::span<char> read_buffer() noexcept { return {read_buffer_.get(), kReadBytes}; }
  [[nodiscard]] std::unique_ptr<session_output> take_output();
  void give_back(std::unique_ptr<session_output> unused) noexcept;

 private:
  static constexpr std::size_t kReadBytes = 64 * 1024;
  static constexpr std::size_t kSparesMax = 64;

  const std::shared_ptr<const session_options> options_;
  const std::shared_ptr<session_metrics> counts_;
  const reader_options reading_;
  deflate_pool streams_;
  std::array<broadcast_log, 2> broadcasts_;
  std::unique_ptr<char[]> read_buffer_;
  std::vector<std::unique_ptr<session_output>> spares_;
};

class endpoint {
 public:
  endpoint(core_group& cores, const session_options& options);
  ~endpoint();
  endpoint(const endpoint&) = delete;
  endpoint& operator=(const endpoint&) = delete;

  [[nodiscard]] const session_options& options() const noexcept { return *options_; }
  [[nodiscard]] const session_metrics& counts() const noexcept { return *counts_; }
  // The part of the core that this thread is.
  [[nodiscard]] const std::shared_ptr<endpoint_core>& here();

 private:
  const std::shared_ptr<const session_options> options_;
  const std::shared_ptr<session_metrics> counts_;
  std::vector<std::shared_ptr<endpoint_core>> cores_;  // by core, made on it
};

}  // namespace syncline::net::websocket
