// The options of the store's sessions: those of a server with session_setup() (literal.h) behind its own
// setup, and with its certificates read.
//
// Thread: any; it reads files, so at start. Failure: what net::tls_client_context::load() gives.
#pragma once

#include <memory>

#include "net/core/error.h"
#include "storage/mysql/mysql_options.h"

namespace syncline::storage::mysql {

// DDL says nothing until it is done, and an index of a large table takes hours: silence_timeout_ms at least,
// for who migrates and waits for it, and for the schema watch, which must notice a server that is gone.
inline constexpr std::uint32_t kMigrateSilenceMs = 24 * 3'600'000;
inline constexpr std::uint32_t kWatchSilenceMs = 3'600'000;

// `server` is options.primary or one of options.replicas; its own setup statements come first.
[[nodiscard]] net::result<std::shared_ptr<const session_options>> store_session(
    const mysql_options& options, const session_options& server);

// The same, where nothing said for `silence_ms` is no sign of death.
[[nodiscard]] net::result<std::shared_ptr<const session_options>> patient_session(
    const mysql_options& options, session_options server, std::uint32_t silence_ms);

}  // namespace syncline::storage::mysql
