// What can be set about a pool, with units and defaults; docs/pools.md explains them.
//
// Thread: a value. Node-wide figures are for one server and all cores of this process together.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "net/core/request_context.h"

namespace syncline::net {

struct pool_options {
  std::string name = "server";  // metric label and log field

  // Node-wide.
  std::uint32_t connections_max = 10;
  std::uint32_t connections_min = 0;  // kept open while the server answers
  std::uint32_t connects_max = 4;     // connects under way at a time
  // Part of connections_max that a class of work finds free or in its own use whatever the others do:
  // interactive, sync, refresh, bulk, outbox. The rest is for whoever comes first.
  std::array<std::uint32_t, kWorkClasses> reserved_percent{40, 20, 10, 10, 10};

  // Per core.
  std::uint32_t waiters_max = 4096;
  std::uint32_t pipeline_limit = 16;  // users of one shared connection at a time

  // Waiting. The budget of a request is the time to its deadline, at most this for its class.
  std::array<std::uint32_t, kWorkClasses> wait_budget_ms{10'000, 10'000, 10'000, 60'000, 60'000};
  std::uint32_t wait_percent_max = 25;      // of the budget that the estimated wait may take
  std::uint32_t codel_target_percent = 10;  // of the budget that the shortest wait of an interval may take
  std::uint32_t codel_interval_ms = 100;

  // Connections.
  std::uint32_t connect_timeout_ms = 5'000;
  std::uint32_t tend_timeout_ms = 2'000;  // one reset, one validation, one close
  std::uint32_t lifetime_max_ms = 1'800'000;
  std::uint32_t lifetime_jitter_percent = 20;  // a connection ends up to so much earlier
  std::uint32_t idle_timeout_ms = 300'000;
  std::uint32_t validate_after_idle_ms = 30'000;

  // A server that refuses us.
  std::uint32_t backoff_first_ms = 100;
  std::uint32_t backoff_max_ms = 3'000;

  // Moving permits between cores.
  std::uint32_t lend_after_idle_ms = 20;     // a connection unused for so long is given up for another core
  std::uint32_t permit_quantum_ms = 100;     // fewer connections than cores: each keeps one at least so long
  std::uint32_t report_interval_ms = 1'000;  // between two log lines about shed waiters
};

}  // namespace syncline::net
