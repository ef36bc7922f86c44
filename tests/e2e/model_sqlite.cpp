#include <filesystem>
#include <stdexcept>

#include <fmt/format.h>
#include <sqlite3.h>

#include "tests/e2e/model_database.h"

namespace syncline::e2e {
namespace {

constexpr const char* kSqliteSchema = R"(
PRAGMA journal_mode=WAL;
CREATE TABLE items(id INTEGER PRIMARY KEY, owner INTEGER, team TEXT, name TEXT UNIQUE, note TEXT, secret TEXT, deleted INTEGER NOT NULL DEFAULT 0);
CREATE INDEX items_owner ON items(owner);
CREATE INDEX items_team ON items(team);
CREATE TABLE parts(item INTEGER NOT NULL REFERENCES items(id) ON DELETE CASCADE ON UPDATE CASCADE, no INTEGER NOT NULL, owner INTEGER, label TEXT,
                   PRIMARY KEY(item, no));
CREATE INDEX parts_owner ON parts(owner);
CREATE TABLE naive_log(n INTEGER PRIMARY KEY AUTOINCREMENT, id INTEGER, gone INTEGER);
CREATE TRIGGER naive_insert AFTER INSERT ON items BEGIN INSERT INTO naive_log(id, gone) VALUES (NEW.id, 0); END;
CREATE TRIGGER naive_update AFTER UPDATE ON items BEGIN INSERT INTO naive_log(id, gone) VALUES (NEW.id, 0); END;
CREATE TRIGGER naive_delete AFTER DELETE ON items BEGIN INSERT INTO naive_log(id, gone) VALUES (OLD.id, 1); END;
)";

class sqlite_connection final : public model_connection {
 public:
  explicit sqlite_connection(const std::string& path) {
    sqlite3_open(path.c_str(), &db_);
    sqlite3_busy_timeout(db_, 10000);
    run("PRAGMA foreign_keys=ON");
  }
  ~sqlite_connection() override { sqlite3_close(db_); }
  sqlite_connection(const sqlite_connection&) = delete;
  sqlite_connection& operator=(const sqlite_connection&) = delete;
  void begin() override { run("BEGIN IMMEDIATE"); }
  bool run(const std::string& sql) override {
    return sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK;
  }
  std::vector<std::string> rows(const std::string& sql) override {
    std::vector<std::string> out;
    sqlite3_stmt* stmt = nullptr;
    if (sqlite3_prepare_v2(db_, sql.c_str(), -1, &stmt, nullptr) != SQLITE_OK)
      throw std::runtime_error(sqlite3_errmsg(db_));
    while (sqlite3_step(stmt) == SQLITE_ROW)
      out.emplace_back(reinterpret_cast<const char*>(sqlite3_column_text(stmt, 0)));
    sqlite3_finalize(stmt);
    return out;
  }

 private:
  sqlite3* db_ = nullptr;
};

class sqlite_model_database final : public model_database {
 public:
  explicit sqlite_model_database(std::string path) : path_(std::move(path)), backup_(path_ + ".backup") {}
  std::unique_ptr<model_connection> open() override { return std::make_unique<sqlite_connection>(path_); }
  void make_tables() override {
    if (!open()->run(kSqliteSchema)) throw std::runtime_error("the model's tables cannot be made");
  }
  std::string storage_json() const override {
    return fmt::format(R"({{"sqlite": {{"path": "{}", "migrate_on_start": true, "synchronous": "NORMAL"}}}})",
                       path_);
  }
  void take_backup() override {
    std::filesystem::remove(backup_);
    if (!open()->run("VACUUM INTO '" + backup_ + "'")) throw std::runtime_error("no backup");
  }
  void restore_backup() override {
    for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(path_ + suffix);
    std::filesystem::copy_file(backup_, path_);
  }
  bool has_backup() const override { return std::filesystem::exists(backup_); }
  std::size_t statements() const override { return 14; }
  std::string statement(std::size_t which, const values& v) const override {
    switch (which) {
      case 0:
        return fmt::format("INSERT OR REPLACE INTO items(id,owner,team,name,note) VALUES({},{},{},{},{})",
                           v.id, v.owner, v.team, v.name, v.note);
      case 1:
        return fmt::format("REPLACE INTO items(owner,team,name,note) VALUES({},{},{},{})", v.owner, v.team,
                           v.name, v.note);
      case 2:
        return fmt::format("UPDATE OR REPLACE items SET name={} WHERE id={}", v.name, v.id);
      case 3:
        return fmt::format("UPDATE OR REPLACE items SET id={} WHERE id={}", v.other_id, v.id);
      case 4:
        return fmt::format("UPDATE items SET owner={}, team={} WHERE id={}", v.owner, v.team, v.id);
      case 5:
        return fmt::format("UPDATE items SET deleted=1-deleted WHERE id={}", v.id);
      case 6:
        return fmt::format("DELETE FROM items WHERE id={}", v.id);
      case 7:
        return fmt::format(
            "INSERT INTO items(id,owner,name) VALUES({0},{1},{2}) ON CONFLICT(id) DO UPDATE SET note={3}, "
            "owner=excluded.owner",
            v.id, v.owner, v.name, v.note);
      case 8:
        return fmt::format("INSERT OR IGNORE INTO items(id,owner,team,name) VALUES({},{},{},{})", v.id,
                           v.owner, v.team, v.name);
      case 9:
        return fmt::format("UPDATE items SET secret={}, note=note WHERE id<{}", v.note, v.id);
      case 10:
        return fmt::format("INSERT OR REPLACE INTO parts VALUES({},{},{},{})", v.id, v.small, v.owner,
                           v.note);
      case 11:
        return fmt::format("UPDATE OR REPLACE parts SET no={} WHERE item={}", v.small, v.id);
      case 12:
        return fmt::format("UPDATE items SET note={} WHERE owner={}", v.note, v.small);
      default:
        // Two rows swap a unique value.
        return fmt::format(
            "CREATE TEMP TABLE IF NOT EXISTS swap(n); DELETE FROM swap; INSERT INTO swap SELECT name FROM "
            "items WHERE id={0};"
            "UPDATE items SET name=NULL WHERE id={0}; UPDATE OR REPLACE items SET name=(SELECT n FROM swap) "
            "WHERE id={1}",
            v.id, v.other_id);
    }
  }
  std::string item_json_sql() const override {
    return "json_object('id',id,'owner',owner,'team',team,'name',name,'note',note)";
  }
  std::string part_json_sql() const override {
    return "json_object('item',item,'no',no,'owner',owner,'label',label)";
  }
  std::string part_key_sql() const override { return R"('"'||item||','||no||'"')"; }
  bool naive_triggers_fail() const override { return true; }

 private:
  std::string path_, backup_;
};

}  // namespace

std::unique_ptr<model_database> sqlite_model(const std::string& path) {
  return std::make_unique<sqlite_model_database>(path);
}

}  // namespace syncline::e2e
