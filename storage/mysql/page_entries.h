// What a page begins with: the snapshot's clock, the cursor's standing, and the entries behind its position.
//
// Part of page_reader.h. All of it is asked for in one flight. Thread: the core of the connection. Bound:
// `wanted` entries for each scoped part and for all others together. Failure: result<>.
//
// Invariant: every entry of the stream in (from, complete_upto] is in `entries`, in order.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "storage/feed.h"
#include "storage/mysql/schema.h"
#include "storage/mysql/sql_connection.h"

namespace syncline::storage::mysql {

struct found_entry {
  std::int64_t seq = 0;
  std::uint32_t part = 0;
  std::string key;
};

// What to look for.
struct entries_wanted {
  const stream* what = nullptr;
  std::optional<cursor> from;
  std::uint32_t rows_max = 0;  // of one part
};

struct page_beginning {
  std::int64_t seq = 0, horizon = 0;  // the clock
  std::uint64_t generation = 0;       // the newest
  bool pending = false;               // the snapshot has changes that are not numbered yet
  reset_reason standing = reset_reason::none;
  std::vector<resource_row> resources;  // by part
  std::vector<found_entry> entries;
  std::int64_t complete_upto = 0;
};

// The first statement is still to come: opens the snapshot too. `hint` is by ordinal of the resource.
[[nodiscard]] net::task<net::result<page_beginning>> begin_page(net::request_context& context,
                                                                sql_connection& db, entries_wanted wanted,
                                                                const std::vector<resource_row>& hint);

}  // namespace syncline::storage::mysql
