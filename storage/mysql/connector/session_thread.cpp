#include "storage/mysql/connector/session_thread.h"

#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include <mysqlx/xdevapi.h>
#include "storage/mysql/server_error.h"

namespace syncline::storage::mysql {

namespace {

using net::errc;
using net::error;

constexpr std::size_t kBatchBytes = 64UL * 1024;
constexpr std::size_t kThreadsMax = 512;

mysqlx::SSLMode ssl_mode(net::tls_mode mode) {
  switch (mode) {
    case net::tls_mode::disabled:
      return mysqlx::SSLMode::DISABLED;
    case net::tls_mode::required:
      return mysqlx::SSLMode::REQUIRED;
    case net::tls_mode::verify_ca:
      return mysqlx::SSLMode::VERIFY_CA;
    case net::tls_mode::verify_identity:
      break;
  }
  return mysqlx::SSLMode::VERIFY_IDENTITY;
}

mysqlx::CompressionMode compression_of(compression_mode mode) {
  switch (mode) {
    case compression_mode::disabled:
      return mysqlx::CompressionMode::DISABLED;
    case compression_mode::preferred:
      return mysqlx::CompressionMode::PREFERRED;
    case compression_mode::required:
      break;
  }
  return mysqlx::CompressionMode::REQUIRED;
}

mysqlx::SessionSettings settings_of(const session_options& from) {
  using option = mysqlx::SessionOption;
  mysqlx::SessionSettings out(option::USER, from.user, option::PWD, from.password);
  if (from.socket_path.empty()) {
    out.set(option::HOST, from.host, option::PORT, from.port);
    out.set(option::SSL_MODE, ssl_mode(from.tls.mode));
    if (!from.tls.ca_file.empty()) out.set(option::SSL_CA, from.tls.ca_file);
  } else {
    out.set(option::SOCKET, from.socket_path, option::SSL_MODE, mysqlx::SSLMode::DISABLED);
  }
  if (from.login == authentication::plain) out.set(option::AUTH, mysqlx::AuthMethod::PLAIN);
  if (from.login == authentication::sha256_memory) out.set(option::AUTH, mysqlx::AuthMethod::SHA256_MEMORY);
  if (!from.schema.empty()) out.set(option::DB, from.schema);
  out.set(option::CONNECT_TIMEOUT, static_cast<unsigned>(from.connect_timeout_ms));
  out.set(option::COMPRESSION, compression_of(from.compression));
  return out;
}

column integer_column(const mysqlx::Column& from) {
  column out;
  out.type = from.isNumberSigned() ? column_type::signed_integer : column_type::unsigned_integer;
  return out;
}

column typed(column_type type, std::uint32_t content = 0, std::uint64_t collation = 0) {
  column out;
  out.type = type;
  out.content_type = content;
  out.collation = collation;
  return out;
}

// The connector names types as SQL does; the fields' bytes are those of the protocol's types.
column column_of(const mysqlx::Column& from) {
  switch (from.getType()) {
    case mysqlx::Type::TINYINT:
    case mysqlx::Type::SMALLINT:
    case mysqlx::Type::MEDIUMINT:
    case mysqlx::Type::INT:
    case mysqlx::Type::BIGINT:
      return integer_column(from);
    case mysqlx::Type::BIT:
      return typed(column_type::bits);
    case mysqlx::Type::FLOAT:
      return typed(column_type::single_precision);
    case mysqlx::Type::DOUBLE:
      return typed(column_type::double_precision);
    case mysqlx::Type::DECIMAL:
      return typed(column_type::decimal);
    case mysqlx::Type::JSON:
      return typed(column_type::bytes, kContentJson);
    case mysqlx::Type::GEOMETRY:
      return typed(column_type::bytes, kContentGeometry, kCollationBinary);
    case mysqlx::Type::BYTES:
      return typed(column_type::bytes, 0, kCollationBinary);
    case mysqlx::Type::DATE:
      return typed(column_type::datetime, kContentDate);
    case mysqlx::Type::DATETIME:
    case mysqlx::Type::TIMESTAMP:
      return typed(column_type::datetime, kContentDatetime);
    case mysqlx::Type::TIME:
      return typed(column_type::time);
    case mysqlx::Type::ENUM:
      return typed(column_type::enumeration);
    case mysqlx::Type::SET:
      return typed(column_type::set);
    case mysqlx::Type::STRING:
      break;
  }
  return typed(column_type::bytes);
}

std::shared_ptr<const std::vector<column>> columns_of(const mysqlx::SqlResult& result) {
  auto out = std::make_shared<std::vector<column>>();
  for (mysqlx::col_count_t i = 0; i < result.getColumnCount(); ++i) {
    const mysqlx::Column& from = result.getColumn(i);
    column& to = out->emplace_back(column_of(from));
    to.name = from.getColumnLabel();
    to.length = static_cast<std::uint32_t>(from.getLength());
    to.fractional_digits = from.getFractionalDigits();
    if (from.isPadded()) to.flags |= kFlagRightPad;
  }
  return out;
}

// getBytes() throws for NULL, whatever its comment says.
void append_row(mysqlx::Row& row, std::size_t columns, row_batch& to) {
  for (std::size_t i = 0; i < columns; ++i) {
    const auto at = static_cast<mysqlx::col_count_t>(i);
    const mysqlx::bytes field = row.get(at).isNull() ? mysqlx::bytes() : row.getBytes(at);
    if (field.size() != 0) to.bytes.append(reinterpret_cast<const char*>(field.begin()), field.size());
    to.sizes.push_back(static_cast<std::uint32_t>(field.size()));
  }
}

void read_set(mysqlx::SqlResult& result, statement_run& into) {
  const auto columns = columns_of(result);
  row_batch batch{columns, {}, {}};
  for (mysqlx::Row row = result.fetchOne(); row; row = result.fetchOne()) {
    append_row(row, columns->size(), batch);
    if (batch.bytes.size() < kBatchBytes) continue;
    into.put(std::exchange(batch, row_batch{columns, {}, {}}));
    if (into.dropped()) return;  // the connector discards the rest
  }
  into.put(std::move(batch));
}

statement_notes notes_of(mysqlx::SqlResult& result) {
  statement_notes out;
  out.rows_affected = result.getAffectedItemsCount();
  out.last_insert_id = result.getAutoIncrementValue();
  out.warnings_seen = result.getWarningsCount();
  for (const mysqlx::Warning& each : result.getWarnings()) {
    if (out.warnings.size() == kWarningsMax) break;
    warning& to = out.warnings.emplace_back();
    to.code = each.getCode();
    to.text = each.getMessage();
    if (each.getLevel() == mysqlx::Warning::LEVEL_INFO) to.how = warning::level::note;
    if (each.getLevel() == mysqlx::Warning::LEVEL_ERROR) to.how = warning::level::error;
  }
  return out;
}

statement_notes run_statement(mysqlx::Session& session, statement_run& what) {
  mysqlx::SqlResult result = session.sql(what.text()).execute();
  do {
    if (result.hasData()) read_set(result, what);
  } while (result.nextResult());
  return notes_of(result);
}

// The threads that have not ended. One that hangs in the connector cannot be ended, so there is a bound.
struct living_threads {
  std::mutex guard;
  std::condition_variable fewer;
  std::size_t count = 0;
  std::size_t closing = 0;  // were stopped
};
living_threads& living = *new living_threads;  // never destroyed: the last thread may end after main()

class living_thread {
 public:
  living_thread() {
    const std::scoped_lock hold(living.guard);
    if (living.count == kThreadsMax) return;
    ++living.count;
    counted_ = std::shared_ptr<void>(nullptr, [](void*) {
      const std::scoped_lock ending(living.guard);
      --living.count;
      living.fewer.notify_all();
    });
    is_ = true;
  }
  explicit operator bool() const noexcept { return is_; }

 private:
  bool is_ = false;
  std::shared_ptr<void> counted_;
};

std::unique_ptr<mysqlx::Session> open_session(const session_options& options) {
  auto out = std::make_unique<mysqlx::Session>(settings_of(options));
  for (const std::string& each : options.setup) out->sql(each).execute();
  return out;
}

// The connector throws a text without a number, so the session is asked for it. None: it does not answer.
std::optional<error> error_of_last(mysqlx::Session& session) {
  try {
    session
        .sql(
            "GET DIAGNOSTICS CONDITION 1 @syncline_code = MYSQL_ERRNO, @syncline_state = RETURNED_SQLSTATE, "
            "@syncline_text = MESSAGE_TEXT")
        .execute();
    mysqlx::SqlResult result =
        session.sql("SELECT CAST(@syncline_code AS UNSIGNED), @syncline_state, @syncline_text").execute();
    const mysqlx::Row row = result.fetchOne();
    if (!row || row[0].isNull()) return std::nullopt;
    return server_error(static_cast<std::uint32_t>(row[0].get<std::uint64_t>()), row[1].get<std::string>(),
                        row[2].get<std::string>());
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

}  // namespace

net::result<std::shared_ptr<session_thread>> session_thread::start(
    std::shared_ptr<const session_options> options) {
  const living_thread one_more;
  if (!one_more) return error(errc::overloaded, "too many sessions of the connector hang");
  auto out = std::make_shared<session_thread>();
  try {
    // Detached: a session that hangs in the connector must not hang whoever gives its connection up.
    std::thread([out, options = std::move(options), one_more] { out->loop(options); }).detach();
  } catch (const std::system_error& e) {
    return error(errc::down, "no thread for a session with MySQL", e.what());
  }
  return out;
}

void session_thread::wait_for_closed(std::chrono::milliseconds within) {
  std::unique_lock hold(living.guard);
  living.fewer.wait_for(hold, within, [] { return living.closing == 0; });
}

void session_thread::run_next(std::shared_ptr<statement_run> statement) {
  const std::scoped_lock hold(guard_);
  if (stopped_) {
    statement->end(error(errc::closed, "the connection to MySQL was closed"));
    return;
  }
  queue_.push_back(std::move(statement));
  queued_.notify_one();
}

void session_thread::stop() {
  const std::scoped_lock hold(guard_);
  if (std::exchange(stopped_, true)) return;
  {
    const std::scoped_lock counting(living.guard);
    ++living.closing;
  }
  for (const auto& each : queue_) each->end(error(errc::closed, "the connection to MySQL was closed"));
  queue_.clear();
  mark_broken();
  queued_.notify_one();
}

std::shared_ptr<statement_run> session_thread::next() {
  std::unique_lock hold(guard_);
  queued_.wait(hold, [this] { return stopped_ || !queue_.empty(); });
  if (stopped_) return nullptr;
  auto out = std::move(queue_.front());
  queue_.pop_front();
  return out;
}

void session_thread::loop(const std::shared_ptr<const session_options>& options) {
  std::unique_ptr<mysqlx::Session> session;
  while (const std::shared_ptr<statement_run> what = next()) {
    try {
      if (what->kind() == statement_run::what::reopen) {
        session.reset();
        session = open_session(*options);
        what->end(statement_notes());
      } else if (session == nullptr) {
        what->end(error(errc::closed, "the session with MySQL was not opened"));
      } else {
        what->end(run_statement(*session, *what));
      }
    } catch (const std::exception& e) {
      std::optional<error> why;
      if (session != nullptr) why = error_of_last(*session);
      if (!why) mark_broken();
      what->end(why ? std::move(*why) : error(errc::down, "MySQL does not answer", e.what()));
    }
  }
  try {
    if (session != nullptr) session->close();
  } catch (const std::exception&) {
    // It was gone already.
  }
  session.reset();
  const std::scoped_lock hold(living.guard);
  --living.closing;
  living.fewer.notify_all();
}

}  // namespace syncline::storage::mysql
