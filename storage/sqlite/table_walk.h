// Goes through a table of the owner in ranges of rows, in the order of what identifies them, so that each
// range can be a transaction of its own.
//
// Rows written meanwhile are met or not; whoever walks relies on the triggers for those.
// Thread: its connection's. Bound: `range_rows` rows a range; two identities are kept. Failure: result<>.
#pragma once

#include <string>
#include <vector>

#include "storage/sqlite/table_shape.h"

namespace syncline::storage::sqlite {

class table_walk {
 public:
  table_walk(connection& db, const table_shape& t, std::uint32_t range_rows);
  // Moves to the next range; false when the last one was passed.
  [[nodiscard]] net::result<bool> next(connection& db);
  // Whether the range it stands at is the last one.
  [[nodiscard]] bool at_last() const noexcept { return started_ && high_.empty(); }
  // The condition on the table's rows that selects the range. Its parameters ?1… are given by bind().
  [[nodiscard]] const std::string& condition() const noexcept { return condition_; }
  void bind(statement& s) const;

 private:
  struct value {
    cell is;
    std::string bytes;
  };
  using identity = std::vector<value>;
  [[nodiscard]] std::string bounded(std::string_view comparison, std::size_t first_parameter) const;
  static void bind_identity(statement& s, const identity& of, std::size_t first_parameter);

  std::string table_;
  std::vector<std::string> columns_;  // with their collation
  std::uint32_t range_rows_;
  identity low_, high_;  // empty: unbounded
  bool started_ = false;
  std::string condition_;
};

}  // namespace syncline::storage::sqlite
