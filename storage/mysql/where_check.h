// Whether a resource's `where` can be followed: its outcome must depend on the row alone.
//
// A clause that reads the clock, another table or a variable lets rows leave without a write. The server
// itself says so: the clause is tried as the CHECK of a temporary table with the same columns, which refuses
// exactly that. Thread: the connection's core. Failure: errc::schema_mismatch with the server's words;
// errc::down when the account lacks CREATE TEMPORARY TABLES.
#pragma once

#include "storage/mysql/table_shape.h"
#include "storage/resource.h"

namespace syncline::storage::mysql {

// `of` and `t` outlive the task.
[[nodiscard]] net::task<net::result<void>> check_where(net::request_context& context, sql_connection& db,
                                                       const resource& of, const table_shape& t);

}  // namespace syncline::storage::mysql
