// Runs one batch of rows inside the writer's transaction: statements for each kind of write, conditions,
// idempotency, and each row's fate.
//
// A bad row is one failed statement, which SQLite undoes by itself, or which wrote nothing. A small batch is
// a savepoint, kept or rolled back alone. A large one is not: under an open savepoint SQLite keeps every page
// that any row of it touched, and walks through them again for each row (26,000 rows took 8 s instead of 1
// s). When a large batch must be undone after all (a dry run, an error in its middle), the writer rolls
// everything back and runs the other batches again. Use it through the writer (writer.h). Thread: the
// writer's. Bound: the batch. Failure: a row's fault is a row_result; an error of the whole batch is
// returned, and the writer looks at the connection to see whether the transaction still stands.
//
// Invariants
//  1. A row that would not change fires no trigger and makes no feed entry.
//  2. Conditions see the row as it is inside the write transaction.
//  3. No deferred foreign key of a batch is left open for the commit, except inside a transaction of several
//  batches.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "storage/sqlite/connection.h"
#include "storage/sqlite/plain_tables.h"
#include "storage/sqlite/put_text.h"
#include "storage/sqlite/table_plan.h"
#include "storage/store.h"

namespace syncline::storage::sqlite {

inline constexpr std::uint32_t kSavepointRowsMax = 16;

class row_writer {
 public:
  row_writer(connection& db, std::shared_ptr<const table_plans> plans) : db_(db), plans_(std::move(plans)) {}
  row_writer(const row_writer&) = delete;
  row_writer& operator=(const row_writer&) = delete;

  enum class aftermath : std::uint8_t {
    kept,        // what it wrote is in the transaction; or it wrote nothing
    undo_all,    // the transaction must be rolled back to undo it
    again_alone  // undo_all, and run it again with each row alone: some row left a deferred foreign key open,
                 // or itself where its triggers failed
  };
  struct ending {
    net::result<write_outcome> outcome;
    aftermath what = aftermath::kept;
  };
  // Inside a write transaction. `several`: the batch belongs to a transaction of several batches.
  // outcome.position is left to the writer.
  [[nodiscard]] ending run(const write_batch& batch, bool several, bool each_alone);
  // What it keeps of the tables is theirs: for other plans make another one.
  [[nodiscard]] const std::shared_ptr<const table_plans>& plans() const noexcept { return plans_; }

 private:
  using row_answer = net::result<row_result>;  // an error is the whole batch's
  // Why one row is refused, or nothing. (A result of an optional error would be ambiguous.)
  struct refusal {
    refusal() = default;  // no aggregate, for the same reason
    [[nodiscard]] static refusal because(net::error e) {
      refusal out;
      out.why.emplace(std::move(e));
      return out;
    }
    std::optional<net::error> why;
  };

  // Sets `keep` to whether what the rows wrote stays.
  [[nodiscard]] net::result<write_outcome> run_batch(const write_batch& batch, bool each_alone, bool& keep);
  [[nodiscard]] net::result<write_outcome> run_rows(const write_batch& batch, bool each_alone);
  [[nodiscard]] row_answer run_row(const write_batch& batch, std::span<const cell> row, write_outcome& out);
  // `keyed`: the key columns are among the row's cells.
  [[nodiscard]] row_answer put(const write_batch& batch, std::span<const cell> row, bool keyed);
  [[nodiscard]] net::result<refusal> run_put(const std::string& sql, std::span<const cell> row,
                                             std::span<const cell> key);
  [[nodiscard]] row_answer replace(const write_batch& batch, std::span<const cell> row, write_outcome& out);
  [[nodiscard]] row_answer patch(const write_batch& batch, std::span<const cell> row);
  [[nodiscard]] row_answer remove(const write_batch& batch);
  // Steps a writing statement once: nothing, a fault of the row, or an error of the batch.
  [[nodiscard]] net::result<refusal> step_write(statement& s);
  // Whether a row has this key: in the table, or among the resource's rows (`visible`).
  [[nodiscard]] net::result<bool> exists(const table_plan& plan, std::span<const cell> key, bool visible);
  [[nodiscard]] net::result<refusal> check_condition(const write_batch& batch, const std::string& key);
  [[nodiscard]] net::result<std::string> key_of_last_row(const table_plan& plan);
  [[nodiscard]] net::result<void> read_back(const table_plan& plan, const std::string& key,
                                            write_outcome& out, row_result& into);
  [[nodiscard]] net::result<void> simple(const char* sql);
  [[nodiscard]] bool deferred_keys_open() const noexcept;

  // The same for the row that put_ fits.
  [[nodiscard]] net::result<bool> key_exists(std::span<const cell> key);
  [[nodiscard]] net::result<bool> find_key(const std::string& sql, std::span<const cell> key);

  connection& db_;
  std::shared_ptr<const table_plans> plans_;
  plain_tables plain_;
  put_text put_;
  bool or_fail_ = false;  // for this batch: inserts undo nothing when they fail (plain_tables.h)
  bool torn_ = false;     // one of them failed and left its row there
};

}  // namespace syncline::storage::sqlite
