// A write of one row as a request asks for it, and the batch that the store gets for it.
//
// Thread: a value on the core of the exchange. Bound: one row of `rest.write_body_bytes_max`. Failure:
// row_fault for a body that is no row of the resource; errc::invalid for headers; both before anything is
// written.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "net/core/error.h"
#include "net/http/exchange.h"
#include "storage/row_reader.h"
#include "storage/store.h"

namespace syncline::server {

struct row_write {
  const storage::resource* of = nullptr;
  storage::write_kind kind = storage::write_kind::create;
  std::string key;  // canonical, from the path; empty for create
  storage::write_condition condition;
  bool conditional = false;     // the client sent a condition (the write rules may add one of their own)
  std::string idempotency_key;  // hashed; empty: none
  std::uint64_t fingerprint = 0;

  // Kind from the method; conditions and Idempotency-Key from the headers. `key_segment` as sent, empty for
  // POST.
  [[nodiscard]] static net::result<row_write> from(net::http::exchange& x, const storage::resource& of,
                                                   std::string_view key_segment);
  [[nodiscard]] bool has_body() const noexcept { return kind != storage::write_kind::remove; }
  // True when the body may have this media type (parameters are not looked at).
  [[nodiscard]] bool accepts(std::string_view content_type) const noexcept;
  // Fills a batch of one row; that of a removal has no cells.
  [[nodiscard]] std::optional<storage::row_fault> fill(std::string_view body, std::size_t row_bytes_max,
                                                       storage::write_batch& out) const;
};

}  // namespace syncline::server
