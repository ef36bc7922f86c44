// One row created, replaced, patched or removed inside an open transaction.
//
// The row is locked first, so that conditions and fates are about the row as it is; after the write it is
// read again: what MySQL keeps may be another spelling of what it was given, and only the stored row tells
// whether anything changed. Thread: the core of the connection. Bound: a row. Failure: a row's fault is a
// rejected row_result; an error of the whole batch is returned, and the transaction is to be rolled back.
// Lifetime: the arguments outlive the task.
#pragma once

#include <span>

#include "storage/mysql/write_session.h"
#include "storage/store.h"

namespace syncline::storage::mysql {

[[nodiscard]] net::task<net::result<row_result>> write_one(write_session& session, const write_batch& batch,
                                                           std::span<const cell> row, write_outcome& out);

[[nodiscard]] row_result rejected(net::error why);
// An INSERT of the cells that are there, for one row; cells in the clients' form.
[[nodiscard]] statement insert_of(const table_plan& plan, std::span<const cell> row, text_arena& arena);

}  // namespace syncline::storage::mysql
