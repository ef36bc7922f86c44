// The answer to one statement, read row by row: result sets, then what the server notes about it.
//
//   for (;;) {
//     switch (answer.try_next()) {
//       case step::row: ... answer.row() ...; break;
//       case step::wait: { auto more = co_await answer.wait(context); if (more.has_error()) co_return ...; }
//       ...
//
// next_row() and collect() are that loop for those who do not count microseconds. Rows are not read ahead:
// what the caller does not take stays in the kernel and at last in the server (which gives up after
// mysqlx_write_timeout, 60 s by default, so do not hold an answer while a client reads slowly).
//
// Thread: the core of its session. Lifetime: it may outlive its session, and then fails. Destroying it before
// the end leaves the rest to the session, which drops it or itself. Failure: failure(); the session stays
// usable after an error of the statement. A wait that ends with errc::timed_out or cancelled may be repeated.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "storage/mysql/column.h"
#include "storage/mysql/pipeline.h"
#include "storage/mysql/statement_notes.h"

namespace syncline::storage::mysql {

enum class step : std::uint8_t {
  row,          // row() holds one until the next call
  end_of_rows,  // of this result set; columns() are its columns
  done,         // the statement is done, notes() are complete
  wait,         // nothing at hand: wait()
  failed,       // failure()
};

// Everything a statement answered, in memory.
struct result_rows {
  std::vector<column> columns;  // of the last result set that had any
  std::vector<std::string> bytes;
  std::vector<std::vector<std::string_view>> rows;  // fields are views into `bytes`
  statement_notes notes;
};

class answer {
 public:
  // `before`: a Prepare that was sent in front of it, whose error is the real one.
  answer(std::shared_ptr<pending> of, pipeline& from, std::shared_ptr<pending> before = nullptr) noexcept
      : pending_(std::move(of)), pipeline_(&from), before_(std::move(before)) {}
  answer(answer&&) noexcept = default;
  answer& operator=(answer&& other) noexcept;
  ~answer() { leave(); }

  [[nodiscard]] step try_next();
  [[nodiscard]] net::task<net::result<void>> wait(net::request_context& context);
  // False: this result set has no more. Further ones: call it again after done() is still false.
  [[nodiscard]] net::task<net::result<bool>> next_row(net::request_context& context);
  // Drops what is left and waits for the end; the notes are complete then.
  [[nodiscard]] net::task<net::result<void>> finish(net::request_context& context);

  [[nodiscard]] bool done() const noexcept { return last_ == step::done; }
  [[nodiscard]] const std::vector<column>& columns() const noexcept { return columns_; }
  [[nodiscard]] const row_fields& row() const noexcept { return row_; }
  [[nodiscard]] statement_notes& notes() noexcept { return notes_; }
  [[nodiscard]] const net::error& failure() const noexcept { return failure_; }

 private:
  void leave() noexcept;
  [[nodiscard]] step take(const frame& next);
  [[nodiscard]] step begin_row(const frame& next);
  [[nodiscard]] step fail_session(net::error why);
  [[nodiscard]] step fail_with_pending();

  std::shared_ptr<pending> pending_;
  pipeline* pipeline_;  // valid while pending_ is not ended
  std::shared_ptr<pending> before_;
  std::vector<column> columns_;
  row_fields row_;
  statement_notes notes_;
  net::error failure_;
  step last_ = step::wait;
  bool in_columns_ = false;  // columns are coming
  bool in_set_ = false;      // a result set has begun and not ended
};

// Reads an answer to its end. errc::too_large, with the session still usable, beyond `rows_bytes_max`.
[[nodiscard]] net::task<net::result<result_rows>> collect(net::request_context& context,
                                                          net::result<answer> from,
                                                          std::size_t rows_bytes_max);

}  // namespace syncline::storage::mysql
