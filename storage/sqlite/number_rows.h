// Gives the rows that were there before the triggers their feed entries and their place in the keyword index,
// a range of rows a transaction.
//
// Safe beside writers and after a crash: a row that has its entry is left alone. Thread: a blocking one.
// Bound: kNumberBatchRows rows hold the write lock.
#pragma once

#include <functional>

#include "storage/sqlite/place_sql.h"
#include "storage/sqlite/schema.h"

namespace syncline::storage::sqlite {

using rows_progress = std::function<void(std::uint64_t rows_done)>;

// How many entries were made.
[[nodiscard]] net::result<std::uint64_t> number_rows(connection& db, const resource& of, const table_shape& t,
                                                     std::int64_t resource_id, const rows_progress& progress);
[[nodiscard]] net::result<void> fill_search(connection& db, const resource& of, const table_shape& t);

// "SELECT … WHERE the place has no entry", for the places of the rows that `condition` finds: what numbering
// inserts and check_feed looks for. `columns` is the text after SELECT.
[[nodiscard]] std::string places_without_entry_sql(const resource& of, const table_shape& t,
                                                   std::int64_t resource_id, const place_sql& place,
                                                   std::string_view columns, std::string_view condition);
// Enters the places without entries among the rows of one range, in the caller's transaction; how many.
class table_walk;
[[nodiscard]] net::result<std::uint64_t> number_range(connection& db, const resource& of,
                                                      const table_shape& t, std::int64_t resource_id,
                                                      const table_walk& range);

}  // namespace syncline::storage::sqlite
