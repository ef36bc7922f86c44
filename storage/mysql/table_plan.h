// How one resource is read: the pieces of SQL for its table, made once when the store opens.
//
// Use it for every SELECT on an owner's table, so that key, scope and `where` mean the same everywhere.
// Thread: immutable after read(); any. Failure: result<>.
//
// Invariants
//  1. A scope of text is compared bytewise, whatever collation the column has; its index is used all the
//  same. A key is found by its unique index and then compared bytewise here, by whoever reads the row: the
//  index gives at most one.
//  2. Keys are ordered as the unique index of the key orders them, and "beyond a key" uses the same order.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "storage/feed.h"
#include "storage/key.h"
#include "storage/mysql/row_select.h"
#include "storage/mysql/sql_connection.h"
#include "storage/resource.h"

namespace syncline::storage::mysql {

// The text of a statement and the arguments for its `?`, in order. Texts of arguments live elsewhere until it
// is sent.
struct statement {
  std::string text;
  std::vector<argument> with;
};

class table_plan {
 public:
  [[nodiscard]] static net::task<net::result<table_plan>> read(net::request_context& context,
                                                               sql_connection& db, const resource& of);

  [[nodiscard]] const resource& of() const noexcept { return *of_; }
  [[nodiscard]] const row_select& whole_row() const noexcept { return whole_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }        // quoted table name
  [[nodiscard]] const std::string& visible() const noexcept { return visible_; }  // ` AND (where)` or empty
  // `SELECT …, whether it is visible FROM `table` WHERE `: all columns in declared order, also of rows
  // outside `where`.
  [[nodiscard]] const std::string& stored_head() const noexcept { return stored_head_; }
  [[nodiscard]] const std::string& column_name(std::size_t index) const noexcept { return columns_[index]; }
  // Computed by the table: never written.
  [[nodiscard]] bool generated(std::size_t column_index) const noexcept {
    return kinds_[column_index].generated;
  }
  // The database makes it: the one key column that is AUTO_INCREMENT, or none.
  [[nodiscard]] bool makes_key() const noexcept { return makes_key_; }

  // Whether MySQL may keep something else than it is given: rounded, cut at blanks, respelled. Then only the
  // stored row tells what a write has changed.
  [[nodiscard]] bool bends(std::size_t column_index, const cell& given) const noexcept;
  // Appends an expression that compares with the key column as a value of the column would; false where only
  // an argument does.
  [[nodiscard]] bool append_key_expression(std::size_t key_index, std::string_view expression,
                                           std::string& out) const;

  // A canonical key as the values that MySQL compares with its columns. errc::invalid when it is none.
  [[nodiscard]] net::result<std::vector<cell>> split(std::string_view canonical, text_arena& arena) const;
  // Values of other columns, in the clients' form, likewise (rows_by).
  [[nodiscard]] net::result<void> prepare(std::span<const std::size_t> columns, std::span<cell> values,
                                          text_arena& arena) const;

  // Append conditions and their arguments.
  void add_key_is(std::span<const cell> key, statement& out) const;
  // One of several keys, row by row in `keys`. Texts come in few lengths (powers of two; the last key is
  // said again), so that few of them are prepared.
  void add_key_in(std::span<const cell> keys, statement& out) const;
  void add_key_beyond(std::span<const cell> key, bool descending, statement& out) const;
  void add_columns_are(std::span<const std::size_t> columns, std::span<const cell> values,
                       statement& out) const;               // bytewise
  void add_order(bool descending, std::string& out) const;  // ` ORDER BY …`
  // ` AND …`, or nothing for an empty scope. errc::invalid when the resource has no such scope, the value
  // does not fit it, or is not spelled as in the feed.
  [[nodiscard]] net::result<void> add_scope(std::string_view text, statement& out, text_arena& arena) const;

 private:
  explicit table_plan(const resource& of);
  const resource* of_;
  row_select whole_;
  std::string name_;
  std::string visible_;
  std::string stored_head_;
  std::vector<std::string> columns_;  // quoted names
  struct column_kind {
    bool generated = false;
    bool respelled = false;               // CHAR, ENUM, SET, FLOAT
    std::uint32_t fraction = UINT32_MAX;  // digits that it keeps
    std::string character_set, collation;
  };
  std::vector<column_kind> kinds_;
  bool makes_key_ = false;
};

// The plans of a catalog, by ordinal.
class table_plans {
 public:
  [[nodiscard]] static net::task<net::result<table_plans>> read(net::request_context& context,
                                                                sql_connection& db, const catalog& all);
  [[nodiscard]] const table_plan& of(const resource& r) const noexcept { return plans_[r.ordinal]; }

 private:
  std::vector<table_plan> plans_;
};

// How many values a list is padded to: the next power of two.
[[nodiscard]] std::size_t padded(std::size_t count) noexcept;

}  // namespace syncline::storage::mysql
