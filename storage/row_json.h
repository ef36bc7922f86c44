// The one encoder of rows into JSON: REST, sync streams, WebSocket and caches all send what this makes.
//
// Members come in declared order; absent cells are left out, NULL is null. Same cells give the same bytes, so
// that an ETag can be made of them. Thread: immutable after construction. Memory: appends to the caller's
// buffer. Failure: a stored value that does not fit its declared type (text in an int64 column, invalid
// UTF-8, malformed JSON) gives errc::corrupt naming the column; `out` is then as before.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/core/error.h"
#include "storage/cell.h"
#include "storage/resource.h"

namespace syncline::storage {

// Which columns, in which order, under which names.
struct projection {
  std::vector<std::size_t> columns;  // indexes into resource::columns
  bool short_names = false;
  [[nodiscard]] static projection all(const resource& of);
  // From `fields=a,b`; errc::invalid for an unknown or repeated column.
  [[nodiscard]] static net::result<projection> from_fields(const resource& of, std::string_view fields);
};

class row_encoder {
 public:
  row_encoder(const resource& of, const projection& what);
  // `row` holds one cell per column of the projection, in its order.
  [[nodiscard]] net::result<void> append(std::span<const cell> row, std::string& out) const;
  [[nodiscard]] const projection& columns() const noexcept { return what_; }

 private:
  const resource* of_;
  projection what_;
  std::vector<std::string> prefixes_;  // `{"id":` or `,"name":`
};

// JSON string with quotes; RFC 8259 escapes only what must be escaped. `text` must be UTF-8.
void append_json_string(std::string_view text, std::string& out);
[[nodiscard]] bool valid_utf8(std::string_view text) noexcept;
// Strong ETag of a representation: a quoted 64-bit hash of its bytes.
[[nodiscard]] std::uint64_t hash_bytes(std::string_view bytes) noexcept;
[[nodiscard]] std::string etag_of(std::string_view bytes);

}  // namespace syncline::storage
