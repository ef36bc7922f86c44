// The configuration: JSON with comments, checked strictly, every default documented from one table.
//
// Sources, later ones win: built-in defaults, the file, the environment (SYNCLINE_HTTP__PORT=8080 is
// http.port), --set path=value. Thread: read once while starting; immutable after. Failure: config_error with
// file, line, path and what is allowed; unknown keys are errors.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cache/l1.h"
#include "net/core/core.h"
#include "net/http/server.h"
#include "perf/log.h"
#include "server/mysql_settings.h"
#include "storage/resource.h"
#include "storage/sqlite/sqlite_store.h"

namespace syncline::server {

struct sync_options {
  std::uint32_t page_rows_max = 1000;
  std::uint32_t page_bytes_max = 64 * 1024;
  std::uint32_t keep_alive_s = 15;
  std::uint32_t quiet_reread_s = 600;                  // how old the place of a quiet live stream gets
  std::uint32_t streams_max = 20000;                   // at once, over all cores: 503 beyond
  std::uint32_t parts_max = 64;                        // scopes times resources of one stream
  std::uint64_t deflate_bytes_max = 64 * 1024 * 1024;  // of gzip streams: stored instead beyond
};

struct bulk_options {
  std::uint32_t uploads_max = 1000;  // at once, over all cores: 503 beyond
  std::uint32_t batch_rows = 250;
  std::uint32_t batch_bytes_max = 1024 * 1024;  // a batch is cut here even with fewer rows
  std::uint32_t row_bytes_max = 1024 * 1024;
  std::uint64_t body_bytes_max = 8ull * 1024 * 1024 * 1024;  // decoded
  std::uint32_t rejected_reported_max = 10000;  // rejected rows named one by one; the rest is counted
  std::string spool_directory;                  // for atomic=1; see spool_directory()
};

struct rest_options {
  std::uint32_t page_limit_max = 1000;
  std::uint32_t page_limit_default = 100;
  std::uint32_t ids_max = 1000;
  std::uint32_t request_timeout_ms = 10000;
  std::uint32_t write_body_bytes_max = 1024 * 1024;
  std::uint32_t gzip_bytes_min = 1024;  // 0: never
};

// What `/v1/subscribe` allows each socket.
struct subscribe_options {
  std::uint32_t subscriptions_max = 100;  // of one socket
  std::uint32_t message_bytes_max = 64 * 1024;
  std::uint32_t message_timeout_ms = 60'000;
  std::uint32_t send_queue_bytes_max = 4 * 1024 * 1024;
  std::uint32_t ping_interval_ms = 30'000;
  std::uint32_t pong_timeout_ms = 15'000;
  bool deflate = true;
  std::string origins;  // of browsers; comma separated, "*" for all; empty: pages of this host only
};

struct config {
  std::string file;  // for messages
  net::core_group_options cores;
  net::http::server_options http;   // public listener, default 127.0.0.1:8080
  net::http::server_options admin;  // default 127.0.0.1:8081
  std::uint32_t drain_deadline_ms = 10000;
  std::string engine = "sqlite";  // of the store: sqlite, mysql
  storage::sqlite::sqlite_options sqlite;
  mysql_settings mysql;
  cache::l1_options l1;
  perf::log_options log;
  sync_options sync;
  subscribe_options subscribe;
  bulk_options bulk;
  rest_options rest;
  storage::catalog resources;
};

struct config_error : std::runtime_error {
  using std::runtime_error::runtime_error;  // "file:line: path: what is wrong; allowed: …"
};

struct config_sources {
  std::string file;                                              // empty: defaults only
  std::vector<std::pair<std::string, std::string>> environment;  // SYNCLINE_… variables
  std::vector<std::string> overrides;                            // "path=value"
};

// Where an upload waits that may become large: bulk.spool_directory, or beside the SQLite file, or /var/tmp.
[[nodiscard]] std::string spool_directory(const config& settings);
[[nodiscard]] config load_config(const config_sources& sources);
[[nodiscard]] config parse_config(std::string_view text,
                                  std::string_view file_name);  // for tests and fuzzing: no environment
// The table of all settings as Markdown: path, type, default, range, meaning. docs/config.md holds it and a
// test compares.
[[nodiscard]] std::string settings_table();

}  // namespace syncline::server
