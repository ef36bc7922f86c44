// The open transaction of one batch: rows locked and read, statements run, and a first statement that is sent
// together with the second.
//
// Thread: the core of the connection; one statement at a time, since what follows a deadlock would run
// outside the transaction. Bound: the batch. Failure: result<>; what is not a row's fault ends the batch.
#pragma once

#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "storage/mysql/table_plan.h"

namespace syncline::storage::mysql {

struct stored_row {
  std::vector<cell> cells;  // of all columns, in the clients' form
  std::string key;          // canonical
  bool visible = false;     // inside `where`
};

// Copies of stored rows, found by key.
class stored_rows final : public row_sink {
 public:
  explicit stored_rows(const table_plan& plan) : plan_(plan) {}
  net::result<bool> row(const std::vector<column>& columns, const row_fields& fields) override;
  [[nodiscard]] const stored_row* find(std::string_view canonical) const noexcept;
  [[nodiscard]] std::size_t size() const noexcept { return rows_.size(); }
  void clear() noexcept {
    by_key_.clear();
    rows_.clear();
    arena_.clear();
  }

 private:
  const table_plan& plan_;
  std::deque<stored_row> rows_;
  std::unordered_map<std::string_view, const stored_row*> by_key_;
  text_arena arena_;
};

class write_session {
 public:
  // `ahead`: a statement that was sent already (START TRANSACTION); the first answer that is waited for.
  using answering = net::task<net::result<result_rows>>;
  write_session(net::request_context& of, sql_connection& with, const table_plan& table,
                std::optional<answering> sent_ahead)
      : context(of), db(with), plan(table), ahead_(std::move(sent_ahead)) {}

  // Reads rows by their keys, in the form of table_plan::split(), and locks them.
  [[nodiscard]] net::task<net::result<void>> lock(std::span<const cell> keys, stored_rows& into);
  [[nodiscard]] net::task<net::result<void>> look(std::span<const cell> keys, stored_rows& into);
  [[nodiscard]] net::task<net::result<statement_notes>> run(const statement& what);
  [[nodiscard]] net::task<net::result<statement_notes>> run_text(std::string_view text);
  [[nodiscard]] net::task<net::result<void>> settle_ahead();

  net::request_context& context;
  sql_connection& db;
  const table_plan& plan;

 private:
  [[nodiscard]] net::task<net::result<void>> read(std::span<const cell> keys, bool locked, stored_rows& into);
  std::optional<answering> ahead_;
};

}  // namespace syncline::storage::mysql
