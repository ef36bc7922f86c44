// Runs one piece of work with a connection to the primary and waits for its end: for the command line and for
// opening a store, where nothing else runs.
//
//   auto done = run_on_mysql(options, [&](net::request_context& context, sql_connection& db)
//       -> net::task<net::result<void>> { ... });
//
// Not on a core: it blocks. Thread: any that is no core; the work runs on a core of its own that ends with
// the call, so what it captures may be on the caller's stack. Bound: none of its own; the work may set a
// deadline. Failure: the error of the connect or of the work; what it throws is thrown here.
#pragma once

#include <functional>

#include "net/core/task.h"
#include "storage/mysql/mysql_options.h"
#include "storage/mysql/sql_connection.h"

namespace syncline::net {
class core;
}

namespace syncline::storage::mysql {

using mysql_work =
    std::function<net::task<net::result<void>>(net::request_context& context, sql_connection& db)>;

[[nodiscard]] net::result<void> run_on_mysql(const mysql_options& options, const mysql_work& work);
// The same on a core that runs already and stays. `until` is the deadline of the work's context, in which the
// session is opened as well.
[[nodiscard]] net::result<void> run_on_mysql(net::core& on, const mysql_options& options,
                                             const mysql_work& work,
                                             net::steady_time until = net::steady_time::max());

}  // namespace syncline::storage::mysql
