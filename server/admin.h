// The admin listener: /healthz, /readyz, /metrics. For operators and scrapers, on an address of its own
// (loopback unless configured).
//
// Thread: any core. Failure: /readyz answers 503 with the reason while starting, draining or when the store
// is in trouble; /healthz is 200 as long as the loop turns.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "net/http/exchange.h"
#include "server/services.h"

namespace syncline::server {

class admin final : public net::http::handler {
 public:
  explicit admin(const services& with);
  ~admin() override;
  [[nodiscard]] net::http::tried try_answer(net::http::exchange& x) override;
  [[nodiscard]] net::task<void> answer(net::http::exchange& x) override;

  enum class phase : std::uint8_t { starting, ready, draining };
  void set_phase(phase now) noexcept { phase_.store(now, std::memory_order_release); }

 private:
  void register_gauges();
  const services* with_;
  std::atomic<phase> phase_{phase::starting};
  std::vector<std::uint64_t> gauges_;
};

}  // namespace syncline::server
