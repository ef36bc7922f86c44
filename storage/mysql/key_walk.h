// Goes through a table of the owner in ranges of rows, in key order, so that each range can be a transaction
// of its own.
//
// Rows written meanwhile are met or not; whoever walks relies on the triggers for those. Thread: its
// connection's core. Bound: `range_rows` rows a range; two keys are kept. Failure: result<>.
#pragma once

#include <string>
#include <vector>

#include "storage/mysql/sql_connection.h"
#include "storage/mysql/table_shape.h"
#include "storage/resource.h"

namespace syncline::storage::mysql {

class key_walk {
 public:
  // `db` outlives it.
  key_walk(sql_connection& db, const resource& of, std::uint32_t range_rows);
  // Moves to the next range; false when the last one was passed.
  [[nodiscard]] net::task<net::result<bool>> next(net::request_context& context);
  // The condition on the table's rows that selects the range.
  [[nodiscard]] const std::string& condition() const noexcept { return condition_; }

 private:
  // Row comparisons as (a,b) > (1,2) would not use the index.
  [[nodiscard]] std::string compared(const std::vector<std::string>& with, char sign, bool equal) const;

  sql_connection* db_;
  std::string table_;
  std::vector<std::string> columns_;
  std::uint32_t range_rows_;
  std::vector<std::string> low_, high_;  // literals; empty: unbounded
  bool started_ = false;
  std::string condition_;
};

}  // namespace syncline::storage::mysql
