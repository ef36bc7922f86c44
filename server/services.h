// What request handlers share: one object for all cores, made by `app`, outliving every request.
//
// Thread: immutable after start; the things it points to say their own rules.
#pragma once

#include <atomic>

#include "cache/l1.h"
#include "net/core/blocking_threads.h"
#include "server/config.h"
#include "storage/resource.h"
#include "storage/store.h"

namespace syncline::net::websocket {
class endpoint;
}

namespace syncline::server {

class feed_hub;
class requests_in_progress;

struct services {
  const config* settings = nullptr;
  const storage::catalog* resources = nullptr;
  storage::store* store = nullptr;
  cache::l1* l1 = nullptr;
  feed_hub* hub = nullptr;
  net::blocking_threads* threads = nullptr;
  net::websocket::endpoint* sockets = nullptr;  // of /v1/subscribe
  // Set by the router in its own copy, which is the one that handlers get.
  cache::batch_loader* row_loader = nullptr;  // fills L1 with rows (row_cache.h)
  requests_in_progress* in_progress =
      nullptr;  // Idempotency-Keys being worked on by this node (idempotency.h)
};

}  // namespace syncline::server
