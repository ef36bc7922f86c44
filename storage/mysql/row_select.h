// The SELECT list for a projection of a resource, and the way from a row of its answer to key and JSON.
//
// Thread: row_select is immutable, any; a row_maker belongs to one reading. Bound: a row. Failure:
// errc::schema_mismatch when what is stored does not fit the declaration; nothing was appended then.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "storage/mysql/column.h"
#include "storage/resource.h"
#include "storage/row_json.h"

namespace syncline::storage::mysql {

class row_select {
 public:
  row_select(const resource& of, const projection& what);
  // `SELECT … FROM `table``: the projection's columns and, behind them, the key columns that are not in it.
  [[nodiscard]] const std::string& head() const noexcept { return head_; }
  [[nodiscard]] const resource& of() const noexcept { return *of_; }
  [[nodiscard]] std::size_t columns() const noexcept { return columns_.size(); }
  // The JSON of a row given as cells of the projection, in the clients' form.
  [[nodiscard]] net::result<void> encode(std::span<const cell> row, std::string& out) const {
    return encoder_.append(row, out);
  }

 private:
  friend class row_maker;
  const resource* of_;
  row_encoder encoder_;
  std::string head_;
  std::vector<std::size_t> columns_;  // of the resource, in the order of the SELECT list
  std::vector<std::size_t> key_at_;   // in columns_, in key order
  std::size_t width_ = 0;             // of the projection
};

class row_maker {
 public:
  explicit row_maker(const row_select& from) : from_(from), cells_(from.columns_.size()) {}
  row_maker(const row_maker&) = delete;
  row_maker& operator=(const row_maker&) = delete;

  struct place {
    std::uint32_t key_at = 0, key_size = 0, json_at = 0, json_size = 0;
  };
  // Appends the canonical key and then the JSON of a row; fields beyond the SELECT list are not looked at.
  [[nodiscard]] net::result<place> append(std::span<const column> columns,
                                          std::span<const std::string_view> fields, std::string& bytes);
  // The canonical key alone.
  [[nodiscard]] net::result<void> append_key(std::span<const column> columns,
                                             std::span<const std::string_view> fields, std::string& bytes);
  // The last row's cells in the order of the SELECT list, in the clients' form.
  [[nodiscard]] std::span<const cell> cells() const noexcept { return cells_; }

 private:
  [[nodiscard]] net::result<void> decode(std::span<const column> columns,
                                         std::span<const std::string_view> fields, bool key_only);
  [[nodiscard]] net::result<void> key_of_cells(std::string& bytes) const;

  const row_select& from_;
  std::vector<cell> cells_;
  text_arena arena_;
};

// Logs and counts a stored row that fits no declaration and is sent to nobody until it is mended; false for
// other errors.
[[nodiscard]] bool leave_out(const net::error& why);

}  // namespace syncline::storage::mysql
