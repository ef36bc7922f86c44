// The table of what Idempotency-Keys did: read, refused, saved and purged.
//
// A record is saved in the transaction of the write that it is about. Thread: the core of the connection.
// Bound: kept for idempotency_keep_h, purged in small pieces. Failure: result<>. Lifetime: the arguments
// outlive the task.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "storage/mysql/sql_connection.h"
#include "storage/store.h"

namespace syncline::storage::mysql {

// `locked`: inside a transaction, and others wait who want the record or its place.
[[nodiscard]] net::task<net::result<std::optional<idempotency>>> read_idempotency(
    net::request_context& context, sql_connection& db, const std::string& key, bool locked);
// What was saved before, or errc::conflict "idempotency-key" when the key's request is done, was another one,
// or is not where `lines_before` says.
[[nodiscard]] net::result<std::string> refuse_repeated(const std::optional<idempotency>& known,
                                                       const idempotency& record);
// Saves the record. `first`: there was none when the transaction looked, so one that is there now is another
// request's (is_duplicate(), row_fault.h); else one that is there is moved on.
[[nodiscard]] net::task<net::result<void>> remember(net::request_context& context, sql_connection& db,
                                                    const idempotency& record, bool first);
// Deletes at most `limit` records made before `before` (unix seconds); how many those were.
[[nodiscard]] net::task<net::result<std::uint64_t>> purge_idempotency(net::request_context& context,
                                                                      sql_connection& db, std::int64_t before,
                                                                      std::uint32_t limit);

}  // namespace syncline::storage::mysql
