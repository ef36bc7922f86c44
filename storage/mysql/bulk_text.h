// The text of the statements that write many rows at once, values and all.
//
// Thread: pure. Bound: what it is given. Failure: none. Cells are in the form that MySQL takes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "storage/mysql/table_plan.h"

namespace syncline::storage::mysql {

// Rows of a batch, one cell per column of the resource.
struct bulk_rows {
  std::span<const cell> cells;
  std::size_t width = 0;
  [[nodiscard]] std::span<const cell> row(std::uint32_t index) const {
    return cells.subspan(index * width, width);
  }
};

// `INSERT … VALUES (…),(…)` of all columns that any of the rows has; what one of them lacks is DEFAULT there.
[[nodiscard]] std::string insert_text(const table_plan& plan, const bulk_rows& from,
                                      std::span<const std::uint32_t> rows);
// `UPDATE (VALUES ROW(…),ROW(…)) … SET …` of the columns that the first of the rows has, which all have.
// Empty where the key's type cannot be joined so.
[[nodiscard]] std::string update_text(const table_plan& plan, const bulk_rows& from,
                                      std::span<const std::uint32_t> rows);

}  // namespace syncline::storage::mysql
