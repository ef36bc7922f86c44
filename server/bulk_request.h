// What the query and the headers of a bulk upload ask for.
//
// Thread: the core of the exchange. Failure: read_bulk_request() answers the problem itself and gives
// nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "net/http/exchange.h"
#include "server/bulk_reader.h"
#include "storage/store.h"

namespace syncline::server {

struct bulk_request {
  const storage::resource* of = nullptr;
  bulk_format format = bulk_format::ndjson;
  storage::write_kind kind = storage::write_kind::upsert;
  bool atomic = false;
  bool dry_run = false;
  bool gzip = false;
  std::string idempotency_key;    // hashed; empty: none
  std::uint64_t fingerprint = 0;  // of the request's options
};

[[nodiscard]] std::optional<bulk_request> read_bulk_request(net::http::exchange& x,
                                                            const storage::resource& of);

}  // namespace syncline::server
