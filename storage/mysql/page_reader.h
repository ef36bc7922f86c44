// The next page of a stream, read in one snapshot of one server: checks the cursor, follows the feed, goes on
// with a first sync.
//
// The rules of entries and of first syncs are feed.h's and those of its namesake on SQLite: position first,
// then data; changes of all parts, also of those whose scan is still to come. Few flights: what opens the
// snapshot, checks the cursor and reads the entries is sent together, then the rows, where there are changes
// without a number those of the stream's resources, then COMMIT. Use it with a connection that nobody shares.
// Thread: the core of the connection. Bound: the page's limits; kEntriesMax places of the feed looked at for
// one page; rows are asked for in numbers that fit what is left of bytes_max, going by the mean of the rows
// before. Failure: result<>; a row that fits no declaration is left out, logged and counted. The snapshot may
// be open still when the connection failed: `clean` says so.
//
// Invariants
//  1. Whoever keeps puts and removes of pages 1…n and resumes from next of page n misses nothing that was
//  committed before page n was read and stays.
//  2. next.seq never passes an entry of the stream that was not looked up.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "storage/feed.h"
#include "storage/mysql/schema.h"
#include "storage/mysql/table_plan.h"

namespace syncline::storage::mysql {

inline constexpr std::int64_t kEntriesMax = 50'000;

struct page_outcome {
  net::result<feed_page> page;
  bool clean = false;  // no transaction is open
};

// `hint`: what the resources were called in the feed when somebody looked last.
[[nodiscard]] net::task<page_outcome> read_feed_page(net::request_context& context, sql_connection& db,
                                                     const table_plans& plans,
                                                     std::shared_ptr<const std::vector<resource_row>> hint,
                                                     std::shared_ptr<const stream> what,
                                                     std::optional<cursor> from, page_limits limits);

}  // namespace syncline::storage::mysql
