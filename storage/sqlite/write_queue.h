// What waits for the writer: batches by class, transactions that want to begin, the calls of the one that is
// open, and chores.
//
// Thread: push functions on any thread, the others on the writer's. Bound: `limit_rows` over all lanes, of
// which the bulk lane may use three quarters; an empty lane takes one batch of any size. Failure:
// errc::overloaded with retry_after_ms when it is full or the estimated wait would miss the deadline;
// errc::closed after stop().
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "storage/sqlite/connection.h"
#include "storage/sqlite/store_call.h"
#include "storage/store.h"

namespace syncline::storage::sqlite {

struct write_call : store_call<write_outcome> {
  write_call(net::request_context& context, write_batch b)
      : store_call(context), batch(std::move(b)), weight_rows(std::max(batch.row_count, 1U)) {}
  write_batch batch;
  const std::uint32_t weight_rows;
  bool rows_alone = false;  // the writer's: one of its rows would fail everybody's commit
};
using begin_call = store_call<std::uint64_t>;
struct end_call : store_call<std::int64_t> {
  end_call(net::request_context& context, bool c) : store_call(context), commit(c) {}
  const bool commit;
};
// A call of the open transaction: one of the two.
struct transaction_step {
  std::shared_ptr<write_call> write;
  std::shared_ptr<end_call> end;
};
using write_chore = std::function<void(connection&)>;

inline constexpr std::size_t kChoresMax = 16;

class write_queue {
 public:
  enum class lane : std::uint8_t { interactive, middle, bulk };
  static constexpr std::size_t kLanes = 3;

  explicit write_queue(std::uint32_t limit_rows) : limit_rows_(limit_rows) {}

  [[nodiscard]] net::result<void> push(std::shared_ptr<write_call> call);
  [[nodiscard]] net::result<void> push(std::shared_ptr<begin_call> call);
  // errc::closed unless `transaction` is the open one.
  [[nodiscard]] net::result<void> push(std::uint64_t transaction, transaction_step step);
  // Runs between groups, outside of any transaction. False when too many wait.
  bool push_chore(write_chore chore);
  void stop();
  [[nodiscard]] bool stopping() const;
  [[nodiscard]] std::uint64_t rows() const;
  [[nodiscard]] std::uint64_t batches() const;

  enum class work : std::uint8_t { group, transaction, chore, end };
  // Waits for something to do; `more` is true when the writer has work of its own.
  [[nodiscard]] work wait(bool more);
  // The next batch of a lane; dead ones are told so. None when the lane is empty or its first is a
  // transaction.
  [[nodiscard]] std::shared_ptr<write_call> take(lane from);
  [[nodiscard]] std::shared_ptr<begin_call> take_begin();
  [[nodiscard]] write_chore take_chore();
  // One of those queued before `when` (all lanes), or none.
  [[nodiscard]] std::shared_ptr<call_base> take_older(net::steady_time when) noexcept;
  // Teaches the estimate: what a group of `rows` cost.
  void learn(std::uint64_t rows, std::uint64_t us);

  // The open transaction; once it is closed take_step() gives what still waited for it.
  void open_transaction(std::uint64_t id);
  void close_transaction() noexcept;
  [[nodiscard]] std::optional<transaction_step> take_step() noexcept;
  // The next call of the open transaction; nothing when it was idle for so long or the store stops.
  [[nodiscard]] std::optional<transaction_step> wait_step(std::chrono::milliseconds idle);

 private:
  struct waiting {
    std::shared_ptr<write_call> write;
    std::shared_ptr<begin_call> begin;
  };
  [[nodiscard]] static lane lane_of(net::work_class work) noexcept;
  [[nodiscard]] net::result<void> admit(const call_base& call, lane to, std::uint32_t rows) const;
  [[nodiscard]] double wait_us(lane to) const;
  void took(lane from, const waiting& item) noexcept;

  const std::uint64_t limit_rows_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::array<std::deque<waiting>, kLanes> lanes_;
  std::array<std::uint64_t, kLanes> lane_rows_{};
  std::deque<write_chore> chores_;
  std::deque<transaction_step> steps_;
  std::uint64_t open_transaction_ = 0;
  bool stopping_ = false;
  bool after_group_ = false;  // a chore and a transaction that wait go before the next group
  bool after_chore_ = false;  // which was that chore: another one waits for the next group
  double us_per_row_ = 20;    // moving averages; first guesses
  double us_per_group_ = 2000;
};

}  // namespace syncline::storage::sqlite
