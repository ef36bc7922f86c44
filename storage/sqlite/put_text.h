// The SQL by which a row is put: whether its key is there, the insert, and the update of what differs.
//
// An UPSERT would do in one statement, but it fires the INSERT triggers also for a row that exists, and those
// enter it in the feed: so an existing row is updated, and only if that changes something. Columns are bound
// at their index + 1, the key behind them. Thread: its row_writer's. Bound: the texts of one mask of columns,
// since the rows of a batch mostly have the same. Failure: none.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "storage/sqlite/table_plan.h"
#include "storage/store.h"

namespace syncline::storage::sqlite {

class put_text {
 public:
  // Makes the texts for the columns that are there; `or_fail`: the insert undoes nothing (plain_tables.h).
  void fit(const table_plan& plan, write_kind kind, std::span<const cell> row, bool or_fail);

  std::string exists;  // the key is bound from 1 on
  std::string insert;
  std::string update;  // empty: there is nothing to set

 private:
  [[nodiscard]] bool fits(const table_plan& plan, write_kind kind, std::span<const cell> row,
                          bool or_fail) const noexcept;
  const table_plan* plan_ = nullptr;
  write_kind kind_ = write_kind::upsert;
  bool or_fail_ = false;
  std::vector<bool> mask_;
};

}  // namespace syncline::storage::sqlite
