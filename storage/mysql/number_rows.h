// Gives the rows that were there before the triggers their feed entries, a range of rows a transaction.
//
// The entries are made under the clock's lock by one INSERT … SELECT whose snapshot begins after the lock was
// taken, and not by way of syncline_pending: a row that was deleted meanwhile is then either not seen or its
// removal is numbered later, whereas a late pending row would say that it is there. Writers of the table are
// not held up: they never touch the clock, and under READ COMMITTED the SELECT locks nothing. The sequencer
// waits for one range. Safe after a crash: a place that has its entry is left alone.
//
// Thread: the connection's core. Bound: kNumberBatchRows rows a transaction.
#pragma once

#include <functional>
#include <string>

#include "storage/mysql/place_sql.h"
#include "storage/mysql/schema.h"

namespace syncline::storage::mysql {

using rows_progress = std::function<void(std::uint64_t rows_done)>;

// How many entries were made. References outlive the task.
[[nodiscard]] net::task<net::result<std::uint64_t>> number_rows(net::request_context& context,
                                                                sql_connection& db, const resource& of,
                                                                const table_shape& t,
                                                                std::int64_t resource_id,
                                                                const rows_progress& progress);

// "SELECT … WHERE the place has no entry", for the places of the rows that `condition` finds: what numbering
// inserts and check_feed looks for. `columns` is the text after SELECT.
[[nodiscard]] std::string places_without_entry_sql(const resource& of, const table_shape& t,
                                                   std::int64_t resource_id, const place_sql& place,
                                                   std::string_view columns, std::string_view condition);
// Enters the places without entries among the rows that `condition` finds, in a transaction of its own.
[[nodiscard]] net::task<net::result<std::uint64_t>> number_range(net::request_context& context,
                                                                 sql_connection& db, const resource& of,
                                                                 const table_shape& t,
                                                                 std::int64_t resource_id,
                                                                 const std::string& condition);

// Marks the entries of a resource that starts over as possibly gone, in batches, so that the purge finds
// those whose rows went away unseen.
[[nodiscard]] net::task<net::result<void>> mark_old_entries(net::request_context& context, sql_connection& db,
                                                            std::int64_t resource_id);
// Deletes all of them, in batches.
[[nodiscard]] net::task<net::result<void>> delete_entries(net::request_context& context, sql_connection& db,
                                                          std::int64_t resource_id);

}  // namespace syncline::storage::mysql
