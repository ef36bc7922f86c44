// The one thread that writes: group commit, transactions of several batches, and the store's chores.
//
// A group is one transaction: interactive batches first, for at most group_commit_max_ms; then the others,
// for kSliceStretch times as long while nobody interactive comes. An interactive batch that comes in between
// is taken next and ends the group, so it waits for one batch and not for a slice; a class that was passed
// over for it gets one batch of the next group, so that none starves. Callers are answered after the commit
// is durable and the listener was told of it. Thread: start() and stop() by the store, the rest of it is its
// own. Bound: the queue. Failure: a group that cannot begin within busy_timeout_ms, or cannot commit, fails
// all of its batches and nothing is acknowledged; a connection that broke is opened again for the next group.
// A batch that throws fails alone. Any other exception, std::bad_alloc above all, fails what was being done;
// the thread goes on.
//
// Invariants
//  1. A batch is in one group at a time, and answered exactly once.
//  2. No transaction is open between two turns of the loop.
//  3. What a commit wrote is in the keyword indexes, unless more than kSearchRefreshRows rows of others
//  waited for them, or an index cannot be written; then its rows stay noted for a chore of the watcher's.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "storage/sqlite/row_writer.h"
#include "storage/sqlite/store_shared.h"
#include "storage/sqlite/write_queue.h"

namespace syncline::storage::sqlite {

class writer {
 public:
  writer(store_shared& shared, connection db);
  ~writer();
  writer(const writer&) = delete;
  writer& operator=(const writer&) = delete;

  [[nodiscard]] static net::result<connection> open_connection(const sqlite_options& options);
  void start();
  void stop();  // finishes what is queued; rolls back an open transaction; checkpoints
  [[nodiscard]] write_queue& queue() noexcept { return queue_; }

 private:
  void run();
  // Fails what was being done when an exception came; in a catch block.
  void recover(write_queue::work during) noexcept;
  void run_group();
  void run_transaction();
  [[nodiscard]] std::optional<transaction_step> first_step(const begin_call& from,
                                                           std::chrono::milliseconds idle);
  void run_chore();
  [[nodiscard]] bool ready();
  [[nodiscard]] net::result<void> begin(net::steady_time started);
  [[nodiscard]] net::result<std::int64_t> commit();
  // Tells the listener of the commit at `seq`, and does not return before it has heard.
  void tell(std::int64_t seq) noexcept;
  [[nodiscard]] net::result<void> index_words();
  void roll_back() noexcept;
  [[nodiscard]] bool take_next(net::steady_time started, std::shared_ptr<write_call>& out);
  // False when the group is over because of it.
  [[nodiscard]] bool run_in_group(const std::shared_ptr<write_call>& call);
  // Rolls back and lets the group's batches run again.
  void retry_group();
  void fail_group(const net::error& why) noexcept;
  void finish_group(std::int64_t position, net::steady_time started) noexcept;
  void fail_older(net::steady_time started, const net::error& why) noexcept;
  [[nodiscard]] row_writer::ending run_batch(const write_call& call, bool several);
  static void fail(const std::shared_ptr<call_base>& call, const net::error& why) noexcept;
  void note_failure(const net::error& why);
  void count(const write_outcome& outcome, const write_batch& batch) noexcept;
  void close_transaction(const net::error& why) noexcept;
  [[nodiscard]] bool run_step(const transaction_step& step);

  store_shared& shared_;
  write_queue queue_;
  connection db_;
  std::optional<row_writer> rows_;  // made in begin(), for the schema of the open transaction
  bool broken_ = false;
  bool words_wait_ = false;  // rows of others waited for the keyword indexes when the transaction began
  net::steady_time words_again_{};
  bool restarted_ = false;  // the file went back; a new generation is in the open transaction
  std::uint64_t next_transaction_ = 1;
  std::uint64_t group_rows_ = 0;
  std::array<bool, write_queue::kLanes> lane_ran_{};     // in this group
  std::array<bool, write_queue::kLanes> lane_passed_{};  // over for an interactive batch of this group
  std::array<bool, write_queue::kLanes> lane_waited_{};  // the same of the group before
  std::vector<std::shared_ptr<write_call>> group_;
  std::vector<std::shared_ptr<write_call>> retry_;  // of a group that one batch ended
  std::shared_ptr<call_base> current_;              // being worked on, and in none of these
  std::thread thread_;
};

}  // namespace syncline::storage::sqlite
