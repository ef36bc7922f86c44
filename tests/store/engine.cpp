#include "tests/store/engine.h"

#include <atomic>
#include <cstdlib>

#include <gtest/gtest.h>
#include <unistd.h>

#include "storage/mysql/blocking_run.h"
#include "storage/mysql/column_value.h"
#include "storage/mysql/mysql_store.h"
#include "storage/mysql/schema.h"
#include "storage/mysql/server_error.h"
#include "tests/storage/sqlite_store_fixture.h"

namespace syncline::storage::testing {

namespace {

constexpr int kDeadlocksMax = 20;

class sqlite_engine final : public engine {
 public:
  void make_tables() override { run(sqlite::testing::kTables); }
  net::result<std::unique_ptr<store>> open(const engine_settings& settings, catalog& all,
                                           net::core_group&) override {
    sqlite::sqlite_options options;
    options.path = file_.path();
    options.synchronous = "OFF";
    options.migrate_on_start = true;
    options.transaction_idle_ms = settings.transaction_idle_ms;
    options.tombstone_days = settings.tombstone_days;
    options.idempotency_keep_h = settings.idempotency_keep_h;
    options.purge_interval_s = settings.purge_interval_s;
    return sqlite::open_sqlite_store(options, all);
  }
  void run(std::string_view sql) override {
    auto db = sqlite::testing::open_or_die(file_.path());
    sqlite::testing::run(db, sql);
  }
  std::int64_t number(std::string_view sql) override {
    auto db = sqlite::testing::open_or_die(file_.path());
    return db.query_int(sql).value();
  }
  std::string text(std::string_view sql) override {
    auto db = sqlite::testing::open_or_die(file_.path());
    return db.query_text(sql).value();
  }
  net::result<check_report> check_feed(catalog& all) override {
    auto db = sqlite::testing::open_or_die(file_.path());
    return sqlite::check_feed(db, all, false);
  }
  net::result<std::uint64_t> purge(catalog& all, std::int64_t older_than_s) override {
    auto db = sqlite::testing::open_or_die(file_.path());
    const auto purged = sqlite::purge_tombstones(db, all, older_than_s, 1000);
    if (!purged) return purged.error();
    return purged->deleted;
  }

 private:
  sqlite::testing::scratch_file file_;
};

std::string environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

// A schema of its own on the server that tests/tools/mysql.sh started.
class mysql_engine final : public engine {
 public:
  mysql_engine() {
    static std::atomic<int> next{0};
    schema_ = "syncline_store_" + std::to_string(::getpid()) + "_" + std::to_string(next++);
    const std::string where = environment("SYNCLINE_TEST_MYSQL");
    if (where.empty()) return;
    options_.primary.user = environment("SYNCLINE_TEST_MYSQL_USER");
    options_.primary.password = environment("SYNCLINE_TEST_MYSQL_PASSWORD");
    options_.primary.socket_path = environment("SYNCLINE_TEST_MYSQL_SOCKET");
    options_.primary.connect_timeout_ms = 20'000;
    options_.migrate_on_start = true;
    // Tests wait for commits of others.
    options_.feed_poll_ms = 5;
    options_.schema_check_s = 1;
    usable_ = true;
  }
  ~mysql_engine() override {
    if (made_) run_in("information_schema", "DROP DATABASE " + schema_);
  }
  std::string missing() const override {
    return usable_ ? std::string() : "no MySQL (SYNCLINE_TEST_MYSQL is not set; see tests/tools/mysql.sh)";
  }
  void make_tables() override {
    run_in("information_schema", "CREATE DATABASE " + schema_ + " CHARACTER SET utf8mb4");
    made_ = true;
    options_.primary.schema = schema_;
    run("CREATE TABLE users(id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARCHAR(200) NOT NULL, "
        "email VARCHAR(200), team BIGINT, state JSON DEFAULT (JSON_OBJECT()), score DOUBLE DEFAULT 1.5, "
        "deleted_at VARCHAR(40), UNIQUE KEY email(email), KEY users_team(team), "
        "CHECK(score IS NULL OR score >= 0)); "
        "CREATE TABLE notes(owner VARCHAR(100) COLLATE utf8mb4_bin NOT NULL, n BIGINT NOT NULL, body TEXT, "
        "PRIMARY KEY(owner, n)); "
        "CREATE TABLE tags(tag VARCHAR(100) COLLATE utf8mb4_0900_ai_ci NOT NULL PRIMARY KEY, uses BIGINT); "
        "CREATE TABLE links(id BIGINT NOT NULL PRIMARY KEY, user_id BIGINT NOT NULL, later_id BIGINT, "
        "FOREIGN KEY(user_id) REFERENCES users(id), FOREIGN KEY(later_id) REFERENCES users(id))");
  }
  net::result<std::unique_ptr<store>> open(const engine_settings& settings, catalog& all,
                                           net::core_group& cores) override {
    options_.transaction_idle_ms = settings.transaction_idle_ms;
    options_.tombstone_days = settings.tombstone_days;
    options_.idempotency_keep_h = settings.idempotency_keep_h;
    options_.purge_interval_s = settings.purge_interval_s;
    return mysql::open_mysql_store(options_, all, cores);
  }
  void run(std::string_view sql) override { run_in(schema_, sql); }
  bool all_in_feed() override { return number("SELECT COUNT(*) FROM syncline_pending") == 0; }
  std::int64_t number(std::string_view sql) override { return value(sql).integer; }
  std::string text(std::string_view sql) override { return std::string(value(sql).text); }
  net::result<check_report> check_feed(catalog& all) override {
    net::result<check_report> out = net::error();
    auto ran =
        work(options_,
             [&](net::request_context& context, mysql::sql_connection& db) -> net::task<net::result<void>> {
               auto checking = mysql::check_feed(context, db, all, false);
               out = co_await std::move(checking);
               co_return net::result<void>();
             });
    return ran ? out : net::result<check_report>(ran.error());
  }
  net::result<std::uint64_t> purge(catalog& all, std::int64_t older_than_s) override {
    net::result<std::uint64_t> out = net::error();
    auto ran =
        work(options_,
             [&](net::request_context& context, mysql::sql_connection& db) -> net::task<net::result<void>> {
               auto purging = mysql::purge_tombstones(context, db, all, older_than_s, 1000);
               const auto purged = co_await std::move(purging);
               if (!purged) co_return purged.error();
               out = purged->deleted;
               co_return net::result<void>();
             });
    return ran ? out : net::result<std::uint64_t>(ran.error());
  }

 private:
  static net::result<void> work(const mysql::mysql_options& options, const mysql::mysql_work& what) {
    return mysql::run_on_mysql(options, what);
  }
  // `each` sees the answer of every statement. One that met a deadlock is run again, as every application of
  // MySQL must.
  void statements(const std::string& schema, std::string_view sql,
                  const std::function<void(const mysql::result_rows&)>& each) {
    mysql::mysql_options options = options_;
    options.primary.schema = schema;
    const auto ran =
        work(options,
             [&](net::request_context& context, mysql::sql_connection& db) -> net::task<net::result<void>> {
               std::string_view rest = sql;
               for (int deadlocks = 0; !rest.empty();) {
                 const std::size_t end = std::min(rest.find("; "), rest.size());
                 auto running = db.sql(context, rest.substr(0, end));
                 auto answered = co_await std::move(running);
                 if (!answered && mysql::server_code(answered.error()) == mysql::code::kDeadlock &&
                     ++deadlocks < kDeadlocksMax)
                   continue;
                 if (!answered) co_return answered.error();
                 if (each) each(*answered);
                 rest.remove_prefix(std::min(rest.size(), end + 2));
               }
               co_return net::result<void>();
             });
    EXPECT_TRUE(ran.has_value()) << sql << "\n" << (ran ? "" : ran.error().text());
  }
  void run_in(const std::string& schema, std::string_view sql) { statements(schema, sql, {}); }
  cell value(std::string_view sql) {
    cell out;
    arena_.clear();
    statements(schema_, sql, [&](const mysql::result_rows& rows) {
      ASSERT_EQ(rows.rows.size(), 1U) << sql;
      cell decoded = mysql::decode_value(rows.columns[0], rows.rows[0][0], arena_).value();
      if (decoded.k == cell::kind::text || decoded.k == cell::kind::blob)
        decoded.text = arena_.copy(decoded.text);
      out = decoded;
    });
    return out;
  }

  mysql::mysql_options options_;
  std::string schema_;
  text_arena arena_;
  bool usable_ = false;
  bool made_ = false;
};

}  // namespace

std::unique_ptr<engine> make_engine(engine_kind kind) {
  if (kind == engine_kind::sqlite) return std::make_unique<sqlite_engine>();
  return std::make_unique<mysql_engine>();
}

}  // namespace syncline::storage::testing
