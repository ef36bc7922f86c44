// A client's place in the feed: opaque text for the client, six fields for us.
//
// Bytes: version (1), flags (1), generation (8), seq (8), declaration hash (8), rows_upto (8) where it is
// beyond seq, and during a first sync part (4) and the last key sent; base64url without padding (RFC 4648
// section 5), followed by nothing. Thread: a value. Bound: kCursorBytesMax of text. Failure: errc::invalid.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "net/core/error.h"
#include "storage/key.h"

namespace syncline::storage {

inline constexpr std::size_t kCursorBytesMax = 2048;

struct first_sync {
  std::uint32_t part = 0;  // which part of the stream is being scanned
  bool begun = false;      // false: before the first row of the part
  std::string after_key;   // canonical; the last key of the part that was sent
  bool operator==(const first_sync&) const = default;
};

struct cursor {
  std::uint64_t generation = 0;
  std::int64_t seq =
      0;  // everything up to here was delivered (for keys already scanned, during a first sync)
  std::uint64_t declaration = 0;  // hash of scopes, resources and their declarations
  // Rows were delivered as they were at this clock, where that is beyond seq: a page of a first sync scans on
  // while it follows the feed a few entries at a time; and on MySQL a row may be newer than the clock, which
  // counts as one above it. Else 0. A database restored to a state in between has never seen those rows, and
  // no entry behind seq would correct them.
  std::int64_t rows_upto = 0;
  std::optional<first_sync> scanning;  // set during a first sync

  // Rows of a snapshot with this clock are delivered with the place.
  void note_rows(std::int64_t clock) noexcept {
    rows_upto = std::max(rows_upto, clock);
    if (rows_upto <= seq) rows_upto = 0;
  }
  // What the client knows of may be as new as this.
  [[nodiscard]] std::int64_t newest() const noexcept { return std::max(seq, rows_upto); }
  [[nodiscard]] std::string text() const;
  [[nodiscard]] static net::result<cursor> parse(std::string_view text);
  bool operator==(const cursor&) const = default;
};

}  // namespace syncline::storage
