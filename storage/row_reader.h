// From a client's JSON object or CSV record to cells, checked against the declaration.
//
// Refuses what the table would quietly bend: unknown or repeated members, wrong types, fractions in integers,
// out-of-range numbers, over-long values, invalid UTF-8, NUL in text, missing or NULL key columns (one with a
// default may be missing: the database makes it), NULL in a column that is NOT NULL. Numbers in json columns
// keep their digits: the stored text is the client's without whitespace between tokens. JSON null in a json
// column is NULL. Thread: one at a time per object (it keeps parse buffers). Memory: buffers of the largest
// row seen, at most `row_bytes_max`; text goes to the caller's arena. Failure: row_fault with a stable code,
// the column and a sentence; the row is skipped by the caller, nothing is thrown.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "storage/cell.h"
#include "storage/resource.h"

namespace syncline::storage {

struct row_fault {
  std::string_view code;  // "malformed-json", "unknown-column", "wrong-type", "out-of-range", "too-long",
                          // "invalid-utf8", "missing-key", "null-not-allowed", "missing-column",
                          // "duplicate-member", "field-count", "row-too-large", "nul-in-text", "key-change"
  std::string column;     // may be empty
  std::string detail;
};

enum class row_form : std::uint8_t {
  whole,    // create: every column that is NOT NULL without default must be there
  replace,  // replace at a path: as whole, but the key comes from elsewhere and may be missing; the caller
            // compares one that is there
  partial,  // bulk upsert: only the key must be there
  patch,  // merge-patch: anything may be missing; the key comes from elsewhere, a key column is "key-change";
          // a json cell holds the patch
};

class row_reader {
 public:
  explicit row_reader(const resource& of, std::size_t row_bytes_max = 1024 * 1024);
  ~row_reader();
  row_reader(row_reader&&) noexcept;

  // One cell per column of the resource, absent where not given.
  [[nodiscard]] std::optional<row_fault> read_json(std::string_view object, row_form form, text_arena& arena,
                                                   std::span<cell> out);
  // `header` gives the column index of each field; an empty unquoted field is NULL (absent where the column
  // has a default and is the key or NOT NULL).
  struct csv_field {
    std::string_view text;
    bool quoted = false;
  };
  [[nodiscard]] std::optional<row_fault> read_csv(std::span<const std::size_t> header,
                                                  std::span<const csv_field> fields, text_arena& arena,
                                                  std::span<cell> out);

 private:
  struct state;
  std::unique_ptr<state> state_;
};

// RFC 7396 applied to one json column: the stored text and the patch's value for it give the new text,
// compact. Members keep their order and numbers their digits. A stored text that is empty (NULL) or malformed
// counts as no object. `patch` is a json cell as row_reader made it; the result may be longer than the
// column's bytes_max, which the caller checks.
[[nodiscard]] std::string merge_patch_json(std::string_view stored, std::string_view patch);

}  // namespace syncline::storage
