// A SQLite connection and its prepared statements, as thin as RAII allows.
//
// Thread: one at a time (opened NOMUTEX). Not for a core: every call may block on the disk or on another
// process's lock. Failure: result<>; sqlite_error() maps SQLite's codes to ours: FULL → disk_full,
// BUSY/LOCKED → locked, CORRUPT/NOTADB → corrupt, CONSTRAINT → conflict (the text says which), IOERR/CANTOPEN
// → down, SCHEMA → schema_mismatch, READONLY/others → internal with SQLite's text.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include <sqlite3.h>

#include "net/core/error.h"
#include "storage/cell.h"

namespace syncline::storage::sqlite {

// "name" with quotes doubled: for identifiers from the config or the schema, the only text that is ever put
// into SQL.
[[nodiscard]] std::string quoted(std::string_view identifier);
// 'text' with quotes doubled.
[[nodiscard]] std::string literal(std::string_view text);

[[nodiscard]] net::error sqlite_error(sqlite3* db, int code, std::string_view doing);

// A prepared statement. Reset and unbound by run scope: `statement_use`.
class statement {
 public:
  statement() = default;
  explicit statement(sqlite3_stmt* s) : stmt_(s) {}
  statement(statement&& other) noexcept : stmt_(std::exchange(other.stmt_, nullptr)) {}
  statement& operator=(statement&& other) noexcept {
    if (this != &other) {
      sqlite3_finalize(stmt_);
      stmt_ = std::exchange(other.stmt_, nullptr);
    }
    return *this;
  }
  ~statement() { sqlite3_finalize(stmt_); }

  [[nodiscard]] sqlite3_stmt* get() const noexcept { return stmt_; }
  explicit operator bool() const noexcept { return stmt_ != nullptr; }
  // 1-based. Text and blobs are not copied: they must live until reset().
  void bind(int at, const cell& value) noexcept;
  void bind(int at, std::int64_t value) noexcept { sqlite3_bind_int64(stmt_, at, value); }
  void bind(int at, std::string_view text) noexcept;
  // SQLITE_ROW, SQLITE_DONE or an error code.
  [[nodiscard]] int step() noexcept { return sqlite3_step(stmt_); }
  void reset() noexcept {
    sqlite3_reset(stmt_);
    sqlite3_clear_bindings(stmt_);
  }
  // A view into SQLite's memory, valid until the next step or reset.
  [[nodiscard]] cell column(int at) const noexcept;
  [[nodiscard]] std::string_view text(int at) const noexcept;
  [[nodiscard]] std::int64_t integer(int at) const noexcept { return sqlite3_column_int64(stmt_, at); }

 private:
  sqlite3_stmt* stmt_ = nullptr;
};

// Resets at the end of a block, so that a cached statement never holds a snapshot open.
class statement_use {
 public:
  explicit statement_use(statement& s) noexcept : s_(&s) {}
  ~statement_use() { s_->reset(); }
  statement_use(const statement_use&) = delete;
  statement_use& operator=(const statement_use&) = delete;
  statement* operator->() const noexcept { return s_; }
  statement& operator*() const noexcept { return *s_; }

 private:
  statement* s_;
};

struct connection_options {
  std::string path;
  bool read_only = false;
  bool create = false;
  int busy_timeout_ms = 5000;
  std::string synchronous = "FULL";    // FULL, NORMAL, OFF, EXTRA
  std::uint32_t cache_kb = 16 * 1024;  // page cache of this connection
  std::size_t statements_max = 256;    // cached; the cache is emptied when full
};

class connection {
 public:
  connection() = default;
  connection(connection&& other) noexcept;
  connection& operator=(connection&& other) noexcept;
  ~connection();

  // Opens, sets WAL (unless read-only), synchronous, foreign_keys on, busy timeout, trusted_schema (off for
  // readers; writers need it on, since
  // the owner's own triggers may write to FTS5), and checks that the
  // database is UTF-8.
  [[nodiscard]] static net::result<connection> open(const connection_options& options);
  [[nodiscard]] sqlite3* get() const noexcept { return db_; }
  explicit operator bool() const noexcept { return db_ != nullptr; }

  [[nodiscard]] net::result<void> exec(std::string_view sql);
  [[nodiscard]] net::result<statement> prepare(std::string_view sql);
  // Prepared once per text and kept; the reference is valid until the cache is emptied, that is, until the
  // next cached() call that finds it full.
  [[nodiscard]] net::result<statement*> cached(const std::string& sql);
  void drop_cached() noexcept;
  // One value of a one-row query; errc::not_found when there is no row.
  [[nodiscard]] net::result<std::int64_t> query_int(std::string_view sql);
  [[nodiscard]] net::result<std::string> query_text(std::string_view sql);
  [[nodiscard]] net::error error(int code, std::string_view doing) const {
    return sqlite_error(db_, code, doing);
  }

 private:
  sqlite3* db_ = nullptr;
  std::size_t statements_max_ = 256;
  std::unordered_map<std::string, std::unique_ptr<statement>> statements_;
};

}  // namespace syncline::storage::sqlite
