// The database under the randomised model test, as another program uses it: its tables, statements of that
// program, what the clients must end with, and a backup that is put back.
//
// Thread: open() any; a connection one. Failure: exceptions end the test; a statement of a writer that fails
// is false, since keys collide all the time.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace syncline::e2e {

class model_connection {
 public:
  virtual ~model_connection() = default;
  virtual void begin() = 0;  // a transaction; run("COMMIT") and run("ROLLBACK") end it
  // Statements with ";" at the ends of lines between them; false when one failed.
  virtual bool run(const std::string& sql) = 0;
  // The first column of each row as text.
  [[nodiscard]] virtual std::vector<std::string> rows(const std::string& sql) = 0;
};

class model_database {
 public:
  virtual ~model_database() = default;
  // Empty: it can be used.
  [[nodiscard]] virtual std::string missing() const { return {}; }
  [[nodiscard]] virtual std::unique_ptr<model_connection> open() = 0;
  virtual void make_tables() = 0;
  // The `storage` member of the server's config.
  [[nodiscard]] virtual std::string storage_json() const = 0;
  // While nobody but the server writes.
  virtual void take_backup() = 0;
  // While nobody uses it.
  virtual void restore_backup() = 0;
  [[nodiscard]] virtual bool has_backup() const = 0;
  // One of the statements that a foreign writer makes of these values.
  struct values {
    std::string id, other_id, owner, team, name, note, small;
  };
  [[nodiscard]] virtual std::string statement(std::size_t which, const values& v) const = 0;
  [[nodiscard]] virtual std::size_t statements() const = 0;
  // After the last write: what was committed is in the feed.
  virtual void wait_for_feed() {}
  // JSON objects of items and parts as the server sends them, made by SQL.
  [[nodiscard]] virtual std::string item_json_sql() const = 0;
  [[nodiscard]] virtual std::string part_json_sql() const = 0;
  [[nodiscard]] virtual std::string part_key_sql() const = 0;
  // A write may be refused for the locks of others, and is to be tried again.
  [[nodiscard]] virtual bool may_be_busy() const { return false; }
  // Plain row triggers are expected to go wrong here.
  [[nodiscard]] virtual bool naive_triggers_fail() const = 0;
};

[[nodiscard]] std::unique_ptr<model_database> sqlite_model(const std::string& path);
// A schema of its own on the server of SYNCLINE_TEST_MYSQL.
[[nodiscard]] std::unique_ptr<model_database> mysql_model();

}  // namespace syncline::e2e
