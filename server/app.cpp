#include "server/app.h"

#include <utility>

#include "net/core/deflate_pool.h"
#include "net/websocket/endpoint.h"
#include "perf/log.h"
#include "perf/metrics.h"
#include "server/admin.h"
#include "server/cache_clock.h"
#include "server/feed_hub.h"
#include "server/open_store.h"
#include "server/router.h"
#include "server/services.h"

namespace syncline::server {

// Members are destroyed bottom up: listeners first, then what their handlers use, the cores' threads last.
struct app::parts {
  explicit parts(config given)
      : settings(std::move(given)),
        cores(settings.cores),
        l1(settings.l1),
        clock(cores.at(0), l1),
        threads(blocking_options()),
        hub(cores, l1),
        sockets(cores, socket_options(settings)) {}

  static net::blocking_threads_options blocking_options() {
    net::blocking_threads_options options;
    options.name = "general";
    return options;
  }

  static net::websocket::session_options socket_options(const config& settings) {
    const subscribe_options& given = settings.subscribe;
    net::websocket::session_options options;
    options.message_bytes_max = given.message_bytes_max;
    options.message_timeout_ms = given.message_timeout_ms;
    options.send_queue_bytes_max = given.send_queue_bytes_max;
    options.ping_interval_ms = given.ping_interval_ms;
    options.pong_timeout_ms = given.pong_timeout_ms;
    options.deflate.enabled = given.deflate;
    options.write_timeout_ms = settings.http.limit.write_progress_timeout_ms;
    options.linger_timeout_ms = settings.http.limit.linger_timeout_ms;
    return options;
  }

  config settings;
  net::core_group cores;
  cache::l1 l1;
  cache_clock clock;
  net::blocking_threads threads;
  feed_hub hub;
  net::websocket::endpoint sockets;
  std::unique_ptr<storage::store> store;
  services shared;
  std::unique_ptr<router> public_handler;
  std::unique_ptr<admin> admin_handler;
  std::unique_ptr<net::http::server> public_listener;
  std::unique_ptr<net::http::server> admin_listener;
  bool running = false;
};

app::app(config settings) : parts_(std::make_unique<parts>(std::move(settings))) {}

app::~app() {
  stop();
}

net::result<void> app::start() {
  parts& p = *parts_;
  auto opened = open_store(p.settings, p.cores, p.threads);
  if (!opened) return opened.error();
  p.store = std::move(*opened);
  p.store->set_listener(&p.hub);
  p.shared.settings = &p.settings;
  p.shared.resources = &p.settings.resources;
  p.shared.store = p.store.get();
  p.shared.l1 = &p.l1;
  p.shared.hub = &p.hub;
  p.shared.threads = &p.threads;
  p.shared.sockets = &p.sockets;
  net::set_deflate_bytes_max(p.settings.sync.deflate_bytes_max);
  p.cores.start();
  p.clock.start();
  p.running = true;
  p.admin_handler = std::make_unique<admin>(p.shared);
  p.public_handler = std::make_unique<router>(p.shared);
  p.settings.admin.metrics_label = "admin";
  p.admin_listener = std::make_unique<net::http::server>(p.cores, *p.admin_handler, p.settings.admin);
  if (auto started = p.admin_listener->start(); !started) {
    p.admin_listener.reset();
    stop();
    return started.error();
  }
  p.public_listener = std::make_unique<net::http::server>(p.cores, *p.public_handler, p.settings.http);
  if (auto started = p.public_listener->start(); !started) {
    p.public_listener.reset();
    stop();
    return started.error();
  }
  p.admin_handler->set_phase(admin::phase::ready);
  perf::log_info("listening", {{"address", p.settings.http.address},
                               {"port", p.public_listener->port()},
                               {"admin_port", p.admin_listener->port()},
                               {"cores", p.cores.size()},
                               {"database", database_name(p.settings)},
                               {"watermark", p.store->watermark()}});
  return {};
}

std::uint16_t app::port() const noexcept {
  return parts_->public_listener ? parts_->public_listener->port() : std::uint16_t{0};
}
std::uint16_t app::admin_port() const noexcept {
  return parts_->admin_listener ? parts_->admin_listener->port() : std::uint16_t{0};
}

net::result<void> app::reload_tls() {
  const parts& p = *parts_;
  if (!p.settings.http.tls.enabled() || !p.public_listener) return {};
  return p.public_listener->reload_tls();
}

bool app::stop() {
  parts& p = *parts_;
  if (!p.running) return true;
  p.running = false;
  bool clean = true;
  if (p.admin_handler) p.admin_handler->set_phase(admin::phase::draining);
  if (p.public_listener) {
    perf::log_info("draining", {{"connections", p.public_listener->connections()},
                                {"deadline_ms", p.settings.drain_deadline_ms}});
    clean = p.public_listener->drain(p.settings.drain_deadline_ms);
  }
  // Acknowledged or not, what the writer holds is finished before the file is closed.
  if (p.store) p.store->stop();
  if (p.admin_listener) clean = p.admin_listener->drain(1000) && clean;
  p.cores.stop();
  perf::log_info("stopped", {{"clean", clean}});
  return clean;
}

}  // namespace syncline::server
