// The rows of an upload's batch, written in a few large statements inside an open transaction.
//
// The rows that are there are locked, read and compared here: what would not change is not written. New rows
// go in by one INSERT with the values in its text (a `?` for each value is quadratic in the server), changed
// ones by one UPDATE that joins the table with the values. Not INSERT … ON DUPLICATE KEY UPDATE: for a new
// key it would quietly update the row that holds another unique value, and it fires the owner's INSERT
// triggers for rows that are there; measured, the join costs the same. A statement that fails for the fault
// of a row is undone by MySQL; its halves are tried until the bad rows are alone. Good rows stay.
//
// Thread: the core of the connection. Bound: the batch; kStatementBytes of text, or one row. Failure: a row's
// fault is a rejected row_result; an error of the whole batch is returned, and the transaction is to be
// rolled back. Lifetime: the arguments outlive the task.
//
// Invariants
//  1. A row that would not change fires no trigger and makes no feed entry.
//  2. A key that comes twice in a batch is written in the order of the batch.
#pragma once

#include "storage/mysql/write_session.h"
#include "storage/store.h"

namespace syncline::storage::mysql {

inline constexpr std::size_t kStatementBytes = 512UL * 1024;

// For upsert, insert and skip. Fills out.rows, which has one element for each row of the batch.
[[nodiscard]] net::task<net::result<void>> write_rows(write_session& session, const write_batch& batch,
                                                      write_outcome& out);

}  // namespace syncline::storage::mysql
