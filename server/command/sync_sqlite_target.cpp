// The copy as tables of a SQLite file, one per resource, in step with the cursor that stands beside them.
#include <fmt/format.h>

#include "server/command/sync_target.h"
#include "storage/sqlite/connection.h"

namespace syncline::server::command {
namespace {

namespace sqlite = storage::sqlite;

constexpr std::string_view kTables =
    "CREATE TABLE IF NOT EXISTS syncline_cursor (one INTEGER PRIMARY KEY CHECK (one = 1), cursor TEXT NOT "
    "NULL);"
    "CREATE TABLE IF NOT EXISTS syncline_tables (name TEXT PRIMARY KEY);";

class sqlite_target final : public sync_target {
 public:
  explicit sqlite_target(sqlite::connection db) : db_(std::move(db)) {}

  [[nodiscard]] net::result<void> prepare() {
    if (auto made = db_.exec(kTables); !made) return made;
    auto saved = db_.query_text("SELECT cursor FROM syncline_cursor");
    if (saved) {
      cursor_ = std::move(*saved);
    } else if (saved.error().code != net::errc::not_found) {
      return saved.error();
    }
    return {};
  }
  [[nodiscard]] std::string cursor() const override { return cursor_; }

  net::result<void> change(const sync_line& line, std::string_view) override {
    if (auto begun = begin(); !begun) return begun;
    if (line.op == sync_line::kind::put) {
      if (auto made = make_table(line.resource); !made) return made;
      const std::string table = sqlite::quoted(line.resource);
      return run(
          fmt::format(
              "INSERT INTO {} (id, row) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET row = excluded.row",
              table),
          line.id, line.row);
    }
    if (auto made = make_table(line.resource); !made) return made;
    return run(fmt::format("DELETE FROM {} WHERE id = ?1", sqlite::quoted(line.resource)), line.id);
  }
  net::result<void> checkpoint(const sync_line& line, std::string_view) override {
    if (auto begun = begin(); !begun) return begun;
    auto saved =
        run("INSERT INTO syncline_cursor (one, cursor) VALUES (1, ?1) ON CONFLICT (one) DO UPDATE SET cursor "
            "= excluded.cursor",
            line.cursor);
    if (!saved) return saved;
    if (auto done = db_.exec("COMMIT"); !done) return done;
    in_transaction_ = false;
    cursor_ = line.cursor;
    return {};
  }
  net::result<void> reset(std::string_view) override {
    if (auto begun = begin(); !begun) return begun;
    auto names = table_names();
    if (!names) return names.error();
    for (const std::string& each : *names) {
      if (auto emptied = db_.exec("DELETE FROM " + sqlite::quoted(each)); !emptied) return emptied;
    }
    if (auto forgotten = db_.exec("DELETE FROM syncline_cursor; COMMIT"); !forgotten) return forgotten;
    in_transaction_ = false;
    cursor_.clear();
    return {};
  }
  net::result<void> roll_back() override {
    made_.clear();
    if (!std::exchange(in_transaction_, false)) return {};
    return db_.exec("ROLLBACK");
  }

 private:
  net::result<void> begin() {
    if (in_transaction_) return {};
    auto begun = db_.exec("BEGIN IMMEDIATE");
    in_transaction_ = begun.has_value();
    return begun;
  }
  net::result<void> make_table(const std::string& resource) {
    if (resource == made_) return {};
    if (resource.starts_with("syncline_") || resource.starts_with("sqlite_")) {
      return net::error(net::errc::invalid, "a resource cannot have this name", resource);
    }
    auto made = db_.exec(fmt::format("CREATE TABLE IF NOT EXISTS {} (id TEXT PRIMARY KEY, row TEXT NOT NULL)",
                                     sqlite::quoted(resource)));
    if (!made) return made;
    if (auto noted = run("INSERT OR IGNORE INTO syncline_tables (name) VALUES (?1)", resource); !noted)
      return noted;
    made_ = resource;
    return {};
  }
  net::result<void> run(const std::string& sql, std::string_view first, std::string_view second = {}) {
    auto prepared = db_.cached(sql);
    if (!prepared) return prepared.error();
    const sqlite::statement_use use(**prepared);
    use->bind(1, first);
    if (!second.empty()) use->bind(2, second);
    if (const int code = use->step(); code != SQLITE_DONE) return db_.error(code, "writing the copy");
    return {};
  }
  net::result<std::vector<std::string>> table_names() {
    auto prepared = db_.prepare("SELECT name FROM syncline_tables");
    if (!prepared) return prepared.error();
    std::vector<std::string> out;
    int code = SQLITE_ROW;
    while ((code = prepared->step()) == SQLITE_ROW) out.emplace_back(prepared->text(0));
    if (code != SQLITE_DONE) return db_.error(code, "reading the copy");
    return out;
  }

  sqlite::connection db_;
  std::string cursor_;
  std::string made_;  // the table of the last row: rows come in runs
  bool in_transaction_ = false;
};

}  // namespace

net::result<std::unique_ptr<sync_target>> open_sqlite_target(const std::string& file) {
  sqlite::connection_options options;
  options.path = file;
  options.create = true;
  options.synchronous = "NORMAL";
  auto db = sqlite::connection::open(options);
  if (!db) return db.error();
  auto out = std::make_unique<sqlite_target>(std::move(*db));
  if (auto prepared = out->prepare(); !prepared) return prepared.error();
  return std::unique_ptr<sync_target>(std::move(out));
}

}  // namespace syncline::server::command
