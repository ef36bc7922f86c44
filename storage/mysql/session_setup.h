// The options of the store's sessions: those of a server with session_setup() (literal.h) behind its own
// setup, and with its certificates read.
//
// Thread: any; it reads files, so at start. Failure: what net::tls_client_context::load() gives.
#pragma once

#include <memory>

#include "net/core/error.h"
#include "storage/mysql/mysql_options.h"

namespace syncline::storage::mysql {

// `server` is options.primary or one of options.replicas; its own setup statements come first.
[[nodiscard]] net::result<std::shared_ptr<const session_options>> store_session(
    const mysql_options& options, const session_options& server);

}  // namespace syncline::storage::mysql
