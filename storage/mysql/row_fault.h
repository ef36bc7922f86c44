// Which errors of MySQL are the fault of one row, and what a client is told about them.
//
// The same sentences as on SQLite; names of columns and constraints, no values, come from MySQL's message.
// Thread: pure. Not for errors of a whole statement (deadlock, lost connection): those are not faults of a
// row.
#pragma once

#include <optional>

#include "net/core/error.h"

namespace syncline::storage::mysql {

// errc::conflict or errc::invalid; nothing when the error is not about a row.
[[nodiscard]] std::optional<net::error> row_fault(const net::error& said);
// A unique index has the value already.
[[nodiscard]] bool is_duplicate(const net::error& said) noexcept;

}  // namespace syncline::storage::mysql
