// One read transaction: everything read while it lives comes from one state of the database.
//
// Thread: that of the connection. Not inside another transaction. Failure: opened() says why it could not
// begin; statements fail then by themselves.
#pragma once

#include <new>

#include "storage/sqlite/connection.h"

namespace syncline::storage::sqlite {

class snapshot {
 public:
  explicit snapshot(connection& db) : db_(&db), opened_(run("BEGIN")) {}
  ~snapshot() {
    if (sqlite3_get_autocommit(db_->get()) != 0) return;
    // Ending a read transaction can fail only where there is nothing to be ended any more, or no memory for
    // the statement; and a destructor may not throw.
    try {
      if (run("COMMIT")) return;
    } catch (const std::bad_alloc&) {  // as below
    }
    sqlite3_exec(db_->get(), "ROLLBACK", nullptr, nullptr, nullptr);
  }
  snapshot(const snapshot&) = delete;
  snapshot& operator=(const snapshot&) = delete;
  [[nodiscard]] const net::result<void>& opened() const noexcept { return opened_; }

 private:
  net::result<void> run(const char* sql) {
    auto s = db_->cached(sql);
    if (!s) return s.error();
    const statement_use once(**s);
    const int code = once->step();
    if (code != SQLITE_DONE) return db_->error(code, sql);
    return {};
  }
  connection* db_;
  net::result<void> opened_;
};

}  // namespace syncline::storage::sqlite
