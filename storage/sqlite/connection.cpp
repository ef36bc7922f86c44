#include "storage/sqlite/connection.h"

#include <fmt/format.h>

namespace syncline::storage::sqlite {

namespace {

std::string enclosed(std::string_view text, char quote) {
  std::string out;
  out.reserve(text.size() + 2);
  out.push_back(quote);
  for (const char c : text) {
    if (c == quote) out.push_back(quote);
    out.push_back(c);
  }
  out.push_back(quote);
  return out;
}

// A plain SQLITE_ERROR carries its meaning in its text only; these say that a table or column went away under
// us.
bool names_missing_object(std::string_view text) {
  return text.starts_with("no such table") || text.starts_with("no such column") ||
         text.find("has no column named") != std::string_view::npos;
}

bool is_memory(std::string_view path) {
  return path.empty() || path == ":memory:";
}

std::string_view text_of(sqlite3_stmt* stmt, int at) noexcept {
  // The pointer is asked for before the length, as SQLite's conversion rules require; an empty text may have
  // none.
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(stmt, at));
  const int size = sqlite3_column_bytes(stmt, at);
  return text == nullptr ? std::string_view() : std::string_view(text, static_cast<std::size_t>(size));
}

}  // namespace

std::string quoted(std::string_view identifier) {
  return enclosed(identifier, '"');
}

std::string literal(std::string_view text) {
  return enclosed(text, '\'');
}

net::error sqlite_error(sqlite3* db, int code, std::string_view doing) {
  const std::string_view text = db != nullptr ? sqlite3_errmsg(db) : sqlite3_errstr(code);
  std::string detail = fmt::format("{}: {}", doing, text);
  switch (code & 0xff) {
    case SQLITE_FULL:
      return {net::errc::disk_full, "no space left for the database", std::move(detail)};
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return {net::errc::locked, "another connection holds the database", std::move(detail)};
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return {net::errc::corrupt, "the database file is damaged", std::move(detail)};
    case SQLITE_CONSTRAINT:
      return {net::errc::conflict, "a constraint forbids it", std::move(detail)};
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:  // as after its file system became so: the handle stays it, a new one may not be
      return {net::errc::down, "the database file cannot be read or written", std::move(detail)};
    case SQLITE_SCHEMA:
      return {net::errc::schema_mismatch, "the database schema changed", std::move(detail)};
    case SQLITE_TOOBIG:
      return {net::errc::too_large, "a value is too large for SQLite", std::move(detail)};
    case SQLITE_INTERRUPT:
      return {net::errc::cancelled, "the statement was interrupted", std::move(detail)};
    case SQLITE_ERROR:
      if (names_missing_object(text))
        return {net::errc::schema_mismatch, "the database lacks a table or column", std::move(detail)};
      break;
    default:
      break;
  }
  return {net::errc::internal, "SQLite failed", std::move(detail)};
}

void statement::bind(int at, const cell& value) noexcept {
  switch (value.k) {
    case cell::kind::absent:
    case cell::kind::null:
      sqlite3_bind_null(stmt_, at);
      return;
    case cell::kind::integer:
      sqlite3_bind_int64(stmt_, at, value.integer);
      return;
    case cell::kind::real:
      sqlite3_bind_double(stmt_, at, value.real);
      return;
    case cell::kind::text:
      bind(at, value.text);
      return;
    case cell::kind::blob:
      // A null pointer would bind NULL; an empty blob needs some address.
      sqlite3_bind_blob64(stmt_, at, value.text.empty() ? "" : value.text.data(), value.text.size(),
                          SQLITE_STATIC);
      return;
  }
}

void statement::bind(int at, std::string_view text) noexcept {
  sqlite3_bind_text64(stmt_, at, text.empty() ? "" : text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8);
}

cell statement::column(int at) const noexcept {
  switch (sqlite3_column_type(stmt_, at)) {
    case SQLITE_INTEGER:
      return cell::of_int(sqlite3_column_int64(stmt_, at));
    case SQLITE_FLOAT:
      return cell::of_real(sqlite3_column_double(stmt_, at));
    case SQLITE_TEXT:
      return cell::of_text(text_of(stmt_, at));
    case SQLITE_BLOB: {
      const auto* bytes = static_cast<const char*>(sqlite3_column_blob(stmt_, at));
      const int size = sqlite3_column_bytes(stmt_, at);
      return cell::of_blob(bytes == nullptr ? std::string_view()
                                            : std::string_view(bytes, static_cast<std::size_t>(size)));
    }
    default:
      return cell::of_null();
  }
}

std::string_view statement::text(int at) const noexcept {
  return text_of(stmt_, at);
}

connection::connection(connection&& other) noexcept
    : db_(std::exchange(other.db_, nullptr)),
      statements_max_(other.statements_max_),
      statements_(std::move(other.statements_)) {}

connection& connection::operator=(connection&& other) noexcept {
  if (this != &other) {
    statements_.clear();  // before their connection
    sqlite3_close_v2(db_);
    db_ = std::exchange(other.db_, nullptr);
    statements_max_ = other.statements_max_;
    statements_ = std::move(other.statements_);
  }
  return *this;
}

connection::~connection() {
  statements_.clear();
  sqlite3_close_v2(db_);  // waits for statements that a caller still owns
}

net::result<connection> connection::open(const connection_options& options) {
  // SQLite counts its memory under a mutex that all connections share: a twentieth of an upload's time.
  // Refused, and no matter, where somebody used SQLite before us.
  [[maybe_unused]] static const int uncounted = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  connection c;
  c.statements_max_ = options.statements_max;
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  flags |= options.read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
  if (options.create && !options.read_only) flags |= SQLITE_OPEN_CREATE;
  const int opened = sqlite3_open_v2(options.path.c_str(), &c.db_, flags, nullptr);
  if (opened != SQLITE_OK) return c.error(opened, "opening " + options.path);

  sqlite3_busy_timeout(c.db_, options.busy_timeout_ms);
  // The first statement that reads the file: says here, and not later, that it is no database.
  auto encoding = c.query_text("PRAGMA encoding");
  if (!encoding) return encoding.error();
  if (*encoding != "UTF-8")
    return net::error(net::errc::schema_mismatch, "the database is not UTF-8",
                      options.path + " is " + *encoding);

  const std::string_view synchronous = options.synchronous;
  if (synchronous != "FULL" && synchronous != "NORMAL" && synchronous != "OFF" && synchronous != "EXTRA")
    return net::error(net::errc::invalid, "synchronous must be FULL, NORMAL, OFF or EXTRA",
                      options.synchronous);
  // The owner's own triggers may write to FTS5, which SQLite takes for unsafe in a trigger unless the schema
  // is trusted (checked on 3.40). Readers run no trigger.
  if (auto set = c.exec(fmt::format("PRAGMA synchronous={};PRAGMA foreign_keys=ON;PRAGMA trusted_schema={};"
                                    "PRAGMA cache_size=-{}",
                                    synchronous, options.read_only ? "OFF" : "ON", options.cache_kb));
      !set)
    return set.error();
  if (options.read_only) return c;

  auto mode = c.query_text("PRAGMA journal_mode=WAL");
  if (!mode) return mode.error();
  if (*mode != "wal" && !is_memory(options.path))
    return net::error(net::errc::unsupported, "the database cannot use a write-ahead log",
                      fmt::format("{} stays in journal mode {}", options.path, *mode));
  return c;
}

net::result<void> connection::exec(std::string_view sql) {
  const std::string text(sql);
  const int code = sqlite3_exec(db_, text.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return error(code, text.substr(0, 200));
  return {};
}

net::result<statement> connection::prepare(std::string_view sql) {
  sqlite3_stmt* raw = nullptr;
  const int code = sqlite3_prepare_v3(db_, sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &raw, nullptr);
  if (code != SQLITE_OK) return error(code, std::string(sql.substr(0, 200)));
  if (raw == nullptr)
    return net::error(net::errc::internal, "an SQL text holds no statement", std::string(sql));
  return statement(raw);
}

net::result<statement*> connection::cached(const std::string& sql) {
  if (const auto found = statements_.find(sql); found != statements_.end()) return found->second.get();
  auto made = prepare(sql);
  if (!made) return made.error();
  if (statements_.size() >= statements_max_) statements_.clear();
  auto kept = std::make_unique<statement>(std::move(*made));
  return statements_.emplace(sql, std::move(kept)).first->second.get();
}

void connection::drop_cached() noexcept {
  statements_.clear();
}

net::result<std::int64_t> connection::query_int(std::string_view sql) {
  auto s = prepare(sql);
  if (!s) return s.error();
  const int code = s->step();
  if (code == SQLITE_DONE) return net::error(net::errc::not_found, "the query has no row", std::string(sql));
  if (code != SQLITE_ROW) return error(code, sql);
  return s->integer(0);
}

net::result<std::string> connection::query_text(std::string_view sql) {
  auto s = prepare(sql);
  if (!s) return s.error();
  const int code = s->step();
  if (code == SQLITE_DONE) return net::error(net::errc::not_found, "the query has no row", std::string(sql));
  if (code != SQLITE_ROW) return error(code, sql);
  return std::string(s->text(0));
}

}  // namespace syncline::storage::sqlite
