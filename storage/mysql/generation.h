// Generations: which runs of which server have continued this feed, so that a restored backup or a promoted,
// shorter replica is noticed.
//
// A generation is a random id with the clock's value at which it began. A cursor is valid if its generation
// is known and what it knows of (cursor::newest()) is not above the start of the next one. Thread: the
// connection's core. Bound: `kGenerationsMax` are kept, and those whose cursors are all below the horizon are
// dropped. Failure: result<>.
#pragma once

#include "storage/mysql/clock_hold.h"

namespace syncline::storage::mysql {

inline constexpr std::int64_t kGenerationsMax = 10000;
// Where a generation begins whose database was put together from tables of different moments.
inline constexpr std::int64_t kNoCursorIsGood = -1;

// Numbers repeat after a backup was restored, ids do not.
struct generation {
  std::int64_t number = 0;
  std::int64_t id = 0;
  friend bool operator==(const generation&, const generation&) = default;
};

// Inside a transaction that holds the clock: a new generation that begins at `first_seq`, and the clock says
// which server wrote it.
[[nodiscard]] net::task<net::result<generation>> begin_generation(net::request_context& context,
                                                                  sql_connection& db, std::int64_t horizon,
                                                                  std::int64_t first_seq);

}  // namespace syncline::storage::mysql
