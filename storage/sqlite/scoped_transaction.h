// A transaction that rolls back unless it was committed.
//
// One that writes takes the write lock at once (BEGIN IMMEDIATE), so that it waits for another writer here
// and not in its middle. Thread: its connection's. Failure: errc::locked from begin() when the busy timeout
// passes; commit() may fail with disk_full or down, and has then rolled back.
#pragma once

#include <utility>

#include "storage/sqlite/connection.h"

namespace syncline::storage::sqlite {

class scoped_transaction {
 public:
  [[nodiscard]] static net::result<scoped_transaction> begin(connection& db, bool writes = true) {
    if (auto begun = db.exec(writes ? "BEGIN IMMEDIATE" : "BEGIN"); !begun) return begun.error();
    return scoped_transaction(db);
  }
  scoped_transaction(scoped_transaction&& other) noexcept : db_(std::exchange(other.db_, nullptr)) {}
  scoped_transaction& operator=(scoped_transaction&&) = delete;
  ~scoped_transaction() { roll_back(); }

  [[nodiscard]] net::result<void> commit() {
    auto done = db_->exec("COMMIT");
    if (!done) roll_back();
    db_ = nullptr;
    return done;
  }

 private:
  explicit scoped_transaction(connection& db) : db_(&db) {}
  // SQLite has already rolled back after some errors; then there is nothing to do.
  void roll_back() noexcept {
    if (db_ != nullptr && sqlite3_get_autocommit(db_->get()) == 0)
      sqlite3_exec(db_->get(), "ROLLBACK", nullptr, nullptr, nullptr);
    db_ = nullptr;
  }
  connection* db_;
};

}  // namespace syncline::storage::sqlite
