// The table of what Idempotency-Keys did: read, refused, saved and purged.
//
// A record is saved in the transaction of the write that it is about. Thread: that of the connection.
// Bound: kept for idempotency_keep_h, purged in small pieces. Failure: result<>.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "storage/sqlite/connection.h"
#include "storage/store.h"

namespace syncline::storage::sqlite {

[[nodiscard]] net::result<std::optional<idempotency>> read_idempotency(connection& db,
                                                                       const std::string& key);
// errc::conflict "idempotency-key" when the key's request is done, was another one, or is not where
// `lines_before` says.
// What was saved before goes into `saved_before`.
[[nodiscard]] net::result<void> refuse_repeated(connection& db, const idempotency& record,
                                                std::string& saved_before);
// Inserts the record, or moves the one that is there on; its age stays that of the first.
[[nodiscard]] net::result<void> remember(connection& db, const idempotency& record);
// Deletes at most `limit` records made before `before` (unix seconds).
[[nodiscard]] net::result<std::uint64_t> purge_idempotency(connection& db, std::int64_t before,
                                                           std::uint32_t limit);

}  // namespace syncline::storage::sqlite
