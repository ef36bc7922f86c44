#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <set>
#include <stdexcept>
#include <thread>

#include <unistd.h>

#include <fmt/format.h>

#include "net/core/core.h"
#include "storage/mysql/column_value.h"
#include "storage/mysql/native_connection.h"
#include "tests/e2e/model_database.h"
#include "tests/net/run_task.h"

namespace syncline::e2e {
namespace {

namespace mysql = storage::mysql;

constexpr const char* kMysqlSchema = R"(
CREATE TABLE items(id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, owner BIGINT, team VARCHAR(20) COLLATE utf8mb4_0900_as_cs,
  name VARCHAR(50) COLLATE utf8mb4_0900_as_cs UNIQUE, note VARCHAR(100), secret VARCHAR(100), deleted BOOLEAN NOT NULL DEFAULT 0,
  KEY items_owner(owner), KEY items_team(team));
CREATE TABLE parts(item BIGINT NOT NULL, no BIGINT NOT NULL, owner BIGINT, label VARCHAR(100), PRIMARY KEY(item, no),
  KEY parts_owner(owner), FOREIGN KEY(item) REFERENCES items(id) ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE naive_log(n BIGINT AUTO_INCREMENT PRIMARY KEY, id BIGINT, gone BOOLEAN);
)";

std::string environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

std::string field_text(const mysql::column& of, std::string_view field) {
  storage::text_arena arena;
  const storage::cell value = mysql::decode_value(of, field, arena).value();
  switch (value.k) {
    case storage::cell::kind::integer:
      return std::to_string(value.integer);
    case storage::cell::kind::real:
      return std::to_string(value.real);
    case storage::cell::kind::text:
    case storage::cell::kind::blob:
      return std::string(value.text);
    default:
      return {};
  }
}

// A session that stays open, driven from a test's thread.
class mysql_connection final : public model_connection {
 public:
  explicit mysql_connection(std::shared_ptr<const mysql::session_options> options)
      : options_(std::move(options)) {
    on_.start();
  }
  ~mysql_connection() override {
    net::testing::run_task(on_, [this]() -> net::task<void> {
      db_.reset();  // on its core
      co_return;
    });
    on_.stop();
    on_.join();
  }
  mysql_connection(const mysql_connection&) = delete;
  mysql_connection& operator=(const mysql_connection&) = delete;

  void begin() override { run("START TRANSACTION"); }
  bool run(const std::string& sql) override {
    bool good = true;
    for (std::size_t at = 0; at < sql.size() && good;) {
      const std::size_t end = std::min(sql.find(";\n", at), sql.size());
      const std::string each = sql.substr(at, end - at);
      at = end + 2;
      if (each.find_first_not_of(" \n;") == std::string::npos) continue;
      const auto answered = ask(each);
      good = answered.has_value();
      if (!good) why_ = answered.error().text();
    }
    return good;
  }
  // Of the last run() that failed.
  [[nodiscard]] const std::string& why() const { return why_; }
  std::vector<std::string> rows(const std::string& sql) override {
    const auto answered = ask(sql);
    if (!answered) throw std::runtime_error(sql + ": " + answered.error().text());
    std::vector<std::string> out;
    for (const auto& row : answered->rows) out.push_back(field_text(answered->columns[0], row[0]));
    return out;
  }

 private:
  net::result<mysql::result_rows> ask(const std::string& sql) {
    net::result<mysql::result_rows> out = net::error(net::errc::internal, "no answer");
    net::testing::run_task(on_, [&]() -> net::task<void> {
      net::request_context context(on_);
      if (!db_ || db_->broken()) {
        auto opening = mysql::native_connection::open(context, options_);
        auto opened = co_await std::move(opening);
        if (!opened) {
          out = opened.error();
          co_return;
        }
        db_ = std::move(*opened);
      }
      auto asking = db_->sql(context, sql);
      out = co_await std::move(asking);
    });
    return out;
  }

  std::shared_ptr<const mysql::session_options> options_;
  std::string why_;
  net::core on_{0, false};
  std::unique_ptr<mysql::sql_connection> db_;
};

class mysql_model_database final : public model_database {
 public:
  mysql_model_database() {
    static std::atomic<int> next{0};
    schema_ = fmt::format("syncline_model_{}_{}", ::getpid(), next++);
    options_.user = environment("SYNCLINE_TEST_MYSQL_USER");
    options_.password = environment("SYNCLINE_TEST_MYSQL_PASSWORD");
    options_.socket_path = environment("SYNCLINE_TEST_MYSQL_SOCKET");
    options_.schema = schema_;
    options_.connect_timeout_ms = 20'000;
  }
  ~mysql_model_database() override {
    if (made_) outside("DROP DATABASE " + schema_);
  }
  std::string missing() const override {
    return environment("SYNCLINE_TEST_MYSQL").empty()
               ? "no MySQL (SYNCLINE_TEST_MYSQL is not set; see tests/tools/mysql.sh)"
               : "";
  }
  std::unique_ptr<model_connection> open() override {
    return std::make_unique<mysql_connection>(std::make_shared<mysql::session_options>(options_));
  }
  void make_tables() override {
    outside("CREATE DATABASE " + schema_ + " CHARACTER SET utf8mb4");
    made_ = true;
    if (!open()->run(kMysqlSchema)) throw std::runtime_error("the model's tables cannot be made");
  }
  std::string storage_json() const override {
    return fmt::format(
        R"({{"engine": "mysql", "mysql": {{"socket": "{}", "user": "{}", "password": "{}", "schema": "{}",
            "feed_poll_ms": 5, "migrate_on_start": true}}}})",
        options_.socket_path, options_.user, options_.password, schema_);
  }
  // As text, from one snapshot: every row of every table, Syncline's among them.
  void take_backup() override {
    const auto db = open();
    // The sequencer works on: without a snapshot it could move rows from a table that is still to be read to
    // one that was.
    if (!db->run(
            "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;\nSTART TRANSACTION WITH CONSISTENT SNAPSHOT"))
      throw std::runtime_error("no snapshot for the backup");
    std::string copy;
    for (const std::string& table :
         db->rows("SELECT table_name FROM information_schema.tables WHERE table_schema=DATABASE() AND "
                  "table_type='BASE TABLE' ORDER BY table_name")) {
      const auto columns = db->rows(
          fmt::format("SELECT IF(data_type IN ('varbinary','longblob'), CONCAT('IF(`',column_name,'` IS "
                      "NULL,''NULL'',CONCAT(''X'''''',HEX(`',column_name,'`),''''''''))'), "
                      "CONCAT('QUOTE(`',column_name,'`)')) FROM information_schema.columns WHERE "
                      "table_schema=DATABASE() AND table_name='{}' ORDER BY ordinal_position",
                      table));
      tables_.insert(table);
      for (const std::string& row :
           db->rows(fmt::format("SELECT CONCAT_WS(',',{}) FROM `{}`", fmt::join(columns, ","), table)))
        copy += fmt::format("INSERT INTO `{}` VALUES({});\n", table, row);
    }
    backup_ = std::move(copy);
  }
  // The triggers fire meanwhile; what they say goes away with the pending table, which is put back as well.
  void restore_backup() override {
    // An item may have the id 0.
    std::string script =
        "SET foreign_key_checks=0;\nSET SESSION sql_mode=CONCAT(@@sql_mode,',NO_AUTO_VALUE_ON_ZERO');\nSTART "
        "TRANSACTION;\n";
    std::string ours;
    for (const std::string& table : tables_)
      if (!table.starts_with("syncline_")) script += "DELETE FROM `" + table + "`;\n";
    std::size_t at = 0;
    while (at < backup_.size()) {
      const std::size_t end = backup_.find(";\n", at) + 2;
      (backup_.compare(at, 22, "INSERT INTO `syncline_") == 0 ? ours : script) +=
          backup_.substr(at, end - at);
      at = end;
    }
    for (const std::string& table : tables_)
      if (table.starts_with("syncline_")) script += "DELETE FROM `" + table + "`;\n";
    script += ours + "COMMIT;\n";
    if (!open()->run(script)) throw std::runtime_error("the backup cannot be put back");
  }
  void wait_for_feed() override {
    const auto db = open();
    for (int tries = 0; db->rows("SELECT COUNT(*) FROM syncline_pending").front() != "0"; ++tries) {
      if (tries == 1000) throw std::runtime_error("the feed does not take what is pending");
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  bool has_backup() const override { return !backup_.empty(); }
  std::size_t statements() const override { return 14; }
  std::string statement(std::size_t which, const values& v) const override {
    switch (which) {
      case 0:
        return fmt::format("REPLACE INTO items(id,owner,team,name,note) VALUES({},{},{},{},{})", v.id,
                           v.owner, v.team, v.name, v.note);
      case 1:
        return fmt::format(
            "INSERT INTO items(id,owner,name) VALUES({},{},{}) AS n ON DUPLICATE KEY UPDATE name=n.name, "
            "owner=n.owner",
            v.id, v.owner, v.name);
      case 2:
        return fmt::format("UPDATE items SET name={} WHERE id={}", v.name, v.id);
      case 3:
        return fmt::format("UPDATE IGNORE items SET id={} WHERE id={}", v.other_id, v.id);
      case 4:
        return fmt::format("UPDATE items SET owner={}, team={} WHERE id={}", v.owner, v.team, v.id);
      case 5:
        return fmt::format("UPDATE items SET deleted=1-deleted WHERE id={}", v.id);
      case 6:
        return fmt::format("DELETE FROM items WHERE id={}", v.id);
      case 7:
        return fmt::format(
            "INSERT INTO items(id,owner,name) VALUES({0},{1},{2}) AS n ON DUPLICATE KEY UPDATE note={3}, "
            "owner=n.owner",
            v.id, v.owner, v.name, v.note);
      case 8:
        return fmt::format("INSERT IGNORE INTO items(id,owner,team,name) VALUES({},{},{},{})", v.id, v.owner,
                           v.team, v.name);
      case 9:
        return fmt::format("UPDATE items SET secret={}, note=note WHERE id<{}", v.note, v.id);
      case 10:
        return fmt::format("REPLACE INTO parts VALUES({},{},{},{})", v.id, v.small, v.owner, v.note);
      case 11:
        return fmt::format("UPDATE IGNORE parts SET no={} WHERE item={}", v.small, v.id);
      case 12:
        return fmt::format("UPDATE items SET note={} WHERE owner={}", v.note, v.small);
      default:
        // Two rows swap a unique value.
        return fmt::format(
            "SET @n=(SELECT name FROM items WHERE id={0});\n"
            "UPDATE items SET name=NULL WHERE id={0};\nUPDATE IGNORE items SET name=@n WHERE id={1}",
            v.id, v.other_id);
    }
  }
  std::string item_json_sql() const override {
    return R"(CONCAT('{"id":',id,',"owner":',IFNULL(owner,'null'),',"team":',IFNULL(JSON_QUOTE(team),'null'),)"
           R"(',"name":',IFNULL(JSON_QUOTE(name),'null'),',"note":',IFNULL(JSON_QUOTE(note),'null'),'}'))";
  }
  std::string part_json_sql() const override {
    return R"(CONCAT('{"item":',item,',"no":',no,',"owner":',IFNULL(owner,'null'),',"label":',IFNULL(JSON_QUOTE(label),'null'),'}'))";
  }
  std::string part_key_sql() const override { return R"(CONCAT('"',item,',',no,'"'))"; }
  bool may_be_busy() const override { return true; }
  // MySQL hides less from row triggers; what goes wrong there is their order, which the feed's own test
  // shows.
  bool naive_triggers_fail() const override { return false; }

 private:
  void outside(const std::string& sql) {
    auto options = std::make_shared<mysql::session_options>(options_);
    options->schema = "information_schema";
    mysql_connection connection(std::move(options));
    if (!connection.run(sql)) fmt::print(stderr, "failed: {}: {}\n", sql, connection.why());
  }

  mysql::session_options options_;
  std::string schema_;
  std::string backup_;
  std::set<std::string> tables_;
  bool made_ = false;
};

}  // namespace

std::unique_ptr<model_database> mysql_model() {
  return std::make_unique<mysql_model_database>();
}

}  // namespace syncline::e2e
