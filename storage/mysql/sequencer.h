// Moves committed changes from the pending table into the feed, in an order that readers can follow, and says
// how far this process has told what changed.
//
// A round takes the clock's row lock first, then reads pending rows with a plain READ COMMITTED snapshot in
// id order, numbers them densely, enters them, deletes them, moves the clock, commits. Any number of nodes
// may run rounds; the lock makes that safe. Not for reading pages (page_reader.h).
//
// Thread: start(), stop(), settle() on any core, the rounds on the core it was made on, with one connection
// of its own beside the pools'; watermark() and resources() on any thread. Bound: feed_round_rows entries a
// round and in memory; a notice lists at most kNoticeItemsMax changes, more are told as `everything`.
// Failure: a round that fails is tried again with backoff; settle() gives errc::down or timed_out. A node
// that hangs with the clock's lock is thrown out by the server after `kHoldMaxS` seconds of silence
// (clock_hold.h).
//
// Invariants
//  1. The listener is called in order of watermark, one call at a time, before that watermark is published.
//  2. A change whose transaction was committed before settle() was called is at or below what it returns.
//  3. The published watermark falls only after a new generation is in the database.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "net/core/task.h"
#include "storage/feed.h"
#include "storage/mysql/lasting_task.h"
#include "storage/mysql/mysql_options.h"
#include "storage/mysql/schema.h"

namespace syncline::net {
class core;
}

namespace syncline::storage::mysql {

inline constexpr std::int64_t kNoticeItemsMax = 50'000;

// Opens a connection to the primary for the sequencer, the schema watch and the chores.
using connection_maker =
    std::function<net::task<net::result<std::unique_ptr<sql_connection>>>(net::request_context& context)>;

class sequencer {
 public:
  // `on` need not run yet. The catalog outlives it.
  sequencer(net::core& on, const mysql_options& options, const catalog& all, connection_maker connect);
  ~sequencer();
  sequencer(const sequencer&) = delete;
  sequencer& operator=(const sequencer&) = delete;

  // Before start(): where the feed stands, and what the resources are called in it.
  void start_at(std::int64_t watermark, std::int64_t horizon, std::vector<resource_row> resources);
  void set_listener(feed_listener* listener);
  // Before start(): called on the core when the server is found to be another one, before anything of it is
  // published.
  void on_other_server(std::function<void()> then);
  void start();
  void stop();  // from a thread that is no core; the core's loop still runs

  // Waits for a round that began after this call, which drained what was pending then; the watermark after
  // it. Called on any core; the answer comes back to it.
  [[nodiscard]] net::task<net::result<std::int64_t>> settle(net::request_context& context);

  [[nodiscard]] std::int64_t watermark() const noexcept;  // published
  [[nodiscard]] std::int64_t horizon() const noexcept;
  // The id of the newest generation that was seen; stored before a watermark of it. 0: none yet.
  [[nodiscard]] std::int64_t generation_id() const noexcept;
  [[nodiscard]] std::shared_ptr<const std::vector<resource_row>> resources()
      const;  // by ordinal; new when one started over
  [[nodiscard]] bool healthy() const noexcept;
  [[nodiscard]] std::string trouble() const;

 private:
  struct state;
  std::shared_ptr<state> state_;  // shared with messages that are under way to its core
  lasting_task task_;
};

// Records that a new line of history begins at the clock's position: at a start of this process, at a change
// of the server's identity, when the feed went back. Holds the clock's lock meanwhile. Returns that position
// and the horizon.
struct feed_position {
  std::int64_t seq = 0;
  std::int64_t horizon = 0;
};
[[nodiscard]] net::task<net::result<feed_position>> record_generation(net::request_context& context,
                                                                      sql_connection& db);

}  // namespace syncline::storage::mysql
