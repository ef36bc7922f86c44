// A transaction that holds the clock's row: what everything that changes the feed runs in, so that seqs are
// given out in commit order and no two of them lock the feed's rows crosswise.
//
//   auto beginning = clock_hold::begin(context, db); ... co_await
//   ... statements ...
//   auto ending = hold->commit(context); ... co_await
//
// Without commit() the transaction is left open, and its connection must be reset or dropped: rollback() when
// something failed. A node that hangs, or whose network is cut, while it holds the clock is thrown out by the
// server after `kHoldMaxS` seconds of silence. Thread: the connection's core. Failure: result<>; errc::locked
// when another one holds the clock for longer than innodb_lock_wait_timeout.
#pragma once

#include <cstdint>

#include "storage/mysql/sql_connection.h"

namespace syncline::storage::mysql {

inline constexpr int kHoldMaxS = 10;

// What the server does with a connection that says nothing: thrown out after kHoldMaxS, or when the server
// likes. The variable is the X Plugin's; another protocol has its own, so that a server that does not know it
// is no failure.
[[nodiscard]] net::task<net::result<void>> bound_silence(net::request_context& context, sql_connection& db);
net::task<void> unbound_silence(net::request_context& context, sql_connection& db);

class clock_hold {
 public:
  // A new generation begins where another server wrote the clock last, and where entries of the feed have
  // passed the clock (feed_round.h), which is moved on to them.
  // `writes` false: for who only looks and will roll back; nothing is written then.
  [[nodiscard]] static net::task<net::result<clock_hold>> begin(net::request_context& context,
                                                                sql_connection& db, bool writes = true);
  std::int64_t seq = 0;
  std::int64_t horizon = 0;
  bool restarted = false;  // a new generation begins here

  // Writes seq and horizon where they have moved, then commits.
  [[nodiscard]] net::task<net::result<void>> commit(net::request_context& context);
  net::task<void> rollback(net::request_context& context);

 private:
  sql_connection* db_ = nullptr;
  std::int64_t seq_before_ = 0;
  std::int64_t horizon_before_ = 0;
};

}  // namespace syncline::storage::mysql
