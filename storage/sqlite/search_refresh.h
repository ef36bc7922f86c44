// Brings the keyword indexes up to the rows that triggers noted in syncline_search_dirty.
//
// The triggers do not write to FTS5 themselves: each row of an upload is a statement of its own, and FTS5
// writes out its buffer as an index segment whenever a statement begins (measured: more time than all the
// rest of an upload). So whoever commits calls this once before COMMIT, in three statements a resource, and
// the rows that other processes wrote follow in a chore. An index holds all rows of its table; `where` is the
// reader's to apply, since it may depend on the time.
// Thread: the connection's, inside a write transaction. Bound: `rows_max` rows. Failure: result<>; what was
// done so far stands in the transaction and is for the caller to undo.
#pragma once

#include <cstdint>
#include <vector>

#include "storage/sqlite/schema.h"
#include "storage/sqlite/table_plan.h"

namespace syncline::storage::sqlite {

inline constexpr std::uint64_t kSearchRefreshRows = 2000;  // of one chore

// Whether any row waits.
[[nodiscard]] net::result<bool> search_waits(connection& db);
// How many rows were brought up to date. `ids`: resource_rows() of the catalog.
[[nodiscard]] net::result<std::uint64_t> refresh_search(connection& db, const catalog& all,
                                                        const table_plans& plans,
                                                        const std::vector<resource_row>& ids,
                                                        std::uint64_t rows_max);

}  // namespace syncline::storage::sqlite
