#include "net/websocket/endpoint.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "net/websocket/session_output.h"

namespace syncline::net::websocket {

namespace {

constexpr std::array<std::string_view, kSessionTimeouts> kTimeoutNames{"pong", "write", "close", "linger",
                                                                       "message"};
constexpr std::size_t kOtherCodes = 15;

reader_options reading_as(const session_options& options) {
  reader_options out;
  out.limits.frame_bytes_max = options.message_bytes_max;
  out.limits.message_bytes_max = options.message_bytes_max;
  out.limits.fragments_max = options.fragments_max;
  return out;
}

perf::counter add(std::string_view name, std::string_view help, const std::string& listener) {
  return perf::metrics::add_counter(name, help, {{"listener", listener}});
}

}  // namespace

session_metrics::session_metrics(const std::string& listener)
    : open(perf::metrics::add_gauge("syncline_websocket_open", "Open WebSockets.", {{"listener", listener}})),
      opened(add("syncline_websocket_opened_total", "WebSockets opened.", listener)),
      messages_in(add("syncline_websocket_received_messages_total", "Messages read.", listener)),
      messages_out(add("syncline_websocket_sent_messages_total", "Messages queued to be sent.", listener)),
      bytes_in(add("syncline_websocket_received_bytes_total", "Bytes read, before TLS.", listener)),
      bytes_out(add("syncline_websocket_sent_bytes_total", "Bytes written, before TLS.", listener)),
      overloaded(add("syncline_websocket_overloaded_total", "Messages refused by a full queue.", listener)),
      pongs_dropped(
          add("syncline_websocket_pongs_dropped_total", "Pongs left out for a later one.", listener)) {
  for (std::size_t i = 0; i < kSessionTimeouts; ++i) {
    timeouts[i] =
        perf::metrics::add_counter("syncline_websocket_timeouts_total", "WebSockets that made no progress.",
                                   {{"kind", std::string(kTimeoutNames[i])}, {"listener", listener}});
  }
  for (std::size_t i = 1; i < kProtocolErrors; ++i) {
    const std::string reason(describe(static_cast<protocol_error>(i)).label);
    protocol_errors[i] =
        perf::metrics::add_counter("syncline_websocket_protocol_errors_total", "Rules broken by peers.",
                                   {{"listener", listener}, {"reason", reason}});
  }
  for (std::size_t i = 0; i <= kOtherCodes; ++i) {
    const std::string code = i == kOtherCodes ? "other" : std::to_string(1000 + i);
    by_code_[i] = perf::metrics::add_counter("syncline_websocket_closed_total", "WebSockets closed.",
                                             {{"code", code}, {"listener", listener}});
  }
}

const perf::counter& session_metrics::closed_with(close_code code) const noexcept {
  const auto number = static_cast<std::size_t>(code);
  return by_code_[number < 1000 ? kOtherCodes : std::min(number - 1000, kOtherCodes)];
}

endpoint_core::endpoint_core(std::shared_ptr<const session_options> options,
                             std::shared_ptr<session_metrics> counts)
    : options_(std::move(options)),
      counts_(std::move(counts)),
      reading_(reading_as(*options_)),
      streams_(options_->deflate_pool),
      read_buffer_(new char[kReadBytes]) {}

endpoint_core::~endpoint_core() = default;

std::unique_ptr<session_output> endpoint_core::take_output() {
  if (spares_.empty()) return std::make_unique<session_output>();
  std::unique_ptr<session_output> out = std::move(spares_.back());
  spares_.pop_back();
  return out;
}

void endpoint_core::give_back(std::unique_ptr<session_output> unused) noexcept {
  constexpr std::size_t kQueueBytesKept = 64 * 1024;
  if (spares_.size() >= kSparesMax || unused->queue.capacity() > kQueueBytesKept) return;
  unused->queue.clear();
  unused->control_bytes = 0;
  unused->owes_pong = false;
  try {
    spares_.push_back(std::move(unused));
  } catch (const std::bad_alloc&) {  // then it is simply freed
  }
}

endpoint::endpoint(core_group& cores, const session_options& options)
    : options_(std::make_shared<const session_options>(options)),
      counts_(std::make_shared<session_metrics>(options.metrics_label)),
      cores_(cores.size()) {}

endpoint::~endpoint() = default;

const std::shared_ptr<endpoint_core>& endpoint::here() {
  std::shared_ptr<endpoint_core>& mine = cores_.at(core::current()->id());
  if (mine == nullptr) mine = std::make_shared<endpoint_core>(options_, counts_);
  return mine;
}

}  // namespace syncline::net::websocket
