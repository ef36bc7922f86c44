// The settings of `storage.mysql`, as the config spells them, and the options made of them.
//
// Thread: a value, read at start. Failure: errc::invalid that names the setting and what is allowed.
#pragma once

#include <cstdint>
#include <string>

#include "net/core/error.h"

namespace syncline::storage::mysql {
struct mysql_options;
}

namespace syncline::server {

struct mysql_settings {
  std::string host = "127.0.0.1";
  std::uint16_t port = 33060;
  std::string socket;  // instead of host and port
  std::string user;
  std::string password;
  std::string password_file;
  std::string schema;
  std::string tls_mode = "required";
  std::string tls_ca_file;
  std::string tls_certificate_file;
  std::string tls_key_file;
  std::string login = "automatic";
  bool first_login_unverified = false;
  std::string compression = "disabled";
  std::string replicas;  // "host:port, host:port"

  std::uint32_t connections_max = 0;  // connections_for() says what 0 means
  std::uint32_t connections_min = 0;
  std::uint32_t connects_max = 4;
  std::uint32_t connect_timeout_ms = 5000;
  std::uint32_t silence_timeout_ms = 60'000;
  std::uint32_t waiters_max = 4096;
  std::uint32_t pipeline_limit = 16;
  std::uint32_t wait_percent_max = 25;
  std::uint32_t idle_timeout_ms = 300'000;
  std::uint32_t lifetime_max_ms = 1'800'000;
  std::uint32_t validate_after_idle_ms = 30'000;
  std::uint32_t reserved_interactive_percent = 40;
  std::uint32_t reserved_sync_percent = 20;
  std::uint32_t reserved_refresh_percent = 10;
  std::uint32_t reserved_bulk_percent = 10;

  std::uint32_t feed_poll_ms = 20;
  std::uint32_t feed_round_rows = 2000;
  std::uint32_t schema_check_s = 30;
  std::uint32_t write_retries_max = 5;
  std::uint32_t lock_wait_timeout_s = 5;
  std::uint32_t transaction_idle_ms = 10000;
  std::uint32_t start_timeout_s = 600;
  std::uint32_t tombstone_days = 30;
  std::uint32_t purge_interval_s = 60;
  std::uint32_t idempotency_keep_h = 24;
  std::uint32_t replica_lag_max_ms = 5000;
  bool migrate_on_start = false;
};

// Of the pool on a node with `cores`: as many as are set; else ten, one a core or connections_min, whichever
// is most.
[[nodiscard]] std::uint32_t connections_for(const mysql_settings& settings, std::size_t cores) noexcept;
// Reads password_file when it is named.
[[nodiscard]] net::result<storage::mysql::mysql_options> mysql_options_of(const mysql_settings& settings);

// "mysql://user:password@host:port/schema", "mysql://user@localhost/schema?socket=/run/mysqlx.sock"; the
// parts are percent-decoded (RFC 3986). A password that is not in it comes from
// SYNCLINE_STORAGE__MYSQL__PASSWORD.
[[nodiscard]] bool is_mysql_url(std::string_view text) noexcept;
[[nodiscard]] net::result<mysql_settings> mysql_settings_of_url(std::string_view url);

}  // namespace syncline::server
