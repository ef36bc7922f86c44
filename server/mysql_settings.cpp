#include "server/mysql_settings.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <string_view>
#include <system_error>

#include "server/query.h"
#include "storage/mysql/mysql_options.h"

namespace syncline::server {

namespace {

namespace mysql = storage::mysql;

constexpr std::string_view kUrl = "mysql://";
constexpr std::size_t kPasswordBytesMax = 4096;

net::error refused(std::string_view what, std::string detail) {
  return {net::errc::invalid, "a setting of storage.mysql cannot be used",
          std::string(what) + ": " + std::move(detail)};
}

mysql::compression_mode compression_of(std::string_view name) {
  if (name == "preferred") return mysql::compression_mode::preferred;
  if (name == "required") return mysql::compression_mode::required;
  return mysql::compression_mode::disabled;
}

net::tls_mode tls_mode_of(std::string_view name) {
  if (name == "disabled") return net::tls_mode::disabled;
  if (name == "verify_ca") return net::tls_mode::verify_ca;
  if (name == "verify_identity") return net::tls_mode::verify_identity;
  return net::tls_mode::required;
}

mysql::authentication login_of(std::string_view name) {
  if (name == "plain") return mysql::authentication::plain;
  if (name == "sha256_memory") return mysql::authentication::sha256_memory;
  return mysql::authentication::automatic;
}

std::string_view without_spaces(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

// "host:port", "[::1]:port", "host".
net::result<void> read_address(std::string_view text, std::string& host, std::uint16_t& port) {
  const bool bracketed = text.starts_with('[');
  const std::size_t end = bracketed ? text.find(']') : std::min(text.rfind(':'), text.size());
  if (end == std::string_view::npos) return net::error(net::errc::invalid, "an address has no ']'");
  host = text.substr(bracketed ? 1 : 0, end - (bracketed ? 1 : 0));
  std::string_view rest = text.substr(std::min(text.size(), end + (bracketed ? 1 : 0)));
  if (host.empty()) return net::error(net::errc::invalid, "an address has no host");
  if (rest.empty()) return {};
  rest.remove_prefix(1);
  const auto [at, failed] = std::from_chars(rest.data(), rest.data() + rest.size(), port);
  if (failed != std::errc() || at != rest.data() + rest.size() || port == 0)
    return net::error(net::errc::invalid, "an address has no valid port", std::string(text));
  return {};
}

net::result<std::string> read_password(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) return refused("password_file", file + " cannot be read");
  std::string out(kPasswordBytesMax + 1, '\0');
  in.read(out.data(), static_cast<std::streamsize>(out.size()));
  out.resize(static_cast<std::size_t>(in.gcount()));
  if (out.size() > kPasswordBytesMax)
    return refused("password_file", file + " is no password: it is too long");
  // Editors end a file with a line break, which nobody means.
  while (!out.empty() && (out.back() == '\n' || out.back() == '\r')) out.pop_back();
  return out;
}

net::pool_options pool_of(const mysql_settings& from) {
  net::pool_options out;
  out.name = "mysql";
  out.connections_max = from.connections_max;
  out.connections_min = from.connections_min;
  out.connects_max = from.connects_max;
  out.connect_timeout_ms = from.connect_timeout_ms;
  out.waiters_max = from.waiters_max;
  out.pipeline_limit = from.pipeline_limit;
  out.wait_percent_max = from.wait_percent_max;
  out.idle_timeout_ms = from.idle_timeout_ms;
  out.lifetime_max_ms = from.lifetime_max_ms;
  out.validate_after_idle_ms = from.validate_after_idle_ms;
  out.reserved_percent[static_cast<std::size_t>(net::work_class::interactive)] =
      from.reserved_interactive_percent;
  out.reserved_percent[static_cast<std::size_t>(net::work_class::sync)] = from.reserved_sync_percent;
  out.reserved_percent[static_cast<std::size_t>(net::work_class::refresh)] = from.reserved_refresh_percent;
  out.reserved_percent[static_cast<std::size_t>(net::work_class::bulk)] = from.reserved_bulk_percent;
  return out;
}

net::result<mysql::session_options> session_of(const mysql_settings& from) {
  mysql::session_options out;
  out.host = from.host;
  out.port = from.port;
  out.socket_path = from.socket;
  out.user = from.user;
  out.password = from.password;
  if (!from.password_file.empty()) {
    auto read = read_password(from.password_file);
    if (!read) return read.error();
    out.password = std::move(*read);
  }
  out.schema = from.schema;
  out.tls.mode = tls_mode_of(from.tls_mode);
  out.tls.ca_file = from.tls_ca_file;
  out.tls.certificate_file = from.tls_certificate_file;
  out.tls.key_file = from.tls_key_file;
  out.login = login_of(from.login);
  out.first_login_unverified = from.first_login_unverified;
  out.compression = compression_of(from.compression);
  out.connect_timeout_ms = from.connect_timeout_ms;
  out.limits.silence_timeout_ms = from.silence_timeout_ms;
  return out;
}

// Replicas are reached as the primary is, at another address.
net::result<void> add_replicas(std::string_view list, mysql::mysql_options& to) {
  while (!without_spaces(list).empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    mysql::session_options each = to.primary;
    each.socket_path.clear();
    each.port = 33060;
    const std::string_view address = without_spaces(list.substr(0, comma));
    if (auto read = read_address(address, each.host, each.port); !read)
      return refused("replicas", "\"" + std::string(address) + "\" is no host:port");
    to.replicas.push_back(std::move(each));
    list.remove_prefix(std::min(list.size(), comma + 1));
  }
  return {};
}

}  // namespace

std::uint32_t connections_for(const mysql_settings& settings, std::size_t cores) noexcept {
  constexpr std::uint32_t kUsual = 10;
  if (settings.connections_max != 0) return settings.connections_max;
  return std::max({kUsual, static_cast<std::uint32_t>(cores), settings.connections_min});
}

net::result<mysql::mysql_options> mysql_options_of(const mysql_settings& settings) {
  mysql::mysql_options out;
  auto session = session_of(settings);
  if (!session) return session.error();
  out.primary = std::move(*session);
  if (out.primary.user.empty()) return refused("user", "is empty; allowed: an account of the server");
  if (out.primary.schema.empty()) return refused("schema", "is empty; allowed: a schema of the server");
  if (auto added = add_replicas(settings.replicas, out); !added) return added.error();
  out.pool = pool_of(settings);
  out.feed_poll_ms = settings.feed_poll_ms;
  out.feed_round_rows = settings.feed_round_rows;
  out.schema_check_s = settings.schema_check_s;
  out.write_retries_max = settings.write_retries_max;
  out.lock_wait_timeout_s = settings.lock_wait_timeout_s;
  out.transaction_idle_ms = settings.transaction_idle_ms;
  out.start_timeout_s = settings.start_timeout_s;
  out.tombstone_days = settings.tombstone_days;
  out.purge_interval_s = settings.purge_interval_s;
  out.idempotency_keep_h = settings.idempotency_keep_h;
  out.replica_lag_max_ms = settings.replica_lag_max_ms;
  out.migrate_on_start = settings.migrate_on_start;
  return out;
}

bool is_mysql_url(std::string_view text) noexcept {
  return text.starts_with(kUrl);
}

net::result<mysql_settings> mysql_settings_of_url(std::string_view url) {
  const net::error shape(net::errc::invalid, "no URL of a MySQL schema",
                         "allowed: mysql://user[:password]@host[:port]/schema[?socket=/path]");
  if (!is_mysql_url(url)) return shape;
  url.remove_prefix(kUrl.size());
  mysql_settings out;
  const std::size_t query = url.find('?');
  if (query != std::string_view::npos) {
    constexpr std::string_view kSocket = "socket=";
    const std::string_view rest = url.substr(query + 1);
    if (!rest.starts_with(kSocket)) return shape;
    auto socket = decode_segment(rest.substr(kSocket.size()));
    if (!socket) return socket.error();
    out.socket = std::move(*socket);
    url = url.substr(0, query);
  }
  const std::size_t slash = url.rfind('/');
  const std::size_t at = url.substr(0, slash).rfind('@');
  if (slash == std::string_view::npos || at == std::string_view::npos) return shape;
  const std::string_view who = url.substr(0, at);
  const std::size_t colon = who.find(':');
  auto user = decode_segment(who.substr(0, colon));
  auto schema = decode_segment(url.substr(slash + 1));
  if (!user || !schema || user->empty() || schema->empty()) return shape;
  out.user = std::move(*user);
  out.schema = std::move(*schema);
  if (colon != std::string_view::npos) {
    auto password = decode_segment(who.substr(colon + 1));
    if (!password) return password.error();
    out.password = std::move(*password);
  } else if (const char* known = std::getenv("SYNCLINE_STORAGE__MYSQL__PASSWORD"); known != nullptr) {
    out.password = known;
  }
  const std::string_view address = url.substr(at + 1, slash - at - 1);
  if (address.empty() && !out.socket.empty()) return out;
  if (auto read = read_address(address, out.host, out.port); !read) return read.error();
  return out;
}

}  // namespace syncline::server
