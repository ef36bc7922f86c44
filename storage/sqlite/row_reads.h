// Reading rows on a connection: by key, in key order, by other columns.
//
// Each function reads in one read transaction and builds its answer with the one encoder. Not for the feed
// (page_reader.h). Thread: that of the connection. Bound: `limit` rows, kAnswerBytesMax of a list; a list
// that is cut says `more`. Failure: result<>; errc::invalid for a key or scope that does not fit the
// declaration. A stored row that does not is no row, as in a stream: it is left out, logged and counted; a
// list with more than kLeftOutMax of them is errc::schema_mismatch.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "storage/sqlite/connection.h"
#include "storage/sqlite/table_plan.h"
#include "storage/store.h"

namespace syncline::storage::sqlite {

inline constexpr std::size_t kAnswerBytesMax = 16U * 1024 * 1024;
inline constexpr std::size_t kSearchWordsMax = 16;
inline constexpr std::uint32_t kLeftOutMax = 64;  // of one list, or of one value's rows

[[nodiscard]] net::result<rows> read_by_key(connection& db, schema_plans& plans, const resource& of,
                                            const projection& what, const std::vector<std::string>& keys);
[[nodiscard]] net::result<rows> read_list(connection& db, schema_plans& plans, const list_query& query);
[[nodiscard]] net::result<rows> read_by_columns(connection& db, schema_plans& plans, const resource& of,
                                                const std::vector<std::size_t>& by,
                                                const std::vector<std::string>& keys, std::uint32_t rows_max);

// Client words as an FTS5 expression: each a quoted string, all must match, the last as a prefix; empty when
// there are none.
[[nodiscard]] std::string match_expression(std::string_view words);

}  // namespace syncline::storage::sqlite
