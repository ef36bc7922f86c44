#include "net/http/server_metrics.h"

#include <algorithm>
#include <stdexcept>

namespace syncline::net::http {

namespace {

constexpr std::array<std::string_view, kTimeoutKinds> kTimeoutNames{"idle",  "header", "body",
                                                                    "write", "linger", "handshake"};
constexpr std::array<std::string_view, 6> kClassNames{"other", "1xx", "2xx", "3xx", "4xx", "5xx"};

}  // namespace

server_metrics::server_metrics(const std::string& listener)
    : connections(perf::metrics::add_gauge("syncline_http_connections", "Open connections.",
                                           {{"listener", listener}})),
      accepted(perf::metrics::add_counter("syncline_http_accepted_total", "Connections accepted.",
                                          {{"listener", listener}})),
      refused(perf::metrics::add_counter("syncline_http_refused_total", "Connections over connections_max.",
                                         {{"listener", listener}})),
      accept_pauses(perf::metrics::add_counter("syncline_http_accept_pauses_total",
                                               "Pauses of accepting because descriptors ran out.",
                                               {{"listener", listener}})),
      handed_over(perf::metrics::add_counter("syncline_http_handed_over_total",
                                             "Connections that another core accepted, which had more.",
                                             {{"listener", listener}})),
      body_files_bytes(perf::metrics::add_gauge("syncline_http_body_files_bytes",
                                                "Large bodies kept for sendfile.", {{"listener", listener}})),
      received_bytes(perf::metrics::add_counter("syncline_http_received_bytes_total", "Bytes read.",
                                                {{"listener", listener}})),
      sent_bytes(perf::metrics::add_counter("syncline_http_sent_bytes_total", "Bytes written.",
                                            {{"listener", listener}})),
      handler_failures(perf::metrics::add_counter("syncline_http_handler_failures_total",
                                                  "Handlers that threw or gave no answer.",
                                                  {{"listener", listener}})),
      bad_bodies(perf::metrics::add_counter("syncline_http_bad_bodies_total",
                                            "Bodies with broken chunk framing.", {{"listener", listener}})) {
  for (std::size_t i = 1; i < kParseErrors; ++i) {
    const std::string reason(describe(static_cast<parse_error>(i)).label);
    parse_errors[i] =
        perf::metrics::add_counter("syncline_http_parse_errors_total", "Requests refused by the parser.",
                                   {{"listener", listener}, {"reason", reason}});
  }
  for (std::size_t i = 0; i < kTimeoutKinds; ++i) {
    timeouts[i] =
        perf::metrics::add_counter("syncline_http_timeouts_total", "Connections that made no progress.",
                                   {{"kind", std::string(kTimeoutNames[i])}, {"listener", listener}});
  }
}

void server_metrics::add_tls(const std::string& listener) {
  constexpr std::string_view kHandshakes = "syncline_tls_handshakes_total";
  constexpr std::string_view kReloads = "syncline_tls_reloads_total";
  tls_full = perf::metrics::add_counter(kHandshakes, "Handshakes completed.",
                                        {{"listener", listener}, {"resumed", "no"}});
  tls_resumed = perf::metrics::add_counter(kHandshakes, "Handshakes completed.",
                                           {{"listener", listener}, {"resumed", "yes"}});
  for (std::size_t i = 0; i < kTlsFailures; ++i) {
    tls_failures[i] = perf::metrics::add_counter(
        "syncline_tls_handshake_failures_total", "Handshakes that failed, by reason.",
        {{"listener", listener}, {"reason", std::string(to_string(static_cast<tls_failure>(i)))}});
  }
  tls_truncated = perf::metrics::add_counter("syncline_tls_truncated_total",
                                             "Connections whose client ended without close_notify.",
                                             {{"listener", listener}});
  tls_reloaded = perf::metrics::add_counter(kReloads, "Certificate reloads.",
                                            {{"listener", listener}, {"result", "done"}});
  tls_not_reloaded = perf::metrics::add_counter(kReloads, "Certificate reloads.",
                                                {{"listener", listener}, {"result", "refused"}});
  tls_expires_s = &perf::metrics::add_gauge("syncline_tls_certificate_expires_seconds",
                                            "When the certificate ends, in seconds since 1970.",
                                            {{"listener", listener}});
}

route_metrics::entry& route_metrics::find(std::string_view route) {
  const auto address = reinterpret_cast<std::uintptr_t>(route.data());
  std::size_t slot = (address >> 3U) * 0x9E3779B97F4A7C15ULL % slots_.size();
  for (; slots_[slot] != 0; slot = (slot + 1) % slots_.size()) {
    entry& found = entries_[slots_[slot] - 1U];
    if (found.route.data() == route.data() && found.route.size() == route.size()) return found;
  }
  if (entries_.size() == kRoutesMax) return entries_.back();
  entry& made = entries_.emplace_back();
  slots_[slot] = static_cast<std::uint16_t>(entries_.size());
  made.route = entries_.size() == kRoutesMax ? std::string_view("other") : route;
  try {
    made.latency =
        perf::metrics::add_histogram("syncline_http_request_seconds", "From complete head to answer.",
                                     {{"listener", listener_}, {"route", std::string(made.route)}});
  } catch (const std::length_error&) {  // the registry is full: the entry stays a sink
    made.registered.fill(true);
  }
  return made;
}

void route_metrics::record(std::string_view route, int status, std::uint64_t us) noexcept try {
  entry& counted = find(route.empty() ? std::string_view("unrouted") : route);
  counted.latency.record_us(us);
  const auto status_class = static_cast<std::size_t>(std::clamp(status / 100, 0, 5));
  if (!counted.registered[status_class]) {
    counted.registered[status_class] = true;
    counted.by_class[status_class] =
        perf::metrics::add_counter("syncline_http_requests_total", "Requests answered.",
                                   {{"listener", listener_},
                                    {"route", std::string(counted.route)},
                                    {"status", std::string(kClassNames[status_class])}});
  }
  counted.by_class[status_class].add();
} catch (...) {  // registering allocates and may find the registry full
}

}  // namespace syncline::net::http
