// The next page of a stream, read in one read transaction: checks the cursor, follows the feed, goes on with
// a first sync.
//
// A first sync is position first, then data: the page without a cursor notes the clock; every page first
// follows the feed from the cursor's seq, so that the position moves with the client, and then scans rows by
// key. Changes of parts whose scan is still to come are told as well: a client that was cut may hold rows of
// them, and a row may come to them from a part that was scanned. Thread: that of the connection. Bound: the
// page's limits, and kEntriesMax feed entries looked at for one page; `next` then stands short of the
// watermark. Failure: result<>; a row that another program stored in a form which fits no declaration is left
// out, logged and counted, and sent when it is mended.
//
// Invariants
//  1. Whoever keeps puts and removes of pages 1…n and resumes from next of page n misses nothing that was
//  committed before page n was read and stays.
//  2. next.seq never passes an entry of the stream that was not looked up.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "storage/feed.h"
#include "storage/sqlite/connection.h"
#include "storage/sqlite/schema.h"
#include "storage/sqlite/table_plan.h"

namespace syncline::storage::sqlite {

inline constexpr std::int64_t kEntriesMax = 50000;

[[nodiscard]] net::result<feed_page> read_feed_page(connection& db, schema_plans& plans, const stream& what,
                                                    const std::optional<cursor>& from, page_limits limits);

}  // namespace syncline::storage::sqlite
