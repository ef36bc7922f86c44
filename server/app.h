// The whole server put together: cores, store, caches, feed hub, listeners; started and stopped in order.
//
// Start: log, cores, store (fit, generation), hub, L1, admin listener (readyz 503), public listener, ready.
// Stop: not ready, drain public, stop the store, stop admin, stop cores. Thread: one that is no core.
// Failure: start() gives what could not be had and why; nothing is left running.
#pragma once

#include <cstdint>
#include <memory>

#include "net/core/error.h"
#include "server/config.h"

namespace syncline::server {

class app {
 public:
  explicit app(config settings);
  ~app();
  [[nodiscard]] net::result<void> start();
  [[nodiscard]] std::uint16_t port() const noexcept;
  [[nodiscard]] std::uint16_t admin_port() const noexcept;
  // Reads the TLS certificate of the public listener again, for new connections; an error changes nothing.
  [[nodiscard]] net::result<void> reload_tls();
  // Drains and stops; true when everything ended within drain_deadline_ms.
  bool stop();

 private:
  struct parts;
  std::unique_ptr<parts> parts_;
};

}  // namespace syncline::server
