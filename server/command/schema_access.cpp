#include "server/command/schema_access.h"

#include <fmt/format.h>

#include "server/mysql_settings.h"
#include "storage/mysql/blocking_run.h"
#include "storage/mysql/schema.h"
#include "storage/row_json.h"
#include "storage/sqlite/connection.h"
#include "storage/sqlite/schema.h"

namespace syncline::server::command {
namespace {

namespace mysql = storage::mysql;
namespace sqlite = storage::sqlite;

std::string json_text(std::string_view text) {
  std::string out;
  storage::append_json_string(text, out);
  return out;
}

class sqlite_schema final : public schema_access {
 public:
  explicit sqlite_schema(sqlite::connection_options options) : options_(std::move(options)) {}

  net::result<storage::migrate_report> migrate(storage::catalog& all, bool dry_run,
                                               const storage::migrate_progress& progress) override {
    auto db = sqlite::connection::open(options_);
    if (!db) return db.error();
    return sqlite::migrate(*db, all, dry_run, progress);
  }
  net::result<storage::migrate_report> remove(const storage::catalog& all, bool dry_run) override {
    auto db = sqlite::connection::open(options_);
    if (!db) return db.error();
    return sqlite::remove(*db, all, dry_run);
  }
  net::result<storage::check_report> check_feed(storage::catalog& all, bool repair) override {
    auto db = sqlite::connection::open(options_);
    if (!db) return db.error();
    if (auto fits = sqlite::fit_to_schema(*db, all); !fits) return fits.error();
    return sqlite::check_feed(*db, all, repair);
  }
  net::result<std::string> introspect() override {
    auto db = sqlite::connection::open(options_);
    if (!db) return db.error();
    return sqlite::introspect(*db);
  }
  [[nodiscard]] std::string settings_text() const override {
    return fmt::format("{{ \"sqlite\": {{ \"path\": {} }} }}", json_text(options_.path));
  }
  [[nodiscard]] std::string name() const override { return options_.path; }

 private:
  sqlite::connection_options options_;
};

class mysql_schema final : public schema_access {
 public:
  mysql_schema(const mysql_settings& settings, mysql::mysql_options options)
      : settings_(settings), options_(std::move(options)) {}

  net::result<storage::migrate_report> migrate(storage::catalog& all, bool dry_run,
                                               const storage::migrate_progress& progress) override {
    return run<storage::migrate_report>([&](net::request_context& context, mysql::sql_connection& db) {
      return mysql::migrate(context, db, all, dry_run, progress);
    });
  }
  net::result<storage::migrate_report> remove(const storage::catalog& all, bool dry_run) override {
    return run<storage::migrate_report>([&](net::request_context& context, mysql::sql_connection& db) {
      return mysql::remove(context, db, all, dry_run);
    });
  }
  net::result<storage::check_report> check_feed(storage::catalog& all, bool repair) override {
    return run<storage::check_report>([&](net::request_context& context, mysql::sql_connection& db) {
      return fit_and_check(context, db, all, repair);
    });
  }
  net::result<std::string> introspect() override {
    return run<std::string>([](net::request_context& context, mysql::sql_connection& db) {
      return mysql::introspect(context, db);
    });
  }
  [[nodiscard]] std::string settings_text() const override {
    std::string where = settings_.socket.empty() ? fmt::format("\"host\": {}, \"port\": {}",
                                                               json_text(settings_.host), settings_.port)
                                                 : fmt::format("\"socket\": {}", json_text(settings_.socket));
    return fmt::format("{{ \"engine\": \"mysql\", \"mysql\": {{ {}, \"user\": {}, \"schema\": {} }} }}",
                       where, json_text(settings_.user), json_text(settings_.schema));
  }
  [[nodiscard]] std::string name() const override {
    return settings_.socket.empty()
               ? fmt::format("{}:{}/{}", settings_.host, settings_.port, settings_.schema)
               : fmt::format("{}/{}", settings_.socket, settings_.schema);
  }

 private:
  static net::task<net::result<storage::check_report>> fit_and_check(net::request_context& context,
                                                                     mysql::sql_connection& db,
                                                                     storage::catalog& all, bool repair) {
    auto fitting = mysql::fit_to_schema(context, db, all);
    if (auto fits = co_await std::move(fitting); !fits) co_return fits.error();
    auto checking = mysql::check_feed(context, db, all, repair);
    co_return co_await std::move(checking);
  }

  template <class T, class Work>
  net::result<T> run(const Work& work) {
    net::result<T> out = net::error(net::errc::internal, "nothing was done");
    const auto keep = [&](net::request_context& context,
                          mysql::sql_connection& db) -> net::task<net::result<void>> {
      auto working = work(context, db);
      out = co_await std::move(working);
      co_return net::result<void>();
    };
    if (auto ran = mysql::run_on_mysql(options_, keep); !ran) return ran.error();
    return out;
  }

  mysql_settings settings_;
  mysql::mysql_options options_;
};

net::result<std::unique_ptr<schema_access>> open_mysql(const mysql_settings& settings) {
  auto options = mysql_options_of(settings);
  if (!options) return options.error();
  return std::unique_ptr<schema_access>(std::make_unique<mysql_schema>(settings, std::move(*options)));
}

}  // namespace

net::result<std::unique_ptr<schema_access>> open_schema(const config& settings) {
  if (settings.engine == "mysql") return open_mysql(settings.mysql);
  sqlite::connection_options options;
  options.path = settings.sqlite.path;
  options.busy_timeout_ms = static_cast<int>(settings.sqlite.busy_timeout_ms);
  options.synchronous = settings.sqlite.synchronous;
  options.cache_kb = settings.sqlite.cache_kb;
  return std::unique_ptr<schema_access>(std::make_unique<sqlite_schema>(std::move(options)));
}

net::result<std::unique_ptr<schema_access>> open_schema(const std::string& database) {
  if (is_mysql_url(database)) {
    auto settings = mysql_settings_of_url(database);
    if (!settings) return settings.error();
    return open_mysql(*settings);
  }
  sqlite::connection_options options;
  options.path = database;
  options.read_only = true;
  return std::unique_ptr<schema_access>(std::make_unique<sqlite_schema>(std::move(options)));
}

}  // namespace syncline::server::command
