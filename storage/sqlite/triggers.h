// The text of the triggers that write the feed for one table, and of those that note which rows its keyword
// index must take up (search_refresh.h does that).
//
// Thread: pure, except that `where` is resolved by SQLite. Failure: errc::schema_mismatch when a table cannot
// be followed without missing changes.
//
// Invariants
//  1. A place that a row enters or leaves gets a new entry in the same transaction; entries too many are
//  harmless, one too few loses a change for ever.
//  2. A statement that changes no declared column and no column of `where` writes nothing, not even the
//  clock.
//  3. No statement relies on a conflict policy: inside an UPSERT or OR REPLACE the outer statement's policy
//  replaces the trigger's own.
//  4. For keys and scopes of integers no trigger that an INSERT fires calls a function or names a conflict
//  policy, so that an INSERT OR FAIL runs without a statement journal (row_writer.h).
//  5. The text depends on the declaration, the id and the table only, so that what is in the file can be
//  compared with it.
#pragma once

#include <string>
#include <vector>

#include "storage/sqlite/place_sql.h"
#include "storage/sqlite/schema.h"

namespace syncline::storage::sqlite {

[[nodiscard]] net::result<std::vector<named_sql>> feed_triggers(connection& db, const resource& of,
                                                                const table_shape& t,
                                                                std::int64_t resource_id);
// The FTS5 table and its triggers; empty without `search`.
[[nodiscard]] std::vector<named_sql> search_objects(const resource& of, const table_shape& t,
                                                    std::int64_t resource_id);
[[nodiscard]] std::string search_table_name(const resource& of);
// "rowid,…": the columns of the FTS5 table, in the order of `search`.
[[nodiscard]] std::string search_columns_sql(const resource& of);

// The names that objects of a resource may ever have, for dropping what is left of one and for finding names
// that collide.
[[nodiscard]] std::vector<std::string> feed_trigger_names(std::string_view resource);
[[nodiscard]] std::vector<std::string> search_trigger_names(std::string_view resource);

}  // namespace syncline::storage::sqlite
