// Batches as transactions: opened, run, committed, tried again, and acknowledged when the feed has them.
//
// A batch that lost against others (deadlock, lock wait) is run again as a whole after a jittered pause, at
// most write_retries_max times; one whose connection was lost before COMMIT once, on another connection. When
// the connection is lost at COMMIT the Idempotency-Key's record tells, where there is one: found means that
// it happened. Thread: a core. Bound: one connection a batch. Failure: errc::locked after the last try;
// errc::down with "may or may not have happened". Lifetime: `shared` outlives the tasks.
#pragma once

#include <string_view>

#include "storage/mysql/batch_write.h"
#include "storage/mysql/store_shared.h"
#include "storage/store.h"

namespace syncline::storage::mysql {

[[nodiscard]] net::task<net::result<write_outcome>> write_batch_alone(net::request_context& context,
                                                                      store_shared& shared,
                                                                      write_batch batch);

// Also of transactions of several batches.
// Sends COMMIT and waits. errc::down or timed_out: in doubt. The lease is marked broken when it cannot be
// used again.
[[nodiscard]] net::task<net::result<void>> commit(net::request_context& context, db_lease& on);
// Undoes what is open; a connection that cannot say so is marked broken.
[[nodiscard]] net::task<void> roll_back(net::request_context& context, db_lease& on);
// The position that contains what was committed, when the listener knows of it. An error's text is
// `committed`, a literal: it has happened all the same.
[[nodiscard]] net::task<net::result<std::int64_t>> acknowledge(net::request_context& context,
                                                               store_shared& shared,
                                                               std::string_view committed);
void count_rows(store_shared& shared, const write_batch& batch, const write_outcome& made, bool kept);

}  // namespace syncline::storage::mysql
