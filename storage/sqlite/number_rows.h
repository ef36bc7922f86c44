// The work on the rows of a table that migrate_objects() leaves to be done: the entries of a table that was
// there before go, the rows that were there before the triggers get their feed entries and their place in the
// keyword index; a batch a transaction.
//
// Safe beside writers: a row that has its entry is left alone. What is left is written in syncline_resource
// (schema_state.h), so that whoever comes after a crash or a stop goes on with it; he passes over the rows
// that are done. Thread: a blocking one. Bound: `range_rows` rows, and more while `until` has not come, hold
// the write lock. Failure: result<>; what a failed call did is undone, and the next one does it again.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "net/core/timer_wheel.h"
#include "storage/sqlite/place_sql.h"
#include "storage/sqlite/schema.h"
#include "storage/sqlite/schema_state.h"
#include "storage/sqlite/table_walk.h"

namespace syncline::storage::sqlite {

class row_numbering {
 public:
  explicit row_numbering(std::uint32_t range_rows) : range_rows_(range_rows) {}

  struct limits {
    net::steady_time until{};         // one range at least
    std::int64_t clock_at_least = 0;  // errc::conflict below it: an older state of the file was put back
  };
  struct batch {
    const resource* of = nullptr;  // null: nothing was left
    std::uint64_t entries = 0;     // that were made
  };
  // One transaction.
  [[nodiscard]] net::result<batch> run(connection& db, const catalog& all, const limits& to);

 private:
  // Where the walk through a resource's rows stands. It is given up when the resource started over; a keyword
  // index may also be made anew for rows that stay, so there any change of the schema counts.
  struct position {
    std::int64_t resource_id = 0, incarnation = 0, schema_version = 0;
    std::string_view work;
    table_shape shape;
    table_walk walk;
  };
  [[nodiscard]] net::result<batch> run_batch(connection& db, const catalog& all, const limits& to);
  [[nodiscard]] net::result<bool> range(connection& db, const resource& of, const resource_state& state,
                                        std::uint64_t& entries);
  [[nodiscard]] net::result<bool> drop_old(connection& db, const resource_state& state) const;
  [[nodiscard]] net::result<void> go_to(connection& db, const resource& of, const resource_state& state,
                                        std::string_view work);

  std::uint32_t range_rows_;
  std::optional<position> at_;
};

// "SELECT … WHERE the place has no entry", for the places of the rows that `condition` finds: what numbering
// inserts and check_feed looks for. `columns` is the text after SELECT.
[[nodiscard]] std::string places_without_entry_sql(const resource& of, const table_shape& t,
                                                   std::int64_t resource_id, const place_sql& place,
                                                   std::string_view columns, std::string_view condition);
// Enters the places without entries among the rows of one range, in the caller's transaction; how many.
[[nodiscard]] net::result<std::uint64_t> number_range(connection& db, const resource& of,
                                                      const table_shape& t, std::int64_t resource_id,
                                                      const table_walk& range);

}  // namespace syncline::storage::sqlite
