// Resources, merges and the catalog of them: what the config declares about tables.
//
// Thread: built at start, then immutable; any thread reads. Addresses of resources are stable for the life of
// the catalog. Nothing outside knows a table's meaning; what is not declared here is never read, sent or
// written.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/value_spelling.h"

namespace syncline::storage {

enum class column_type : std::uint8_t {
  int64,      // JSON number (string when `as_string`)
  float64,    // JSON number; NaN and infinities are refused
  boolean,    // JSON true/false, stored 1/0
  string,     // UTF-8 text
  json,       // any JSON value, stored as its text
  timestamp,  // RFC 3339 text in UTC as the table stores it ("2026-11-20T12:00:00Z"; "2026-11-20 12:00:00" is
              // accepted)
  date,       // "2026-11-20"
  decimal,    // exact number as text: a JSON string
  bytes,      // base64 (RFC 4648 section 4) in JSON, BLOB in the table
};
[[nodiscard]] std::string_view to_string(column_type type) noexcept;
[[nodiscard]] std::optional<column_type> parse_column_type(std::string_view text) noexcept;

struct column {
  std::string name;
  column_type type = column_type::string;
  std::string short_name;               // empty: same as name
  std::uint32_t bytes_max = 64 * 1024;  // of a text, JSON or bytes value, as stored
  bool as_string = false;               // int64 as JSON string, for values beyond 2^53
  // Read from the database when the store opens, not declared:
  bool nullable = true;
  bool has_default = false;
  value_spelling spelling;  // of keys and scopes in it
};

// A row belongs to the scope `name:value-of-column`, and to none of that name where the column is NULL.
struct scope_rule {
  std::string name;
  std::size_t column = 0;
};

struct write_rules {
  bool create = false, update = false, remove = false, bulk = false;
};

struct cache_rules {
  bool l1 = true, l2 = false;
  std::uint32_t ttl_s = 3600, stale_s = 600, negative_s = 30;
};

struct resource {
  std::string name;
  std::string table;
  std::vector<column> columns;      // in declared order, which is the order in JSON
  std::vector<std::size_t> key;     // indexes into columns, in key order
  std::vector<scope_rule> scopes;   // the first is the primary scope: see feed.h
  std::string where;                // SQL over the table's columns; a row outside is a removed row
  std::vector<std::size_t> search;  // columns with keyword search
  write_rules write;
  cache_rules cache;
  bool view = false;          // an SQL view: reads only, never synced
  bool synced = true;         // has feed and triggers
  std::uint32_t ordinal = 0;  // index in the catalog

  [[nodiscard]] std::optional<std::size_t> find_column(std::string_view column_name) const noexcept;
  [[nodiscard]] const scope_rule* find_scope(std::string_view scope_name) const noexcept;
  [[nodiscard]] bool is_key(std::size_t column_index) const noexcept;
  // Changes with anything that changes what a client's copy looks like: columns, types, key, scopes, where.
  [[nodiscard]] std::uint64_t declaration_hash() const;
};

struct merge_part {
  std::string name;  // member of the answer
  const resource* from = nullptr;
  std::vector<std::size_t>
      by;  // columns of `from` that hold the root's key, in key order; the key itself for the root's own row
  bool one = false;               // an object or null instead of an array
  std::uint32_t rows_max = 1000;  // of one root; more sets "truncated" for that part
};

// Several resources merged by the key of one: read by batch per resource, never row by row.
struct merge {
  std::string name;
  const resource* root = nullptr;
  std::vector<merge_part> parts;
};

class catalog {
 public:
  resource& add(resource r);  // sets ordinal
  void add(merge m);
  [[nodiscard]] const resource* find(std::string_view name) const noexcept;
  [[nodiscard]] resource* find(std::string_view name) noexcept;
  [[nodiscard]] const merge* find_merge(const resource& root, std::string_view name) const noexcept;
  [[nodiscard]] std::size_t size() const noexcept { return resources_.size(); }
  [[nodiscard]] const resource& at(std::size_t ordinal) const noexcept { return *resources_[ordinal]; }
  [[nodiscard]] resource& at(std::size_t ordinal) noexcept { return *resources_[ordinal]; }
  [[nodiscard]] const std::vector<merge>& merges() const noexcept { return merges_; }

 private:
  std::vector<std::unique_ptr<resource>> resources_;
  std::vector<merge> merges_;
};

}  // namespace syncline::storage
