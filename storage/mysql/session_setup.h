// What every session of the store begins with, so that a statement means the same on each of them.
//
// UTC, utf8mb4, strict values, READ COMMITTED, our lock wait. Quotes and backslashes keep their usual
// meaning, whatever the server's own sql_mode says: literal.h relies on it. Thread: pure. Failure: what
// tls_client_context::load() gives.
#pragma once

#include <memory>

#include "net/core/error.h"
#include "storage/mysql/mysql_options.h"

namespace syncline::storage::mysql {

// `server` is options.primary or one of options.replicas; its own setup statements come first.
[[nodiscard]] net::result<std::shared_ptr<const session_options>> store_session(
    const mysql_options& options, const session_options& server);

}  // namespace syncline::storage::mysql
