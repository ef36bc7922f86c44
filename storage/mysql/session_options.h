// Where a MySQL is and how to talk to it.
//
// Thread: a value; sessions share one that does not change. docs/mysql.md says what to choose.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "net/core/tls_client.h"
#include "storage/mysql/pipeline.h"

namespace syncline::net {
class blocking_threads;
}

namespace syncline::storage::mysql {

enum class authentication : std::uint8_t {
  automatic,      // PLAIN where nobody can listen (TLS, unix socket), else SHA256_MEMORY
  plain,          // refused by us on a connection that others can read
  sha256_memory,  // a challenge; works only for accounts the server has in its cache
  mysql41,        // refused: servers since 9.0 have no such accounts
};

enum class compression_mode : std::uint8_t {
  disabled,
  preferred,  // where the server offers zstd_stream
  required,   // a server that does not is refused
};

struct session_options {
  std::string host = "127.0.0.1";  // numeric, or a name when `resolver` is there
  std::uint16_t port = 33060;
  std::string socket_path;  // instead of host and port; TLS is not used then
  std::string user;
  std::string password;
  std::string schema;
  net::tls_settings tls;
  // Made from `tls` when it is null; sessions of one pool share it.
  std::shared_ptr<const net::tls_client_context> tls_context;
  authentication login = authentication::automatic;
  // SHA256_MEMORY fails for an account that has not logged in since the server started. Then one login by
  // PLAIN over TLS puts it into the server's cache. It shows the password to whoever answers, so without a
  // ca_file it is done on loopback only, unless this is set.
  bool first_login_unverified = false;
  // Saves bytes and costs processor time at both ends: for a server that is far away (docs/mysql.md).
  compression_mode compression = compression_mode::disabled;
  std::vector<std::string> setup;  // statements that every session begins with, again after reset()
  pipeline_limits limits;
  std::size_t prepared_max = 128;  // statements kept prepared; 16,382 are one server's default
  std::size_t rows_bytes_max = 64UL * 1024 * 1024;  // of a result that is collected
  std::uint32_t connect_timeout_ms = 5000;          // until the login is done
  net::blocking_threads* resolver = nullptr;        // for names; outlives the session's opening
};

}  // namespace syncline::storage::mysql
