// Generations: which runs of a server have continued this feed, so that a restored backup is noticed (DESIGN
// section 5).
//
// A generation is a random id with the clock's value at which it began. A cursor is valid if its generation
// is known and its seq is not above the start of the next one: whatever a lost future had above that point
// was written by nobody who is in this file. Thread: that of the connection. Failure: result<>.
#pragma once

#include <cstdint>
#include <optional>

#include "storage/cursor.h"
#include "storage/feed.h"
#include "storage/sqlite/connection.h"
#include "storage/sqlite/table_plan.h"

namespace syncline::storage::sqlite {

inline constexpr std::int64_t kGenerationsMax = 10000;

// Inside a write transaction: a new generation that begins at `first_seq`; drops those whose cursors are all
// below the horizon.
[[nodiscard]] net::result<void> record_generation(connection& db, std::int64_t first_seq,
                                                  std::int64_t horizon);
// The newest generation's id, in the current transaction.
[[nodiscard]] net::result<std::uint64_t> current_generation(connection& db);
// Whether a cursor's position is on the line of this file, in the current transaction.
[[nodiscard]] net::result<reset_reason> check_position(connection& db, const cursor& at,
                                                       const clock_row& clock);

}  // namespace syncline::storage::sqlite
