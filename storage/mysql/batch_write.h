// One batch inside an open transaction: its idempotency record, its rows, and whether what they wrote stays.
//
// The caller opens the transaction and commits it or rolls it back as `keep` says (store_writes.h). Thread:
// the core of the connection. Bound: the batch. Failure: an error of the whole batch is returned; the
// transaction is to be rolled back then. Lifetime: the arguments outlive the task.
#pragma once

#include <optional>

#include "storage/mysql/write_session.h"
#include "storage/store.h"

namespace syncline::storage::mysql {

struct batch_ending {
  net::result<write_outcome> outcome;
  bool keep = false;  // commit what it wrote
};

// `ahead`: a statement that was sent and is not waited for yet. outcome.position is left to the caller.
[[nodiscard]] net::task<batch_ending> write_in_transaction(net::request_context& context, sql_connection& db,
                                                           const table_plan& plan, const write_batch& batch,
                                                           std::optional<write_session::answering> ahead);

}  // namespace syncline::storage::mysql
