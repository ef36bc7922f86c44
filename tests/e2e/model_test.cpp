// The randomised model test: writers of every kind, clients that come and go, a server that is killed, a file
// that is restored from a backup. At the end every client's copy equals the table. Seeds: SYNCLINE_MODEL_SEED
// for one, SYNCLINE_MODEL_SEEDS=N for N from the clock; each prints its own.
#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <map>
#include <random>
#include <thread>

#include <fmt/format.h>

#include "tests/e2e/http_client.h"
#include "tests/e2e/server_process.h"
#include "tests/e2e/synced_copy.h"
#include "tests/e2e/temp_directory.h"
#include "tests/e2e/websocket_client.h"

namespace syncline::e2e {
namespace {

using std::chrono::milliseconds;

constexpr const char* kSchema = R"(
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

constexpr const char* kConfig = R"({
  "cores": {"count": 2},
  "drain_deadline_ms": 3000,
  "storage": {"sqlite": {"path": "%DB%", "migrate_on_start": true, "synchronous": "NORMAL"}},
  "sync": {"page_rows_max": 7},
  "bulk": {"batch_rows": 5},
  "resources": {
    "items": {"table": "items", "key": "id",
      "columns": {"id": "int64", "owner": "int64", "team": "string", "name": "string", "note": "string"},
      "scope": {"user": "owner", "team": "team"}, "where": "deleted = 0",
      "write": {"create": true, "update": true, "delete": true, "bulk": true}},
    "parts": {"table": "parts", "key": ["item", "no"],
      "columns": {"item": "int64", "no": "int64", "owner": "int64", "label": "string"},
      "scope": {"user": "owner"},
      "write": {"create": true, "update": true, "delete": true, "bulk": true}}
  }
})";

class database {
 public:
  explicit database(const std::string& path) {
    sqlite3_open(path.c_str(), &db_);
    sqlite3_busy_timeout(db_, 10000);
    run("PRAGMA foreign_keys=ON");
  }
  ~database() { sqlite3_close(db_); }
  database(const database&) = delete;
  database& operator=(const database&) = delete;
  bool run(const std::string& sql) {
    return sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK;
  }
  // "a|b|…" per row.
  std::vector<std::string> rows(const std::string& sql) {
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

struct world {
  temp_directory directory;
  std::string db;
  std::unique_ptr<server_process> server;
  std::atomic<std::uint16_t> port{0};
  std::atomic<bool> stop{false};
  std::atomic<bool> pause{false};
  std::atomic<int> paused{0};
  std::atomic<std::uint64_t> writes{0}, reconnects{0}, resets{0}, lines{0};
};

// Random values from small ranges, so that keys, names and scopes collide all the time.
struct dice {
  std::mt19937_64 engine;
  std::int64_t upto(std::int64_t n) {
    return static_cast<std::int64_t>(engine() % static_cast<std::uint64_t>(n));
  }
  std::string id() { return std::to_string(upto(40)); }
  std::string owner() { return upto(8) == 0 ? "NULL" : std::to_string(upto(4)); }
  std::string team() {
    return upto(6) == 0
               ? "NULL"
               : fmt::format("'{}'", std::string("A,a%").substr(static_cast<std::size_t>(upto(4)), 1));
  }
  std::string name() { return upto(5) == 0 ? "NULL" : fmt::format("'n{}'", upto(30)); }
  std::string note() { return fmt::format("'note {}'", upto(1000)); }
  std::string json(const std::string& sql) {
    return sql == "NULL" ? "null" : '"' + sql.substr(1, sql.size() - 2) + '"';
  }
  std::string item_json(bool with_key) {
    return fmt::format(
        R"({{{}"owner":{},"team":{},"name":{},"note":{}}})", with_key ? fmt::format("\"id\":{},", id()) : "",
        upto(8) == 0 ? "null" : std::to_string(upto(4)), json(team()), json(name()), json(note()));
  }
};

bool wait_while_paused(world& w) {
  if (w.pause) {
    ++w.paused;
    while (w.pause && !w.stop) std::this_thread::sleep_for(milliseconds(2));
    --w.paused;
  }
  return !w.stop;
}

std::string foreign_statement(dice& d) {
  switch (d.upto(14)) {
    case 0:
      return fmt::format("INSERT OR REPLACE INTO items(id,owner,team,name,note) VALUES({},{},{},{},{})",
                         d.id(), d.owner(), d.team(), d.name(), d.note());
    case 1:
      return fmt::format("REPLACE INTO items(owner,team,name,note) VALUES({},{},{},{})", d.owner(), d.team(),
                         d.name(), d.note());
    case 2:
      return fmt::format("UPDATE OR REPLACE items SET name={} WHERE id={}", d.name(), d.id());
    case 3:
      return fmt::format("UPDATE OR REPLACE items SET id={} WHERE id={}", d.id(), d.id());
    case 4:
      return fmt::format("UPDATE items SET owner={}, team={} WHERE id={}", d.owner(), d.team(), d.id());
    case 5:
      return fmt::format("UPDATE items SET deleted=1-deleted WHERE id={}", d.id());
    case 6:
      return fmt::format("DELETE FROM items WHERE id={}", d.id());
    case 7:
      return fmt::format(
          "INSERT INTO items(id,owner,name) VALUES({0},{1},{2}) ON CONFLICT(id) DO UPDATE SET note={3}, "
          "owner=excluded.owner",
          d.id(), d.owner(), d.name(), d.note());
    case 8:
      return fmt::format("INSERT OR IGNORE INTO items(id,owner,team,name) VALUES({},{},{},{})", d.id(),
                         d.owner(), d.team(), d.name());
    case 9:
      return fmt::format("UPDATE items SET secret={}, note=note WHERE id<{}", d.note(), d.id());
    case 10:
      return fmt::format("INSERT OR REPLACE INTO parts VALUES({},{},{},{})", d.id(), d.upto(4), d.owner(),
                         d.note());
    case 11:
      return fmt::format("UPDATE OR REPLACE parts SET no={} WHERE item={}", d.upto(4), d.id());
    case 12:
      return fmt::format("UPDATE items SET note={} WHERE owner={}", d.note(), d.upto(4));
    default: {
      // Two rows swap a unique value.
      const std::string a = d.id();
      const std::string b = d.id();
      return fmt::format(
          "CREATE TEMP TABLE IF NOT EXISTS swap(n); DELETE FROM swap; INSERT INTO swap SELECT name FROM "
          "items WHERE id={0};"
          "UPDATE items SET name=NULL WHERE id={0}; UPDATE OR REPLACE items SET name=(SELECT n FROM swap) "
          "WHERE id={1}",
          a, b);
    }
  }
}

void foreign_writer(world& w, std::uint64_t seed) {
  dice d{std::mt19937_64(seed)};
  while (wait_while_paused(w)) {
    database db(w.db);  // a connection of its own each round, as a shell is
    for (int round = 0; round < 20 && !w.stop && !w.pause; ++round) {
      db.run("BEGIN IMMEDIATE");
      for (std::int64_t n = d.upto(4); n >= 0; --n) db.run(foreign_statement(d));
      db.run(d.upto(5) == 0 ? "ROLLBACK" : "COMMIT");
      ++w.writes;
      std::this_thread::sleep_for(std::chrono::microseconds(d.upto(4000)));
    }
  }
}

void api_writer(world& w, std::uint64_t seed) {
  dice d{std::mt19937_64(seed)};
  while (wait_while_paused(w)) {
    try {
      http_client client(w.port);
      for (int round = 0; round < 30 && !w.stop && !w.pause; ++round) {
        const std::vector<std::string> json{"Content-Type: application/json"};
        answer got;
        switch (d.upto(6)) {
          case 0:
            got = client.request("POST", "/v1/items", d.item_json(d.upto(2) == 0), json);
            break;
          case 1:
            got = client.request("PUT", "/v1/items/" + d.id(), d.item_json(false), json);
            break;
          case 2:
            got =
                client.request("PATCH", "/v1/items/" + d.id(), R"({"note":"patched )" + d.id() + "\"}", json);
            break;
          case 3:
            got = client.request("DELETE", "/v1/items/" + d.id());
            break;
          case 4:
            got = client.request("PUT", fmt::format("/v1/parts/{},{}", d.id(), d.upto(4)),
                                 fmt::format(R"({{"owner":{},"label":"x"}})", d.upto(4)), json);
            break;
          default: {
            std::string lines;
            for (std::int64_t n = d.upto(12); n >= 0; --n)
              lines += d.upto(15) == 0 ? "{\"id\":}\n" : d.item_json(true) + "\n";
            got =
                client.request("POST", d.upto(4) == 0 ? "/v1/items/bulk?atomic=1" : "/v1/items/bulk", lines);
          }
        }
        ASSERT_LT(got.status, 500) << got.body;
        ++w.writes;
      }
    } catch (const std::exception&) {
      std::this_thread::sleep_for(milliseconds(5));  // the server was killed
    }
  }
}

// What a client follows, and the SQL that gives the rows it must end with.
struct interest {
  std::string target;
  std::string items_where;  // empty: no items
  std::string parts_where;
};

std::vector<interest> interests() {
  return {
      {"scope=user:1", "owner=1", "owner=1"}, {"scope=user:2&resources=items", "owner=2", ""},
      {"scope=team:A", "team='A'", ""},       {"scope=team:%252C,user:3", "team=',' OR owner=3", "owner=3"},
      {"resources=items,parts", "1", "1"},    {"resources=items", "1", ""}};
}

// Follows until `final` is set and everything arrived; drops the connection at random and resumes with its
// cursor.
void follow(world& w, const interest& what, std::uint64_t seed, const std::atomic<bool>& final,
            synced_copy& copy) {
  dice d{std::mt19937_64(seed)};
  for (;;) {
    const bool last_round = final;
    try {
      http_client client(w.port, d.upto(3) == 0 ? 4096 : 0);
      const bool live = !last_round && d.upto(3) != 0;
      std::string target = "/v1/sync?" + what.target + (live ? "&live=1" : "");
      if (copy.cursor()) target += "&since=" + *copy.cursor();
      ++w.reconnects;
      const int status = client.open_stream(target);
      if (status == 503) throw std::runtime_error("try again");
      ASSERT_EQ(status, 200) << target;
      std::int64_t lines_left = last_round ? INT64_MAX : 1 + d.upto(200);
      bool up_to_date = false;
      while (lines_left-- > 0) {
        const auto line = client.next_line(last_round ? 20000 : 300);
        if (!line) break;
        ++w.lines;
        up_to_date = copy.apply(*line);
        if (copy.was_reset()) ++w.resets;
        if (live && final) break;
      }
      if (last_round && up_to_date) return;
    } catch (const std::exception&) {
      std::this_thread::sleep_for(milliseconds(5));
    }
  }
}

// The same over WebSocket. `what.target` is a query; a subscription takes its parts.
std::string subscribe_text(const interest& what, const synced_copy& copy) {
  std::string scope;
  std::string resources;
  for (std::size_t at = 0; at < what.target.size();) {
    const std::size_t end = std::min(what.target.find('&', at), what.target.size());
    const std::string pair = what.target.substr(at, end - at);
    const std::size_t equals = pair.find('=');
    (pair.starts_with("scope") ? scope : resources) = pair.substr(equals + 1);
    at = end + 1;
  }
  if (const auto escaped = scope.find("%25"); escaped != std::string::npos) scope.replace(escaped, 3, "%");
  std::string out = R"({"op":"subscribe","id":1)";
  if (!scope.empty()) out += R"(,"scope":")" + scope + "\"";
  if (!resources.empty()) out += R"(,"resources":")" + resources + "\"";
  if (copy.cursor()) out += R"(,"since":")" + *copy.cursor() + "\"";
  return out + "}";
}

void subscribe(world& w, const interest& what, std::uint64_t seed, const std::atomic<bool>& final,
               synced_copy& copy) {
  dice d{std::mt19937_64(seed)};
  for (;;) {
    const bool last_round = final;
    try {
      websocket_client client(w.port, "/v1/subscribe", d.upto(2) == 0);
      if (client.status() == 503) throw std::runtime_error("try again");
      ASSERT_EQ(client.status(), 101) << client.refusal();
      client.send_text(subscribe_text(what, copy));
      ++w.reconnects;
      std::int64_t lines_left = last_round ? INT64_MAX : 1 + d.upto(200);
      bool up_to_date = false;
      while (lines_left-- > 0 && !up_to_date) {
        const auto message = client.next_message(last_round ? 20000 : 300);
        if (!message) break;
        if (message->find(R"("op":"subscribed")") != std::string::npos) continue;
        if (message->find(R"("op":"error")") != std::string::npos) throw std::runtime_error(*message);
        ++w.lines;
        up_to_date = copy.apply(*message) && last_round;
        if (copy.was_reset()) ++w.resets;
        if (copy.was_reset() || (final && !last_round)) break;
      }
      if (up_to_date) return;
    } catch (const std::exception&) {
      std::this_thread::sleep_for(milliseconds(5));
    }
  }
}

std::map<std::pair<std::string, std::string>, std::string> expected_rows(database& db, const interest& what) {
  std::map<std::pair<std::string, std::string>, std::string> rows;
  if (!what.items_where.empty()) {
    const std::string sql = "FROM items WHERE deleted=0 AND (" + what.items_where + ") ORDER BY id";
    const auto ids = db.rows("SELECT id " + sql);
    const auto bodies =
        db.rows("SELECT json_object('id',id,'owner',owner,'team',team,'name',name,'note',note) " + sql);
    for (std::size_t i = 0; i < ids.size(); ++i) rows[{"items", ids[i]}] = bodies[i];
  }
  if (!what.parts_where.empty()) {
    const std::string sql = "FROM parts WHERE (" + what.parts_where + ") ORDER BY item, no";
    const auto ids = db.rows("SELECT '\"'||item||','||no||'\"' " + sql);
    const auto bodies = db.rows("SELECT json_object('item',item,'no',no,'owner',owner,'label',label) " + sql);
    for (std::size_t i = 0; i < ids.size(); ++i) rows[{"parts", ids[i]}] = bodies[i];
  }
  return rows;
}

// What someone gets who follows the plain row triggers that most people write: the last thing said of each
// id.
bool naive_feed_is_right(database& db) {
  return db.rows("SELECT id FROM items ORDER BY id") ==
         db.rows(
             "SELECT id FROM naive_log l WHERE n=(SELECT max(n) FROM naive_log WHERE id=l.id) AND gone=0 "
             "ORDER BY id");
}

void restart(world& w) {
  w.server->start();
  w.port = w.server->port();
}

// Everyone who writes to the file stops; the server is killed; an older copy of the file takes its place.
void restore_backup(world& w, const std::string& backup) {
  w.pause = true;
  while (w.paused < 3) std::this_thread::sleep_for(milliseconds(1));
  w.server->kill();
  for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(w.db + suffix);
  std::filesystem::copy_file(backup, w.db);
  restart(w);
  w.pause = false;
}

void take_backup(world& w, const std::string& backup) {
  std::filesystem::remove(backup);
  database db(w.db);
  ASSERT_TRUE(db.run("VACUUM INTO '" + backup + "'"));
}

// True when the naive feed, too, was right.
bool run_seed(std::uint64_t seed, int rounds) {
  SCOPED_TRACE("SYNCLINE_MODEL_SEED=" + std::to_string(seed));
  world w;
  w.db = w.directory.file("model.db");
  { EXPECT_TRUE(database(w.db).run(kSchema)); }
  std::string config = kConfig;
  config.replace(config.find("%DB%"), 4, w.db);
  w.server = std::make_unique<server_process>(w.directory.write("config.json", config));
  w.port = w.server->port();
  dice d{std::mt19937_64(seed)};

  std::atomic<bool> final{false};
  const auto wanted = interests();
  std::vector<synced_copy> copies(wanted.size() * 2);
  std::vector<std::thread> writers;
  std::vector<std::thread> clients;
  writers.emplace_back([&] { foreign_writer(w, seed * 31 + 1); });
  writers.emplace_back([&] { api_writer(w, seed * 31 + 2); });
  writers.emplace_back([&] { api_writer(w, seed * 31 + 3); });
  for (std::size_t i = 0; i < copies.size(); ++i) {
    clients.emplace_back(
        // Half of the copies by HTTP streams, half by WebSocket.
        [&, i] {
          const auto how = i < wanted.size() ? follow : subscribe;
          how(w, wanted[i % wanted.size()], seed * 31 + 10 + i, final, copies[i]);
        });
  }
  const std::string backup = w.directory.file("backup.db");
  bool have_backup = false;
  for (int round = 0; round < rounds; ++round) {
    std::this_thread::sleep_for(milliseconds(100 + d.upto(200)));
    switch (d.upto(4)) {
      case 0:
        w.server->kill();
        restart(w);
        break;
      case 1:
        take_backup(w, backup);
        have_backup = true;
        break;
      case 2:
        if (have_backup) restore_backup(w, backup);
        break;
      default:
        break;
    }
  }
  w.stop = true;
  for (auto& t : writers) t.join();
  final = true;
  for (auto& t : clients) t.join();

  database db(w.db);
  for (std::size_t i = 0; i < copies.size(); ++i) {
    const auto& what = wanted[i % wanted.size()];
    EXPECT_EQ(copies[i].rows(), expected_rows(db, what)) << what.target << "\n" << w.server->log();
  }
  const std::string config_file = w.directory.file("config.json");
  const auto checked = run_syncline({"check-feed", "--config", config_file});
  EXPECT_EQ(checked.exit_code, 0) << checked.output;
  w.server->signal(SIGTERM);
  EXPECT_EQ(w.server->wait_for_exit(10000), 0) << w.server->log();
  fmt::print("seed {}: {} write transactions, {} streams, {} lines, {} resets\n", seed, w.writes.load(),
             w.reconnects.load(), w.lines.load(), w.resets.load());
  return naive_feed_is_right(db);
}

TEST(Model, EveryCopyEqualsTheTableAndANaiveFeedDoesNot) {
  const char* one = std::getenv("SYNCLINE_MODEL_SEED");
  const char* many = std::getenv("SYNCLINE_MODEL_SEEDS");
  const int seeds = many != nullptr ? std::stoi(many) : 3;
  bool naive_was_wrong = false;
  for (int i = 0; i < (one != nullptr ? 1 : seeds); ++i) {
    std::uint64_t seed = static_cast<std::uint64_t>(i) + 1;
    if (many != nullptr) seed = std::random_device()();
    if (one != nullptr) seed = std::stoull(one);
    naive_was_wrong = !run_seed(seed, 8) || naive_was_wrong;
    if (testing::Test::HasFailure()) break;
  }
  EXPECT_TRUE(naive_was_wrong) << "plain row triggers were right too: this test proves nothing";
}

}  // namespace
}  // namespace syncline::e2e
