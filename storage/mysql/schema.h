// What Syncline puts beside the tables in a MySQL schema, and whether what it finds there fits the
// declaration.
//
// `migrate` creates the feed and the triggers and numbers existing rows in batches; `remove` takes all of it
// away again. The triggers build exactly the key and scope texts of key.h. docs/sync.md lists what MySQL
// hides from triggers and what these do about it. Thread: a core; each call has a connection of its own and
// nothing else runs on it. Bound: one transaction numbers at most `kNumberBatchRows` rows. Failure: result<>;
// a difference between table and declaration is errc::schema_mismatch with one line per difference in
// `detail`; binary logging without the right to make triggers (1419) is errc::unsupported with what to do.
//
// Tables (InnoDB, all named syncline_*; texts of ours are bytes, so that no collation takes part)
//   syncline_clock(id=1 PRIMARY KEY, seq BIGINT, horizon BIGINT, server VARBINARY(64))
//        one row; its lock is the sequencer's. `server` is @@server_uuid of who wrote it last
//   syncline_pending(id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, resource INT, scope VARBINARY(768),
//        `key` VARBINARY(1024), gone TINYINT)
//        what the triggers write: places to look at again, until the sequencer has numbered them
//   syncline_feed(resource INT, scope, `key`, seq BIGINT, gone_at BIGINT NULL,
//        PRIMARY KEY(resource, scope, `key`), UNIQUE by_seq(seq), KEY by_scope(resource, scope, seq),
//        KEY by_gone(gone_at))
//        only the latest entry of a place is kept. gone_at: unix seconds at which a trigger believed that the
//        row left this place, a hint for the purge; NULL otherwise
//   syncline_resource(id INT AUTO_INCREMENT PRIMARY KEY, name VARBINARY(255) UNIQUE, incarnation BIGINT,
//        declaration VARBINARY(64), identity TEXT)
//        id is what syncline_feed.resource holds. identity: what the table was when its triggers were made
//   syncline_generation(number BIGINT AUTO_INCREMENT PRIMARY KEY, id BIGINT, first_seq BIGINT,
//        created_at BIGINT)
//   syncline_idempotency(`key` VARBINARY(255) PRIMARY KEY, fingerprint BIGINT, lines_done BIGINT,
//        saved LONGBLOB, complete TINYINT, created_at BIGINT, KEY by_age(created_at))
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/mysql/sql_connection.h"
#include "storage/resource.h"
#include "storage/schema_report.h"

namespace syncline::storage::mysql {

inline constexpr std::uint32_t kNumberBatchRows = 2000;

// `CREATE TABLE IF NOT EXISTS …` for the tables above, and the clock's row; run in order they leave what is
// there alone.
[[nodiscard]] std::vector<std::string> common_tables();

// Compares the tables with the declaration and fills column::nullable and has_default. All differences in one
// error.
[[nodiscard]] net::task<net::result<void>> fit_to_schema(net::request_context& context, sql_connection& db,
                                                         catalog& all);

[[nodiscard]] net::task<net::result<migrate_report>> migrate(net::request_context& context,
                                                             sql_connection& db, catalog& all, bool dry_run,
                                                             migrate_progress progress);
[[nodiscard]] net::task<net::result<migrate_report>> remove(net::request_context& context, sql_connection& db,
                                                            const catalog& all, bool dry_run);
// Empty when every object is there with our text; else the names of what is missing or changed.
[[nodiscard]] net::task<net::result<std::vector<std::string>>> missing_objects(net::request_context& context,
                                                                               sql_connection& db,
                                                                               const catalog& all);

// The rows of syncline_resource for the catalog, by ordinal; id 0 where there is none.
[[nodiscard]] net::task<net::result<std::vector<resource_row>>> resource_rows(net::request_context& context,
                                                                              sql_connection& db,
                                                                              const catalog& all);

// Compares tables with the feed, as its namesake on SQLite does; `repair` enters what is missing again.
[[nodiscard]] net::task<net::result<check_report>> check_feed(net::request_context& context,
                                                              sql_connection& db, const catalog& all,
                                                              bool repair);

// Deletes entries whose row is gone for longer than `older_than_s`, at most `limit`, and moves the horizon,
// in one transaction that holds the clock. Entries whose row is found after all get gone_at NULL instead.
[[nodiscard]] net::task<net::result<purge_result>> purge_tombstones(net::request_context& context,
                                                                    sql_connection& db, const catalog& all,
                                                                    std::int64_t older_than_s,
                                                                    std::uint32_t limit);

// The `resources` object of a config for the tables of the connection's schema (JSON text, two-space indent);
// notes about what was left out as // comments.
[[nodiscard]] net::task<net::result<std::string>> introspect(net::request_context& context,
                                                             sql_connection& db);

}  // namespace syncline::storage::mysql
