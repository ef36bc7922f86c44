// The randomised model test: writers of every kind, clients that come and go, a server that is killed, a file
// that is restored from a backup. At the end every client's copy equals the table. Seeds: SYNCLINE_MODEL_SEED
// for one, SYNCLINE_MODEL_SEEDS=N for N from the clock; each prints its own.
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <map>
#include <random>
#include <thread>

#include <fmt/format.h>

#include "tests/e2e/http_client.h"
#include "tests/e2e/model_database.h"
#include "tests/e2e/server_process.h"
#include "tests/e2e/synced_copy.h"
#include "tests/e2e/websocket_client.h"
#include "tests/temp_directory.h"

namespace syncline::e2e {
namespace {

using syncline::testing::temp_directory;

using std::chrono::milliseconds;

constexpr const char* kConfig = R"({
  "cores": {"count": 2},
  "drain_deadline_ms": 3000,
  "storage": %STORAGE%,
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

struct world {
  std::unique_ptr<model_database> db;
  std::unique_ptr<server_process> server;
  std::atomic<std::uint16_t> port{0};
  std::atomic<bool> stop{false};
  std::atomic<bool> pause{false};
  std::atomic<int> paused{0};
  std::atomic<int> restores{0};
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

std::string foreign_statement(const model_database& db, dice& d) {
  model_database::values v;
  v.id = d.id();
  v.other_id = d.id();
  v.owner = d.owner();
  v.team = d.team();
  v.name = d.name();
  v.note = d.note();
  v.small = std::to_string(d.upto(4));
  return db.statement(static_cast<std::size_t>(d.upto(static_cast<std::int64_t>(db.statements()))), v);
}

void foreign_writer(world& w, std::uint64_t seed) {
  dice d{std::mt19937_64(seed)};
  while (wait_while_paused(w)) {
    const auto db = w.db->open();  // a connection of its own each round, as a shell is
    for (int round = 0; round < 20 && !w.stop && !w.pause; ++round) {
      db->begin();
      for (std::int64_t n = d.upto(4); n >= 0; --n) db->run(foreign_statement(*w.db, d));
      db->run(d.upto(5) == 0 ? "ROLLBACK" : "COMMIT");
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
        // "Try again": what a row's locks cost when everybody writes to forty of them.
        const bool busy = got.status == 503 && w.db->may_be_busy();
        ASSERT_TRUE(got.status < 500 || busy) << got.body;
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

// A cut connection. A client that keeps rows only with their cursor drops what came after it; one that keeps
// them at once is right as well, except where it has no cursor yet or the database was restored to a time
// before them.
class cut_lines {
 public:
  cut_lines(const world& w, std::uint64_t seed) : of_(w), careful_(seed % 2 == 0), seen_(w.restores) {}
  void drop_from(synced_copy& copy) {
    const int now = of_.restores;
    if (std::exchange(seen_, now) != now || careful_ || !copy.cursor()) copy.drop_unconfirmed();
  }

 private:
  const world& of_;
  bool careful_;
  int seen_;
};

// Follows until `final` is set and everything arrived; drops the connection at random and resumes with its
// cursor.
void follow(world& w, const interest& what, std::uint64_t seed, const std::atomic<bool>& final,
            synced_copy& copy) {
  dice d{std::mt19937_64(seed)};
  cut_lines cut(w, seed);
  for (;;) {
    const bool last_round = final;
    cut.drop_from(copy);
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
  cut_lines cut(w, seed);
  for (;;) {
    const bool last_round = final;
    cut.drop_from(copy);
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

using known_rows = std::map<std::pair<std::string, std::string>, std::string>;

known_rows expected_rows(const model_database& of, model_connection& db, const interest& what) {
  known_rows rows;
  const auto add = [&](const std::string& resource, const std::string& key, const std::string& body,
                       const std::string& from) {
    const auto ids = db.rows("SELECT " + key + " " + from);
    const auto bodies = db.rows("SELECT " + body + " " + from);
    for (std::size_t i = 0; i < ids.size(); ++i) rows[{resource, ids[i]}] = bodies[i];
  };
  if (!what.items_where.empty())
    add("items", "id", of.item_json_sql(),
        "FROM items WHERE deleted=0 AND (" + what.items_where + ") ORDER BY id");
  if (!what.parts_where.empty())
    add("parts", of.part_key_sql(), of.part_json_sql(),
        "FROM parts WHERE (" + what.parts_where + ") ORDER BY item, no");
  return rows;
}

// What someone gets who follows the plain row triggers that most people write: the last thing said of each
// id.
bool naive_feed_is_right(model_connection& db) {
  return db.rows("SELECT id FROM items ORDER BY id") ==
         db.rows(
             "SELECT id FROM naive_log l WHERE n=(SELECT max(n) FROM naive_log WHERE id=l.id) AND gone=0 "
             "ORDER BY id");
}

// Where the feed stands, for a failure that is hard to meet again.
std::string feed_text(model_connection& db) {
  std::string out;
  for (const char* sql :
       {"SELECT CONCAT('clock ', seq, ', horizon ', horizon) FROM syncline_clock",
        "SELECT CONCAT('entry ', seq, ': ', resource, ' ', scope, ' ', `key`) FROM syncline_feed ORDER BY "
        "seq",
        "SELECT CONCAT('generation from ', first_seq) FROM syncline_generation ORDER BY number"}) {
    try {
      for (const std::string& line : db.rows(sql)) out += line + "\n";
    } catch (const std::exception& wrong) {  // SQLite 3.40 has no CONCAT; its file can be kept
      out += std::string(wrong.what()) + "\n";
    }
  }
  return out;
}

// A start waits for SQLite's lock no longer than busy_timeout_ms, and the foreign writer may be quicker each
// time.
void restart(world& w) {
  for (int tries = 1;; ++tries) {
    try {
      w.server->start();
      break;
    } catch (const std::exception&) {
      if (tries == 5) throw;
    }
  }
  w.port = w.server->port();
}

// Everyone who writes to the database stops meanwhile.
template <class Work>
void while_quiet(world& w, const Work& work) {
  w.pause = true;
  while (w.paused < 3) std::this_thread::sleep_for(milliseconds(1));
  work();
  w.pause = false;
}

// The server is killed; an older state of the database takes the place of this one.
void restore_backup(world& w) {
  while_quiet(w, [&w] {
    w.server->kill();
    w.db->restore_backup();
    ++w.restores;
    restart(w);
  });
}

// True when the naive feed, too, was right.
bool run_seed(std::unique_ptr<model_database> database, temp_directory& directory, std::uint64_t seed,
              int rounds) {
  SCOPED_TRACE("SYNCLINE_MODEL_SEED=" + std::to_string(seed));
  world w;
  w.db = std::move(database);
  w.db->make_tables();
  std::string config = kConfig;
  constexpr std::string_view kStorage = "%STORAGE%";
  config.replace(config.find(kStorage), kStorage.size(), w.db->storage_json());
  w.server = std::make_unique<server_process>(directory.write("config.json", config));
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
  for (int round = 0; round < rounds; ++round) {
    std::this_thread::sleep_for(milliseconds(100 + d.upto(200)));
    switch (d.upto(4)) {
      case 0:
        w.server->kill();
        restart(w);
        break;
      case 1:
        while_quiet(w, [&w] { w.db->take_backup(); });
        break;
      case 2:
        if (w.db->has_backup()) restore_backup(w);
        break;
      default:
        break;
    }
  }
  w.stop = true;
  for (auto& t : writers) t.join();
  w.db->wait_for_feed();
  final = true;
  for (auto& t : clients) t.join();

  const auto db = w.db->open();
  for (std::size_t i = 0; i < copies.size(); ++i) {
    const auto& what = wanted[i % wanted.size()];
    EXPECT_EQ(copies[i].rows(), expected_rows(*w.db, *db, what)) << what.target << "\n" << w.server->log();
  }
  const std::string config_file = directory.file("config.json");
  const auto checked = run_syncline({"check-feed", "--config", config_file});
  EXPECT_EQ(checked.exit_code, 0) << checked.output << feed_text(*db);
  w.server->signal(SIGTERM);
  EXPECT_EQ(w.server->wait_for_exit(10000), 0) << w.server->log();
  fmt::print("seed {}: {} write transactions, {} streams, {} lines, {} resets\n", seed, w.writes.load(),
             w.reconnects.load(), w.lines.load(), w.resets.load());
  return w.db->naive_triggers_fail() && naive_feed_is_right(*db);
}

// Calls `run(seed)` for the seeds that the environment asks for.
template <class Run>
void for_each_seed(int usual, const Run& run) {
  const char* one = std::getenv("SYNCLINE_MODEL_SEED");
  const char* many = std::getenv("SYNCLINE_MODEL_SEEDS");
  const int seeds = one != nullptr ? 1 : many != nullptr ? std::stoi(many) : usual;
  for (int i = 0; i < seeds && !::testing::Test::HasFailure(); ++i) {
    std::uint64_t seed = static_cast<std::uint64_t>(i) + 1;
    if (many != nullptr) seed = std::random_device()();
    if (one != nullptr) seed = std::stoull(one);
    run(seed);
  }
}

TEST(Model, EveryCopyEqualsTheTableAndANaiveFeedDoesNot) {
  bool naive_was_wrong = false;
  for_each_seed(3, [&](std::uint64_t seed) {
    temp_directory directory;
    naive_was_wrong =
        !run_seed(sqlite_model(directory.file("model.db")), directory, seed, 8) || naive_was_wrong;
  });
  EXPECT_TRUE(naive_was_wrong) << "plain row triggers were right too: this test proves nothing";
}

TEST(Model, EveryCopyEqualsTheTableOnMysql) {
  if (const std::string why = mysql_model()->missing(); !why.empty()) GTEST_SKIP() << why;
  for_each_seed(2, [&](std::uint64_t seed) {
    temp_directory directory;
    run_seed(mysql_model(), directory, seed, 8);
  });
}

}  // namespace
}  // namespace syncline::e2e
