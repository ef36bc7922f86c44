// The store on MySQL over the X Protocol: pools of connections, one on each core and server; rows are read
// and written on the request's own core.
//
// Reads by key share connections and are pipelined; pages and writes have one for themselves. Writes and the
// feed go to the primary; reads of rows also to replicas that are new enough (replica_reads.h). A sequencer
// on a thread of its own keeps the feed and tells the listener. Thread: see store.h; a transaction of several
// batches belongs to the core that began it. Bounds: pool_options; a batch or a page in memory for each
// connection. Failure: see store.h; errc::down and timed_out of a write whose COMMIT was sent mean that it
// may or may not have happened, and say so.
//
// Lifetime: cores and catalog outlive the store; stop() while the cores run, destroy it after they have
// ended.
//
// Invariants
//  1. A write is acknowledged after its transaction is durable and the listener was told of its feed entries.
//  2. A row that is read is at least as new as the position it is given with.
//  3. Everything of a feed_page is read in one snapshot of the primary.
//  4. A connection on which a transaction may be open is never used by anybody else.
#pragma once

#include <memory>

#include "storage/mysql/mysql_options.h"
#include "storage/store.h"

namespace syncline::net {
class core_group;
}

namespace syncline::storage::mysql {

// On a thread that is no core, before or after the cores have started. Connects to the primary, fits the
// catalog to its tables (filling nullable and has_default), migrates if asked, records a new generation,
// starts the sequencer. errc::schema_mismatch says what differs or that `syncline migrate` must run.
[[nodiscard]] net::result<std::unique_ptr<store>> open_mysql_store(const mysql_options& options, catalog& all,
                                                                   net::core_group& cores);

}  // namespace syncline::storage::mysql
