// How one resource is read: the pieces of SQL for its table, made when the store opens and again when the
// file's schema changes.
//
// Use it for every SELECT on an owner's table, so that key, scope and `where` mean the same everywhere. Not
// for writes (row_writer.h). Thread: immutable after read(); any. Failure: result<> while reading the schema.
//
// Invariants
//  1. A key or scope of text is compared bytewise, whatever collation the column or its index has; the index
//  is used all the same.
//  2. Keys are ordered as the unique index of the key orders them, and "beyond a key" uses the same order.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "storage/feed.h"
#include "storage/key.h"
#include "storage/resource.h"
#include "storage/row_json.h"
#include "storage/sqlite/connection.h"

namespace syncline::storage::sqlite {

// SELECT of a projection and, behind it, of the key columns that are not in it.
class row_select {
 public:
  row_select(const resource& of, const projection& what);
  [[nodiscard]] const std::string& head() const noexcept { return head_; }  // `SELECT … FROM "table"`
  // Appends the canonical key of the statement's row. errc::schema_mismatch when what is stored does not fit
  // the declaration.
  [[nodiscard]] net::result<void> append_key(const statement& row, std::string& bytes) const;
  // Appends the canonical key and then the JSON of the statement's row; `bytes` is as before when it fails.
  struct place {
    std::uint32_t key_at = 0, key_size = 0, json_at = 0, json_size = 0;
  };
  [[nodiscard]] net::result<place> append(const statement& row, std::string& bytes) const;

 private:
  const resource* of_;
  row_encoder encoder_;
  std::string head_;
  std::vector<int> key_columns_;  // of the statement, in key order
  int width_ = 0;
};

// Which rows of a part of a stream, or of a list.
struct scope_filter {
  std::string sql;  // ` AND …`, with the parameter it was made for; empty: all rows
  cell value;       // its text lives in the caller's arena
};

class table_plan {
 public:
  [[nodiscard]] static net::result<table_plan> read(connection& db, const resource& of);

  [[nodiscard]] const resource& of() const noexcept { return *of_; }
  [[nodiscard]] bool without_rowid() const noexcept { return without_rowid_; }
  [[nodiscard]] const std::string& rowid_name() const noexcept { return rowid_name_; }
  // False when the unique index takes different bytes for the same key.
  [[nodiscard]] bool bytewise_key() const noexcept { return bytewise_key_; }
  [[nodiscard]] const row_select& whole_row() const noexcept { return whole_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }         // quoted table name
  [[nodiscard]] const std::string& key_columns() const noexcept { return keys_; }  // `"a","b"`

  // Computed by the table: never written.
  [[nodiscard]] bool generated(std::size_t column_index) const noexcept { return generated_[column_index]; }

  // What a column holds when it is not given, as an SQL expression.
  [[nodiscard]] const std::string& default_value(std::size_t column_index) const noexcept {
    return defaults_[column_index];
  }

  // SQL conditions; parameters are numbered from `first`.
  [[nodiscard]] std::string key_is(int first) const;
  [[nodiscard]] std::string key_beyond(int first, bool descending) const;
  [[nodiscard]] std::string order(bool descending) const;                         // ` ORDER BY …`
  [[nodiscard]] const std::string& visible() const noexcept { return visible_; }  // ` AND (where)` or empty
  // errc::invalid when the resource has no such scope or the value does not fit it.
  [[nodiscard]] net::result<scope_filter> scope(std::string_view text, int parameter,
                                                text_arena& arena) const;

 private:
  explicit table_plan(const resource& of);
  const resource* of_;
  row_select whole_;
  std::string name_;
  std::string keys_;
  std::string visible_;
  std::string rowid_name_;
  std::vector<bool> generated_;
  std::vector<std::string> defaults_;
  std::vector<std::string> key_terms_;  // as the unique index compares them
  bool without_rowid_ = false;
  bool bytewise_key_ = true;
};

// The plans of a catalog, by ordinal.
class table_plans {
 public:
  [[nodiscard]] static net::result<table_plans> read(connection& db, const catalog& all);
  [[nodiscard]] const table_plan& of(const resource& r) const noexcept { return plans_[r.ordinal]; }

 private:
  std::vector<table_plan> plans_;
};

// The plans for the schema as one connection sees it: a table may be swapped for another under the store.
//
// Who reads rows in a transaction takes the plans in that transaction, so that rows and plans are of one
// schema: a page of a scan that ordered its keys otherwise than the next one would lose rows. Thread: that of
// the connection. Failure: result<> of reading the schema; the next call tries again.
class schema_plans {
 public:
  explicit schema_plans(const catalog& all) : all_(&all) {}
  // In a transaction of `db`. The same object until the schema changes; costs one cached statement then.
  [[nodiscard]] net::result<std::shared_ptr<const table_plans>> current(connection& db);

 private:
  const catalog* all_;
  std::int64_t schema_version_ = 0;
  std::shared_ptr<const table_plans> plans_;
};

[[nodiscard]] bool stored_as_text(column_type type) noexcept;
// Binds the cells of a key from parameter `first` on.
void bind_key(statement& to, int first, std::span<const cell> key) noexcept;
// The feed's clock in the current transaction.
struct clock_row {
  std::int64_t seq = 0;
  std::int64_t horizon = 0;
};
[[nodiscard]] net::result<clock_row> read_clock(connection& db);

}  // namespace syncline::storage::sqlite
