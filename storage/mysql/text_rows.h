// Answers of catalog and maintenance queries as texts, and statements that answer nothing.
//
// Use it where a few rows of a few columns come back (the schema, the feed's own tables); not on the request
// path, since each field becomes a string. Thread: the connection's core. Bound: rows_bytes_max of the
// session. Failure: result<>; a field that cannot be decoded is errc::corrupt.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/mysql/sql_connection.h"

namespace syncline::storage::mysql {

// Numbers are decimal text, blobs their bytes.
class text_row {
 public:
  explicit text_row(std::vector<std::optional<std::string>> fields) : fields_(std::move(fields)) {}
  [[nodiscard]] std::size_t size() const noexcept { return fields_.size(); }
  [[nodiscard]] bool null(std::size_t i) const { return !fields_[i].has_value(); }
  // Empty for NULL; 0 for NULL and what is no number.
  [[nodiscard]] const std::string& text(std::size_t i) const;
  [[nodiscard]] std::int64_t integer(std::size_t i) const;

 private:
  std::vector<std::optional<std::string>> fields_;
};
using text_rows = std::vector<text_row>;

[[nodiscard]] net::result<text_rows> texts_of(const result_rows& from);

// Both are sent when they are awaited, unlike sql_connection's own calls: statements that share a flight use
// those.
[[nodiscard]] net::task<net::result<text_rows>> query(net::request_context& context, sql_connection& db,
                                                      std::string sql);
// How many rows it matched.
[[nodiscard]] net::task<net::result<std::uint64_t>> run(net::request_context& context, sql_connection& db,
                                                        std::string sql);

[[nodiscard]] std::string joined(const std::vector<std::string>& parts, std::string_view between);
// ASCII case folded, as MySQL compares names of columns.
[[nodiscard]] bool same_name(std::string_view a, std::string_view b) noexcept;

}  // namespace syncline::storage::mysql
