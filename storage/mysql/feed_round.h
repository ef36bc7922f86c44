// One round of the sequencer: committed rows of syncline_pending become entries of the feed, in one
// transaction that holds the clock.
//
// The lock comes first, then a plain READ COMMITTED read in id order: its snapshot begins after everything
// that an earlier round moved was committed, and rows of one place come in the order of their transactions,
// because those locked the row. (SKIP LOCKED would pass over the rows of a place that somebody holds and
// could number a later change of it first.) Lock and read share a flight; then each statement
// waits for the one before it.
//
// Thread: the connection's core. Bound: `rows_max` pending rows in memory and in the transaction. Failure:
// result<>; the transaction is rolled back or, when the connection is lost, will be.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "storage/mysql/generation.h"

namespace syncline::storage::mysql {

struct feed_clock {
  std::int64_t seq = 0;
  std::int64_t horizon = 0;
  std::int64_t entered_max = 0;   // of an entry; above seq in a dump of several moments
  generation newest;              // id 0: there is none
  std::string server;             // who wrote the clock last
  std::string server_is_now;      // @@server_uuid
  bool read_only = false;         // it takes no writes, unless our account may do more than others
  std::int64_t incarnations = 0;  // sum over syncline_resource: it changes when a resource starts over
  std::uint64_t pending_max = 0;  // the highest id in syncline_pending that can be seen; 0: there is none
};

struct feed_place {
  std::int64_t resource = 0;
  std::string scope;
  std::string key;
};

struct round_result {
  feed_clock before;
  std::int64_t seq = 0;  // after the round
  generation newest;
  bool restarted = false;  // a new generation began: history is not what we told
  std::uint64_t rows_read = 0;
  std::uint64_t last_id = 0;
  std::vector<feed_place> others;   // entries after `told` that somebody else made
  bool others_too_many = false;     // more than `others_max`; `others` is empty then
  std::vector<feed_place> entered;  // ours, in order of seq
};

// True: a round must begin a new generation.
[[nodiscard]] bool history_broke(const feed_clock& clock, std::int64_t told) noexcept;

// What the feed looks like now, without a lock.
[[nodiscard]] net::task<net::result<feed_clock>> look_at_feed(net::request_context& context,
                                                              sql_connection& db);

// Keeps the statements of a round within a few megabytes, also with the longest keys.
inline constexpr std::uint32_t kRoundRowsMax = 10'000;
struct round_bounds {
  std::uint32_t rows_max = 2000;
  std::size_t others_max = 0;  // 0: nobody wants to know what others entered
  bool restart = false;        // begin a new generation, whatever the clock says
};
// `told` is the clock's value that this process has told of; a lower clock, one that another server wrote, or
// one that entries have passed (tables of different moments) begins a new generation. In the last case the
// clock moves on to the entries, which would else be written over, and no cursor of before is good.
[[nodiscard]] net::task<net::result<round_result>> run_round(net::request_context& context,
                                                             sql_connection& db, std::int64_t told,
                                                             round_bounds bounds);

// The places of entries after `told`, without a lock and without an upper end: a place that was entered again
// meanwhile must not be left out. More than `max`: one more than that.
[[nodiscard]] net::task<net::result<std::vector<feed_place>>> places_after(net::request_context& context,
                                                                           sql_connection& db,
                                                                           std::int64_t told,
                                                                           std::size_t max);

}  // namespace syncline::storage::mysql
