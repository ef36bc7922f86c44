#include "server/config_schema.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include <fmt/format.h>
#include <boost/json/serialize.hpp>

#include "server/config_json.h"

namespace syncline::server {
namespace {

// The member of a config that a chain of member pointers names: at<&config::http,
// &net::http::server_options::port>.
template <auto... Members>
auto& at(config& of) {
  return (of.*....*Members);
}

using net::http::limits;
using net::http::server_options;
using storage::sqlite::sqlite_options;

template <auto Limit>
auto& http_limit(config& of) {
  return of.http.limit.*Limit;
}

constexpr std::uint64_t kKiB = 1024, kMiB = 1024 * kKiB, kGiB = 1024 * kMiB, kTiB = 1024 * kGiB;
constexpr std::uint64_t kDayMs = 86'400'000;
constexpr std::string_view kLevels = "trace, debug, info, warn, error, off";
constexpr std::array<std::string_view, 6> kLevelNames{"trace", "debug", "info", "warn", "error", "off"};

// Two lines a setting, so that the table can be read as one.
// clang-format off
const setting kSettings[] = {
    {"cores.count", at<&config::cores, &net::core_group_options::cores>, 0, 1024, {}, "cores",
     "Cores, one thread each; 0: as many as the process may run on."},
    {"cores.pin", at<&config::cores, &net::core_group_options::pin>, 0, 0, {}, {},
     "Pin each core to a processor; ignored where there are fewer processors than cores."},
    {"cores.busy_poll_us", at<&config::cores, &net::core_group_options::busy_poll_us>, 0, 1'000'000, {}, "us",
     "How long an idle core looks for work before it sleeps: quicker answers for processor time; 0: never."},

    {"http.address", at<&config::http, &server_options::address>, 0, 0, {}, {},
     "Where the public listener binds: a loopback IP address, or `unix:/path`."},
    {"http.port", at<&config::http, &server_options::port>, 0, 65535, {}, {},
     "Port of the public listener; 0: the kernel chooses and the ready line names it."},
    {"http.backlog", at<&config::http, &server_options::backlog>, 1, 65535, {}, "connections",
     "Connections the kernel holds until they are accepted."},
    {"http.connections_max", http_limit<&limits::connections_max>, 1, 10'000'000, {}, "connections",
     "Open at once; one more is answered 503 and closed."},
    {"http.header_bytes_max", http_limit<&limits::header_bytes_max>, 256, kMiB, {}, "bytes",
     "Request line and headers together; more is answered 431."},
    {"http.header_count_max", http_limit<&limits::header_count_max>, 1, 10'000, {}, "headers",
     "Headers of a request; more is answered 431."},
    {"http.target_bytes_max", http_limit<&limits::target_bytes_max>, 64, kMiB, {}, "bytes",
     "Path and query; more is answered 414."},
    {"http.body_files_bytes_max", http_limit<&limits::body_files_bytes_max>, 0, kTiB, {}, "bytes",
     "Of a core, for large bodies that are sent often: kept in kernel pages too, so that sendfile takes them; 0: none."},
    {"http.body_bytes_max", http_limit<&limits::body_bytes_max>, 0, kTiB, {}, "bytes",
     "Body of a request where the route sets no limit of its own; more is answered 413."},
    {"http.output_buffer_bytes", http_limit<&limits::output_buffer_bytes>, 4 * kKiB, 64 * kMiB, {}, "bytes",
     "Unsent bytes of a connection before its writer waits."},
    {"http.pipeline_requests_max", http_limit<&limits::pipeline_requests_max>, 1, 10'000, {}, "requests",
     "Pipelined requests answered in a row before other connections have their turn."},
    {"http.header_timeout_ms", http_limit<&limits::header_timeout_ms>, 10, kDayMs, {}, "ms",
     "From the first byte of a request to its complete head; then 408."},
    {"http.idle_timeout_ms", http_limit<&limits::idle_timeout_ms>, 10, kDayMs, {}, "ms",
     "Between requests of a connection; then it is closed."},
    {"http.body_progress_timeout_ms", http_limit<&limits::body_progress_timeout_ms>, 10, kDayMs, {}, "ms",
     "Without a byte of the body; then 408."},
    {"http.body_bytes_per_s_min", http_limit<&limits::body_bytes_per_s_min>, 0, kGiB, {}, "bytes/s",
     "Slowest average of an upload after its first 15 s; slower is answered 408."},
    {"http.write_progress_timeout_ms", http_limit<&limits::write_progress_timeout_ms>, 10, kDayMs, {}, "ms",
     "Without the client taking a byte; then the connection is closed."},
    {"http.linger_timeout_ms", http_limit<&limits::linger_timeout_ms>, 0, 60'000, {}, "ms",
     "After the last byte of a connection that is closed early, for the client to read it."},
    {"http.accept_pause_ms", http_limit<&limits::accept_pause_ms>, 1, 60'000, {}, "ms",
     "Pause of accepting when file descriptors run out."},

    {"http.tls.certificate", at<&config::http, &server_options::tls, &net::tls_options::certificate_file>, 0, 0, {}, {},
     "PEM file with the server's certificate and its chain; the public listener then speaks TLS. SIGHUP reads it again."},
    {"http.tls.key", at<&config::http, &server_options::tls, &net::tls_options::key_file>, 0, 0, {}, {},
     "PEM file with the key of that certificate, not encrypted."},
    {"http.tls.handshake_timeout_ms", http_limit<&limits::tls_handshake_timeout_ms>, 10, kDayMs, {}, "ms",
     "From accept to the end of the TLS handshake; then the connection is closed."},

    {"admin.address", at<&config::admin, &server_options::address>, 0, 0, {}, {},
     "Where the admin listener (health, metrics) binds: a loopback IP address, or `unix:/path`."},
    {"admin.port", at<&config::admin, &server_options::port>, 0, 65535, {}, {},
     "Port of the admin listener; 0: the kernel chooses."},
    {"admin.connections_max", at<&config::admin, &server_options::limit, &limits::connections_max>, 1, 100'000, {}, "connections",
     "Open at once on the admin listener."},

    {"drain_deadline_ms", at<&config::drain_deadline_ms>, 0, kDayMs, {}, "ms",
     "At a stop signal: how long requests may take to finish before they are cut."},

    {"storage.engine", at<&config::engine>, 0, 0, "sqlite, mysql", {},
     "Where the rows are: an embedded SQLite file or a MySQL server."},

    {"storage.sqlite.path", at<&config::sqlite, &sqlite_options::path>, 0, 0, {}, {},
     "The database file."},
    {"storage.sqlite.synchronous", at<&config::sqlite, &sqlite_options::synchronous>, 0, 0, "OFF, NORMAL, FULL, EXTRA", {},
     "SQLite's `synchronous`: with FULL or EXTRA an acknowledged write survives a power failure; NORMAL survives a crash of the process only."},
    {"storage.sqlite.readers", at<&config::sqlite, &sqlite_options::readers>, 1, 64, {}, "threads",
     "Reader threads, each with a connection of its own."},
    {"storage.sqlite.cache_kb", at<&config::sqlite, &sqlite_options::cache_kb>, 64, 64 * kMiB, {}, "KiB",
     "Page cache of each connection."},
    {"storage.sqlite.busy_timeout_ms", at<&config::sqlite, &sqlite_options::busy_timeout_ms>, 0, 600'000, {}, "ms",
     "How long a write waits for another process's lock before it is answered 503."},
    {"storage.sqlite.group_commit_max_ms", at<&config::sqlite, &sqlite_options::group_commit_max_ms>, 0, 1000, {}, "ms",
     "How long one transaction collects waiting writes."},
    {"storage.sqlite.write_queue_limit_rows", at<&config::sqlite, &sqlite_options::write_queue_limit_rows>, 1, 100'000'000, {}, "rows",
     "Rows waiting for the writer; more is answered 503."},
    {"storage.sqlite.read_queue_limit_jobs", at<&config::sqlite, &sqlite_options::read_queue_limit_jobs>, 1, 10'000'000, {}, "jobs",
     "Reads waiting for a reader; more is answered 503."},
    {"storage.sqlite.transaction_idle_ms", at<&config::sqlite, &sqlite_options::transaction_idle_ms>, 100, 600'000, {}, "ms",
     "An `atomic=1` upload that brings nothing for this long is rolled back."},
    {"storage.sqlite.poll_interval_ms", at<&config::sqlite, &sqlite_options::poll_interval_ms>, 1, 60'000, {}, "ms",
     "How often the file is looked at for other processes' commits where the kernel does not tell."},
    {"storage.sqlite.tombstone_days", at<&config::sqlite, &sqlite_options::tombstone_days>, 1, 36'500, {}, "days",
     "How long a removed row stays in the feed; a client away for longer starts over."},
    {"storage.sqlite.purge_interval_s", at<&config::sqlite, &sqlite_options::purge_interval_s>, 1, 86'400, {}, "s",
     "How often expired tombstones are purged."},
    {"storage.sqlite.idempotency_keep_h", at<&config::sqlite, &sqlite_options::idempotency_keep_h>, 1, 8760, {}, "h",
     "How long an Idempotency-Key is remembered."},
    {"storage.sqlite.migrate_on_start", at<&config::sqlite, &sqlite_options::migrate_on_start>, 0, 0, {}, {},
     "Run `migrate` at start instead of refusing to start without it."},

    {"storage.mysql.host", at<&config::mysql, &mysql_settings::host>, 0, 0, {}, {},
     "The server: an address or a name."},
    {"storage.mysql.port", at<&config::mysql, &mysql_settings::port>, 1, 65535, {}, {},
     "Its X Protocol port (`mysqlx_port`)."},
    {"storage.mysql.socket", at<&config::mysql, &mysql_settings::socket>, 0, 0, {}, {},
     "The server's X Protocol unix socket (`mysqlx_socket`) instead of host and port."},
    {"storage.mysql.user", at<&config::mysql, &mysql_settings::user>, 0, 0, {}, {},
     "The account; docs/sync.md lists the rights it needs."},
    {"storage.mysql.password", at<&config::mysql, &mysql_settings::password>, 0, 0, {}, {},
     "Its password; better from the environment or `password_file` than in the config."},
    {"storage.mysql.password_file", at<&config::mysql, &mysql_settings::password_file>, 0, 0, {}, {},
     "A file that holds the password alone; it goes before `password`."},
    {"storage.mysql.schema", at<&config::mysql, &mysql_settings::schema>, 0, 0, {}, {},
     "The schema (database) with the tables."},
    {"storage.mysql.tls_mode", at<&config::mysql, &mysql_settings::tls_mode>, 0, 0, "disabled, required, verify_ca, verify_identity", {},
     "Over TCP: `required` encrypts and believes whoever answers; `verify_identity` checks certificate and name."},
    {"storage.mysql.tls_ca_file", at<&config::mysql, &mysql_settings::tls_ca_file>, 0, 0, {}, {},
     "PEM file with the authorities that may sign the server's certificate; empty: the system's."},
    {"storage.mysql.tls_certificate_file", at<&config::mysql, &mysql_settings::tls_certificate_file>, 0, 0, {}, {},
     "PEM file with our certificate, for an account that requires one."},
    {"storage.mysql.tls_key_file", at<&config::mysql, &mysql_settings::tls_key_file>, 0, 0, {}, {},
     "PEM file with the key of that certificate."},
    {"storage.mysql.login", at<&config::mysql, &mysql_settings::login>, 0, 0, "automatic, plain, sha256_memory", {},
     "How to log in; `automatic` is PLAIN where nobody can listen, else SHA256_MEMORY."},
    {"storage.mysql.first_login_unverified", at<&config::mysql, &mysql_settings::first_login_unverified>, 0, 0, {}, {},
     "Allow the one PLAIN login over unverified TLS that an account needs before SHA256_MEMORY works; on loopback it is always allowed."},
    {"storage.mysql.compression", at<&config::mysql, &mysql_settings::compression>, 0, 0, "disabled, preferred, required", {},
     "Pack messages (zstd_stream): fewer bytes, more processor time at both ends. For a server that is far away."},
    {"storage.mysql.replicas", at<&config::mysql, &mysql_settings::replicas>, 0, 0, {}, {},
     "Servers that reads may go to, `host:port` with commas between; the account and TLS settings are those of the primary."},
    {"storage.mysql.connections_max", at<&config::mysql, &mysql_settings::connections_max>, 0, 10'000, {}, "connections",
     "Of the pool: open at once to one server, over all cores; 0: ten, or one a core, or connections_min, whichever is most."},
    {"storage.mysql.connections_min", at<&config::mysql, &mysql_settings::connections_min>, 0, 10'000, {}, "connections",
     "Kept open while the server answers."},
    {"storage.mysql.connects_max", at<&config::mysql, &mysql_settings::connects_max>, 1, 1000, {}, "connects",
     "Connections being made at a time."},
    {"storage.mysql.connect_timeout_ms", at<&config::mysql, &mysql_settings::connect_timeout_ms>, 10, 600'000, {}, "ms",
     "Address, TLS and login together."},
    {"storage.mysql.silence_timeout_ms", at<&config::mysql, &mysql_settings::silence_timeout_ms>, 100, kDayMs, {}, "ms",
     "A server that says nothing for so long while it owes an answer is taken for dead; over `lock_wait_timeout_s`. `migrate` builds indexes for up to a day."},
    {"storage.mysql.waiters_max", at<&config::mysql, &mysql_settings::waiters_max>, 1, 1'000'000, {}, "requests",
     "Requests of one core that wait for a connection; more are answered 503."},
    {"storage.mysql.pipeline_limit", at<&config::mysql, &mysql_settings::pipeline_limit>, 1, 64, {}, "requests",
     "Point reads that share a connection at a time."},
    {"storage.mysql.wait_percent_max", at<&config::mysql, &mysql_settings::wait_percent_max>, 1, 100, {}, "%",
     "Part of a request's time that it may be expected to wait for a connection; else it is answered 503 at once."},
    {"storage.mysql.idle_timeout_ms", at<&config::mysql, &mysql_settings::idle_timeout_ms>, 100, kDayMs, {}, "ms",
     "A connection unused for so long is closed."},
    {"storage.mysql.lifetime_max_ms", at<&config::mysql, &mysql_settings::lifetime_max_ms>, 1000, 7 * kDayMs, {}, "ms",
     "A connection older than this is replaced (up to 20 % earlier, so that not all are at once)."},
    {"storage.mysql.validate_after_idle_ms", at<&config::mysql, &mysql_settings::validate_after_idle_ms>, 100, kDayMs, {}, "ms",
     "A connection unused for so long is asked before it is used."},
    {"storage.mysql.reserved_interactive_percent", at<&config::mysql, &mysql_settings::reserved_interactive_percent>, 0, 100, {}, "%",
     "Part of the pool that reads and writes of single requests find free whatever the others do."},
    {"storage.mysql.reserved_sync_percent", at<&config::mysql, &mysql_settings::reserved_sync_percent>, 0, 100, {}, "%",
     "The same for pages of sync streams."},
    {"storage.mysql.reserved_refresh_percent", at<&config::mysql, &mysql_settings::reserved_refresh_percent>, 0, 100, {}, "%",
     "The same for refreshing the cache."},
    {"storage.mysql.reserved_bulk_percent", at<&config::mysql, &mysql_settings::reserved_bulk_percent>, 0, 100, {}, "%",
     "The same for uploads."},
    {"storage.mysql.feed_poll_ms", at<&config::mysql, &mysql_settings::feed_poll_ms>, 1, 60'000, {}, "ms",
     "How often commits of other programs and nodes are looked for."},
    {"storage.mysql.feed_round_rows", at<&config::mysql, &mysql_settings::feed_round_rows>, 1, 10'000, {}, "entries",
     "Changes that one transaction moves into the feed."},
    {"storage.mysql.schema_check_s", at<&config::mysql, &mysql_settings::schema_check_s>, 1, 86'400, {}, "s",
     "How often triggers and tables are looked at for what others changed."},
    {"storage.mysql.write_retries_max", at<&config::mysql, &mysql_settings::write_retries_max>, 0, 100, {}, "times",
     "A write that met a deadlock or a lock is tried again so often."},
    {"storage.mysql.lock_wait_timeout_s", at<&config::mysql, &mysql_settings::lock_wait_timeout_s>, 1, 3600, {}, "s",
     "How long a write waits for a row that another transaction holds."},
    {"storage.mysql.transaction_idle_ms", at<&config::mysql, &mysql_settings::transaction_idle_ms>, 100, 600'000, {}, "ms",
     "An `atomic=1` upload that brings nothing for this long is rolled back."},
    {"storage.mysql.start_timeout_s", at<&config::mysql, &mysql_settings::start_timeout_s>, 1, 86'400, {}, "s",
     "A start ends with an error when what it looks up takes longer; not counted is what it migrates."},
    {"storage.mysql.tombstone_days", at<&config::mysql, &mysql_settings::tombstone_days>, 1, 36'500, {}, "days",
     "How long a removed row stays in the feed; a client away for longer starts over."},
    {"storage.mysql.purge_interval_s", at<&config::mysql, &mysql_settings::purge_interval_s>, 1, 86'400, {}, "s",
     "How often expired tombstones are purged."},
    {"storage.mysql.idempotency_keep_h", at<&config::mysql, &mysql_settings::idempotency_keep_h>, 1, 8760, {}, "h",
     "How long an Idempotency-Key is remembered."},
    {"storage.mysql.replica_lag_max_ms", at<&config::mysql, &mysql_settings::replica_lag_max_ms>, 10, kDayMs, {}, "ms",
     "A replica whose copy of the feed is behind and stands still for longer is left out until it moves again."},
    {"storage.mysql.migrate_on_start", at<&config::mysql, &mysql_settings::migrate_on_start>, 0, 0, {}, {},
     "Run `migrate` at start instead of refusing to start without it."},

    {"cache.l1_bytes_max", at<&config::l1, &cache::l1_options::bytes_max>, 64 * kKiB, kTiB, {}, "bytes",
     "Memory of the in-process cache, keys and bookkeeping included."},
    {"cache.l1_stripes", at<&config::l1, &cache::l1_options::stripes>, 1, 4096, {}, "stripes",
     "Locks of the in-process cache; a power of two."},

    {"log.path", at<&config::log, &perf::log_options::path>, 0, 0, {}, {},
     "The log file; empty: standard error. SIGHUP reopens it."},
    {"log.level", at<&config::log, &perf::log_options::level>, 0, 0, kLevels, {},
     "The least important lines that are written."},
    {"log.access", at<&config::log, &perf::log_options::access>, 0, 0, {}, {},
     "A line for each request, whatever `log.level` is; at level `debug` there is one anyway."},
    {"log.flush_interval_ms", at<&config::log, &perf::log_options::flush_interval_ms>, 1, 10'000, {}, "ms",
     "How often lines are written out."},

    {"sync.page_rows_max", at<&config::sync, &sync_options::page_rows_max>, 1, 100'000, {}, "rows",
     "Rows of one page of a sync stream."},
    {"sync.page_bytes_max", at<&config::sync, &sync_options::page_bytes_max>, kKiB, 64 * kMiB, {}, "bytes",
     "Row bytes of one page; one row may pass it."},
    {"sync.keep_alive_s", at<&config::sync, &sync_options::keep_alive_s>, 1, 3600, {}, "s",
     "An empty line this often keeps a waiting stream alive."},
    {"sync.quiet_reread_s", at<&config::sync, &sync_options::quiet_reread_s>, 1, 86'400, {}, "s",
     "A live stream that nothing concerned for so long looks at the feed by itself, so that its cursor does not grow old."},
    {"sync.streams_max", at<&config::sync, &sync_options::streams_max>, 1, 10'000'000, {}, "streams",
     "Sync streams at once; one more is answered 503."},
    {"sync.deflate_bytes_max", at<&config::sync, &sync_options::deflate_bytes_max>, kMiB, kTiB, {}, "bytes",
     "Memory of the deflate states of gzip streams, 70 KiB each while at work; beyond, streams are sent uncompressed inside gzip."},
    {"sync.parts_max", at<&config::sync, &sync_options::parts_max>, 1, 10'000, {}, "parts",
     "Scopes times resources of one stream."},

    {"subscribe.subscriptions_max", at<&config::subscribe, &subscribe_options::subscriptions_max>, 1, 100'000, {}, "subscriptions",
     "Of one WebSocket; each is one of `sync.streams_max` too."},
    {"subscribe.message_bytes_max", at<&config::subscribe, &subscribe_options::message_bytes_max>, 256, kGiB, {}, "bytes",
     "A message of the client; a larger one closes with 1009."},
    {"subscribe.message_timeout_ms", at<&config::subscribe, &subscribe_options::message_timeout_ms>, 0, kDayMs, {}, "ms",
     "From the first byte of a client's message to its last, then the WebSocket is closed with 1008; 0: any time."},
    {"subscribe.send_queue_bytes_max", at<&config::subscribe, &subscribe_options::send_queue_bytes_max>, 64 * kKiB, kGiB, {}, "bytes",
     "Unsent bytes of one WebSocket; a larger row cannot be sent."},
    {"subscribe.ping_interval_ms", at<&config::subscribe, &subscribe_options::ping_interval_ms>, 0, kDayMs, {}, "ms",
     "Of silence before the client is pinged; 0: never."},
    {"subscribe.pong_timeout_ms", at<&config::subscribe, &subscribe_options::pong_timeout_ms>, 10, kDayMs, {}, "ms",
     "Of silence after a ping; then the connection is dropped."},
    {"subscribe.deflate", at<&config::subscribe, &subscribe_options::deflate>, 0, 0, {}, {},
     "Compress messages for clients that offer permessage-deflate."},
    {"subscribe.origins", at<&config::subscribe, &subscribe_options::origins>, 0, 0, {}, {},
     "Origins of web pages that may subscribe, comma separated, `*` for all; empty: only pages of this host."},

    {"bulk.uploads_max", at<&config::bulk, &bulk_options::uploads_max>, 1, 10'000'000, {}, "uploads",
     "Bulk uploads at once; one more is answered 503."},
    {"bulk.batch_rows", at<&config::bulk, &bulk_options::batch_rows>, 1, 100'000, {}, "rows",
     "Rows of one batch of an upload, written in one transaction slice."},
    {"bulk.batch_bytes_max", at<&config::bulk, &bulk_options::batch_bytes_max>, kKiB, 256 * kMiB, {}, "bytes",
     "A batch is cut here even with fewer rows."},
    {"bulk.row_bytes_max", at<&config::bulk, &bulk_options::row_bytes_max>, 256, 256 * kMiB, {}, "bytes",
     "One line or record of an upload; a longer one is a rejected row."},
    {"bulk.body_bytes_max", at<&config::bulk, &bulk_options::body_bytes_max>, kKiB, 1024 * kTiB, {}, "bytes",
     "One upload, decoded."},
    {"bulk.rejected_reported_max", at<&config::bulk, &bulk_options::rejected_reported_max>, 0, 100'000'000, {}, "rows",
     "Rejected rows that are named one by one; the rest is counted."},
    {"bulk.spool_directory", at<&config::bulk, &bulk_options::spool_directory>, 0, 0, {}, {},
     "Where `atomic=1` uploads are kept until they are complete; empty: beside the SQLite file, with MySQL in /var/tmp."},

    {"rest.page_limit_max", at<&config::rest, &rest_options::page_limit_max>, 1, 100'000, {}, "rows",
     "Largest `limit` of a list."},
    {"rest.page_limit_default", at<&config::rest, &rest_options::page_limit_default>, 1, 100'000, {}, "rows",
     "Rows of a list that names no `limit`."},
    {"rest.ids_max", at<&config::rest, &rest_options::ids_max>, 1, 100'000, {}, "keys",
     "Keys of one `ids=` read."},
    {"rest.request_timeout_ms", at<&config::rest, &rest_options::request_timeout_ms>, 10, 3'600'000, {}, "ms",
     "Deadline of a read or single write; then 504."},
    {"rest.write_body_bytes_max", at<&config::rest, &rest_options::write_body_bytes_max>, 256, kGiB, {}, "bytes",
     "Body of a single write."},
    {"rest.gzip_bytes_min", at<&config::rest, &rest_options::gzip_bytes_min>, 0, kGiB, {}, "bytes",
     "Smaller answers are never compressed; 0: none is."},
};
// clang-format on

template <class Number>
std::optional<setting_fault> assign_number(Number& to, const setting& which,
                                           const boost::json::value& value) {
  if (!value.is_int64() && !value.is_uint64()) {
    return setting_fault{fmt::format("is {}", kind_name(value)), "an integer, " + allowed_text(which)};
  }
  boost::json::error_code failed;
  const auto number = value.to_number<std::uint64_t>(failed);
  if (failed || number < which.min || number > which.max || !std::in_range<Number>(number)) {
    return setting_fault{fmt::format("{} is out of range", boost::json::serialize(value)),
                         allowed_text(which)};
  }
  to = static_cast<Number>(number);
  return std::nullopt;
}

std::optional<setting_fault> assign_field(bool& to, const setting&, const boost::json::value& value) {
  if (!value.is_bool()) return setting_fault{fmt::format("is {}", kind_name(value)), "true, false"};
  to = value.get_bool();
  return std::nullopt;
}

bool is_choice(std::string_view choices, std::string_view text) {
  while (!choices.empty()) {
    const std::size_t comma = choices.find(", ");
    if (choices.substr(0, comma) == text) return true;
    choices = comma == std::string_view::npos ? std::string_view() : choices.substr(comma + 2);
  }
  return false;
}

std::optional<setting_fault> check_text(const setting& which, const boost::json::value& value) {
  if (!value.is_string()) {
    return setting_fault{fmt::format("is {}", kind_name(value)),
                         "a string" + (which.choices.empty() ? std::string() : ": " + allowed_text(which))};
  }
  const std::string_view text = value.get_string();
  if (has_control_characters(text)) return setting_fault{"has control characters", {}};
  if (!which.choices.empty() && !is_choice(which.choices, text)) {
    return setting_fault{fmt::format("\"{}\" is not known", text), allowed_text(which)};
  }
  return std::nullopt;
}

std::optional<setting_fault> assign_field(std::string& to, const setting& which,
                                          const boost::json::value& value) {
  if (auto fault = check_text(which, value)) return fault;
  to = std::string(value.get_string());
  return std::nullopt;
}

std::optional<setting_fault> assign_field(perf::log_level& to, const setting& which,
                                          const boost::json::value& value) {
  if (auto fault = check_text(which, value)) return fault;
  const auto found = std::find(kLevelNames.begin(), kLevelNames.end(), std::string_view(value.get_string()));
  to = static_cast<perf::log_level>(found - kLevelNames.begin());
  return std::nullopt;
}

template <class Number>
requires std::is_integral_v<Number> std::optional<setting_fault> assign_field(
    Number& to, const setting& which, const boost::json::value& value) {
  return assign_number(to, which, value);
}

std::string field_text(bool value) {
  return value ? "true" : "false";
}
std::string field_text(const std::string& value) {
  return boost::json::serialize(boost::json::string(value));
}
std::string field_text(perf::log_level value) {
  return fmt::format("\"{}\"", kLevelNames[static_cast<std::size_t>(value)]);
}
template <class Number>
requires std::is_integral_v<Number> std::string field_text(Number value) {
  return fmt::to_string(value);
}

}  // namespace

std::span<const setting> all_settings() {
  return kSettings;
}

const setting* find_setting(std::string_view path) {
  const auto found = std::find_if(std::begin(kSettings), std::end(kSettings),
                                  [&](const setting& s) { return s.path == path; });
  return found == std::end(kSettings) ? nullptr : found;
}

config default_config() {
  config out;
  out.http.port = 8080;
  out.http.metrics_label = "public";
  out.admin.port = 8081;
  out.admin.metrics_label = "admin";
  out.admin.backlog = 128;
  out.admin.limit.connections_max = 200;
  return out;
}

std::optional<setting_fault> assign(config& to, const setting& which, const boost::json::value& value) {
  return std::visit([&](auto field) { return assign_field(field(to), which, value); }, which.field);
}

std::optional<setting_fault> assign_text(config& to, const setting& which, std::string_view text) {
  boost::json::value value = boost::json::string(text);
  const std::string_view type = type_name(which);
  if (type == "boolean" && (text == "true" || text == "false")) {
    value = text == "true";
  } else if (type == "integer") {
    std::uint64_t number = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (failed == std::errc() && end == text.data() + text.size()) value = number;
  }
  return assign(to, which, value);
}

std::string value_text(const config& of, const setting& which) {
  // The accessors give writable members; nothing is written here.
  return std::visit([&](auto field) { return field_text(field(const_cast<config&>(of))); }, which.field);
}

std::string_view type_name(const setting& which) {
  switch (which.field.index()) {
    case 0:
      return "boolean";
    case 5:
    case 6:
      return "string";
    default:
      return "integer";
  }
}

std::string allowed_text(const setting& which) {
  const std::string_view type = type_name(which);
  if (type == "integer") return fmt::format("{} to {}", which.min, which.max);
  if (type == "boolean") return "true, false";
  return which.choices.empty() ? "any text" : std::string(which.choices);
}

std::string environment_name(std::string_view path) {
  std::string out = "SYNCLINE_";
  for (const char c : path) {
    if (c == '.') {
      out += "__";
    } else {
      out += (c >= 'a' && c <= 'z') ? static_cast<char>(c - 'a' + 'A') : c;
    }
  }
  return out;
}

std::string effective_settings(const config& of) {
  std::string out;
  for (const setting& each : kSettings) {
    // Shown to whoever reads a terminal or a ticket.
    const bool secret = each.path.ends_with(".password") && value_text(of, each) != "\"\"";
    fmt::format_to(std::back_inserter(out), "{} = {}\n", each.path,
                   secret ? "\"***\"" : value_text(of, each));
  }
  return out;
}

std::string settings_table() {
  const config defaults = default_config();
  std::string out = "| setting | type | default | allowed | unit | meaning |\n|---|---|---|---|---|---|\n";
  for (const setting& each : kSettings) {
    fmt::format_to(std::back_inserter(out), "| `{}` | {} | `{}` | {} | {} | {} |\n", each.path,
                   type_name(each), value_text(defaults, each), allowed_text(each), each.unit, each.meaning);
  }
  return out;
}

}  // namespace syncline::server
