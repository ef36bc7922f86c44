// Keys and scopes as canonical text: one spelling for one row, the same in URLs, the feed, cursors and
// caches.
//
// A key of one column is its value; several columns are joined by ','. In text values '%' is written %25 and
// ',' %2C (always, also in keys of one column), so the joined form has one meaning. Integers are decimal
// without sign '+' or leading zeros; bytes columns are upper-case hex; a value that the database compares by
// value has the one text of value_spelling.h. A scope is `name:value` with the same spelling of the value.
// The triggers build exactly these texts in SQL (schema_sql.h). Thread: pure functions. Bounds: a key text is
// at most `kKeyBytesMax`. Failure: errc::invalid that names the column and, where texts differ for one value,
// shows the expected one.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/core/error.h"
#include "storage/cell.h"
#include "storage/resource.h"

namespace syncline::storage {

inline constexpr std::size_t kKeyBytesMax = 1024;

// Appends the canonical text of one value of `type`; false for kinds that cannot be keys (NULL, real).
[[nodiscard]] bool append_key_part(column_type type, const cell& value, std::string& out);
// The canonical key of a row given as one cell per column of the resource. errc::invalid too for a value that
// the key's column cannot keep exactly.
[[nodiscard]] net::result<std::string> key_of_row(const resource& of, std::span<const cell> row);
// The key that a client wrote as it is joined here (`ids`, `after`), in its canonical spelling.
[[nodiscard]] net::result<std::string> canonical_key(const resource& of, std::string_view text);
// Splits a canonical key text into one cell per key column; text cells live in `arena`.
[[nodiscard]] net::result<std::vector<cell>> split_key(const resource& of, std::string_view canonical,
                                                       text_arena& arena);
// From a URL path segment as sent: commas separate columns, each is percent-decoded (RFC 3986), then checked
// and made canonical.
[[nodiscard]] net::result<std::string> key_from_path(const resource& of, std::string_view segment);
// The same, back: the path segment for a canonical key (percent-encoded).
[[nodiscard]] std::string key_to_path(std::string_view canonical);
// The `id` of sync lines: a JSON number for a single int64 key without as_string, else a JSON string with the
// unescaped text for a key of one column and the canonical text for several.
void append_key_json(const resource& of, std::string_view canonical, std::string& out);

// `user:42` as it is written in a query after percent-decoding: the scope's name and the value with '%' as
// %25 and ',' as %2C. errc::invalid for any other spelling.
struct scope_text {
  std::string name;
  std::string value;
  [[nodiscard]] std::string text() const { return name + ":" + value; }
};
[[nodiscard]] net::result<scope_text> parse_scope(std::string_view text);
// The value as the feed has it for this resource; errc::invalid when its column has no such value.
[[nodiscard]] net::result<std::string> canonical_scope_value(const resource& of, const scope_rule& rule,
                                                             std::string_view value);
// The cell to compare the scope column with; errc::invalid when the value does not fit the column's type.
[[nodiscard]] net::result<cell> scope_cell(const resource& of, const scope_rule& rule,
                                           std::string_view canonical_value, text_arena& arena);

}  // namespace syncline::storage
