// From a request's path to its handler: the public listener's `http::handler`.
//
// Paths: /v1/sync, /v1/{resource}, /v1/{resource}/bulk (POST), /v1/{resource}/{key},
// /v1/{resource}/{key}/{merge}. A resource may not be named "sync" or "subscribe". It answers what needs no
// storage itself: 404, 405 with Allow for a method a path does not have, OPTIONS, and a row that L1 holds.
// Thread: any core; immutable. `with` is copied, so everything in it must be there already; the router holds
// what loads rows into L1 (row_cache.h), so it must outlive the cores' loops. Bound: a request other than a
// sync stream or a bulk upload has `rest.request_timeout_ms` from here on.
#pragma once

#include "net/http/exchange.h"
#include "server/idempotency.h"
#include "server/row_cache.h"
#include "server/services.h"

namespace syncline::server {

class router final : public net::http::handler {
 public:
  explicit router(const services& with);
  router(const router&) = delete;
  router& operator=(const router&) = delete;
  [[nodiscard]] net::http::tried try_answer(net::http::exchange& x) override;
  [[nodiscard]] net::task<void> answer(net::http::exchange& x) override;

 private:
  row_loader loader_;
  requests_in_progress in_progress_;
  services with_;
};

}  // namespace syncline::server
