// What Syncline puts beside the tables in a SQLite file, and whether what it finds there fits the
// declaration.
//
// `migrate` creates the feed and the triggers and numbers existing rows in batches; `remove` takes all of it
// away again. The triggers build exactly the key and scope texts of key.h. docs/sync.md lists what SQLite
// hides from triggers and what these do about it. Thread: a blocking one, with a connection of its own.
// Bound: one transaction numbers at most `kNumberBatchRows` rows. Failure: result<>; a difference between
// table and declaration is errc::schema_mismatch with one line per difference in `detail`.
//
// Tables (all named syncline_*)
//   syncline_clock(id=1, seq, horizon)
//        one row; bumped inside each writing transaction, so seq is in commit order
//   syncline_feed(seq PRIMARY KEY, resource, scope, key, gone_at)
//        UNIQUE (resource, scope, key): only the latest entry of a place is kept
//        INDEX (resource, scope, seq)
//        gone_at: NULL, or a trigger believed that the row left this place, a hint for the purge: 0, and from
//        its next turn on the unix seconds of that turn
//   syncline_resource(id PRIMARY KEY, name UNIQUE, incarnation, declaration, identity)
//        id is what syncline_feed.resource holds
//   syncline_generation(number PRIMARY KEY AUTOINCREMENT, id, first_seq, created_at)
//   syncline_idempotency(key PRIMARY KEY, fingerprint, lines_done, saved, complete, created_at)
//   syncline_search_<resource>
//        FTS5 over the declared columns, rowid = the table's rowid
//   syncline_search_dirty(resource, docid)
//        rowids that triggers noted and search_refresh.h has not yet brought into the keyword index
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/resource.h"
#include "storage/schema_report.h"
#include "storage/sqlite/connection.h"

namespace syncline::storage::sqlite {

inline constexpr std::uint32_t kNumberBatchRows = 2000;
inline constexpr std::int64_t kTombstoneDays = 30;

// The statements that make the common tables and those of one resource, in order; deterministic, so that they
// can be compared with what is there.
struct named_sql {
  std::string name;  // of the object in sqlite_schema
  std::string sql;
};
[[nodiscard]] std::vector<named_sql> common_objects();
[[nodiscard]] net::result<std::vector<named_sql>> resource_objects(connection& db, const resource& of,
                                                                   std::int64_t resource_id);

// Compares the tables with the declaration and fills column::nullable and has_default. All differences in one
// error.
[[nodiscard]] net::result<void> fit_to_schema(connection& db, catalog& all);

[[nodiscard]] net::result<migrate_report> migrate(connection& db, catalog& all, bool dry_run,
                                                  const migrate_progress& progress = {});
// The first transaction of migrate(): all but what is to be done row by row (number_rows.h). With it a table
// that was swapped has its triggers and starts over, so the feed misses nothing from then on.
[[nodiscard]] net::result<migrate_report> migrate_objects(connection& db, catalog& all, bool dry_run);
[[nodiscard]] net::result<migrate_report> remove(connection& db, const catalog& all, bool dry_run);
// What migrate has to do.
struct migrate_gaps {
  std::vector<std::string> objects;  // that are missing or have another text
  std::vector<std::string> rows;  // work on rows that was begun and not ended; the feed misses nothing by it
};
[[nodiscard]] net::result<migrate_gaps> find_gaps(connection& db, const catalog& all);
// True when there are none; their names are in `missing` otherwise.
[[nodiscard]] net::result<bool> is_migrated(connection& db, const catalog& all,
                                            std::vector<std::string>& missing);

// The rows of syncline_resource for the catalog, by ordinal.
[[nodiscard]] net::result<std::vector<resource_row>> resource_rows(connection& db, const catalog& all);

// Compares tables with the feed: rows without their entries, and entries that say "present" (gone_at NULL)
// for rows that are not there. `repair` enters them again.
[[nodiscard]] net::result<check_report> check_feed(connection& db, const catalog& all, bool repair);

// Notes the time at entries that went since the last call, at most 10 * limit. Deletes entries whose row is
// gone for longer than `older_than_s`, at most `limit`, and moves the horizon,
// in one transaction. Entries whose row is found after all get gone_at NULL instead.
[[nodiscard]] net::result<purge_result> purge_tombstones(connection& db, const catalog& all,
                                                         std::int64_t older_than_s, std::uint32_t limit);

// Writes the `resources` object of a config for the tables of an existing file (JSON text, two-space indent);
// notes about what was left out as // comments.
[[nodiscard]] net::result<std::string> introspect(connection& db);

}  // namespace syncline::storage::sqlite
