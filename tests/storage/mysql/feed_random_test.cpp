// Writers of every kind, nodes and connections that die, and a reader who must not miss a committed change.
//
// 64 sessions write with delays and rollbacks, move rows between scopes and keys, delete and insert again;
// two nodes number what they commit, are stopped and started, and all connections are killed at random, in
// one test the server too. A reader follows `seq <= clock` in snapshots, as page_reader does. In the end his
// copy must be the table, each row of an append-only table must have been seen, and what the feed says about
// rows being gone must be so. The same writers make a reader who polls ids, and a sequencer that skips locked
// rows, fail.
//
// SYNCLINE_FEED_TEST_S: how long to write (4 s), SYNCLINE_FEED_CHANGES: until so many changes are committed,
// SYNCLINE_FEED_SEED: replay.

#include <fmt/format.h>

#include <random>
#include <thread>

#include "tests/storage/mysql/sequencer_fixture.h"

namespace syncline::storage::mysql {
namespace {

using namespace testing;
using steady = std::chrono::steady_clock;
constexpr int kWriters = 64;
constexpr int kWritersOfNaive = 24;  // enough to fail; tests share a server of 400 connections
constexpr int kRoundsOfNaive = 20;   // chance decides: most runs need one, the slowest machines a few
constexpr int kKeys = 200;

using place = std::pair<std::string, std::string>;  // scope, key

// Copies of the two tables as a client has them.
struct copies {
  std::map<place, std::string> notes;
  std::set<std::string> events;
};

class MysqlFeedRandom : public mysql_feed_test {
 protected:
  void SetUp() override {
    mysql_feed_test::SetUp();
    if (IsSkipped()) return;
    const std::string given = environment("SYNCLINE_FEED_SEED");
    seed_ = given.empty() ? std::random_device{}() : static_cast<unsigned>(std::stoul(given));
    std::printf("SYNCLINE_FEED_SEED=%u\n", seed_);
    sql("CREATE TABLE notes (id INT PRIMARY KEY, owner INT, v BIGINT, KEY (owner))");
    sql("CREATE TABLE events (id BIGINT AUTO_INCREMENT PRIMARY KEY, v INT)");
    all_.add(make_resource("notes", "id:int64 owner:int64 v:int64", {"id"}, {{"user", "owner"}}));
    all_.add(make_resource("events", "id:int64 v:int64", {"id"}));
    migrated(all_);
  }
  void TearDown() override {
    if (!IsSkipped()) end_writers();
    mysql_feed_test::TearDown();
  }

  // --- writers ---
  static std::string operation(std::mt19937& rng) {
    const auto some = [&](int n) { return static_cast<int>(rng() % static_cast<unsigned>(n)); };
    const int key = some(kKeys);
    const std::string owner = some(8) == 0 ? "NULL" : std::to_string(some(9));
    switch (some(6)) {
      case 0:
        return fmt::format("INSERT INTO notes VALUES ({0},{1},{2}) ON DUPLICATE KEY UPDATE owner={1}, v={2}",
                           key, owner, rng());
      case 1:
        return fmt::format("UPDATE notes SET v={} WHERE id={}", rng(), key);
      case 2:
        return fmt::format("UPDATE notes SET owner={} WHERE id={}", owner, key);
      case 3:
        return fmt::format("UPDATE notes SET id={} WHERE id={}", some(kKeys), key);
      case 4:
        return fmt::format("DELETE FROM notes WHERE id={}", key);
      default:
        return fmt::format("REPLACE INTO notes VALUES ({},{},{})", key, owner, rng());
    }
  }
  static task<bool> transaction(request_context& context, sql_connection& db, std::mt19937& rng,
                                int& changes) {
    changes = 0;
    auto begin = mysql::run(context, db, "START TRANSACTION");
    if (!co_await std::move(begin)) co_return false;
    for (unsigned left = 1 + rng() % 4; left > 0; --left) {
      auto changing = mysql::run(context, db, operation(rng));
      const auto changed = co_await std::move(changing);
      if (changed) changes += *changed != 0 ? 1 : 0;
      if (!changed && changed.error().code != errc::conflict) co_return false;
      if (rng() % 3 == 0)
        static_cast<void>(
            co_await net::sleep_until(context, steady::now() + std::chrono::microseconds(rng() % 4000)));
    }
    auto logging = mysql::run(context, db, "INSERT INTO events (v) VALUES (1),(2),(3),(4),(5)");
    if (!co_await std::move(logging)) co_return false;
    changes += 5;
    if (rng() % 4 == 0)
      static_cast<void>(
          co_await net::sleep_until(context, steady::now() + std::chrono::microseconds(rng() % 6000)));
    const bool keep = rng() % 10 != 0;
    auto ending = mysql::run(context, db, keep ? "COMMIT" : "ROLLBACK");
    const auto ended = co_await std::move(ending);
    co_return ended.has_value() && keep;
  }
  task<void> write(int number) {
    request_context context(on_);
    std::mt19937 rng(seed_ + static_cast<unsigned>(number));
    std::unique_ptr<sql_connection> db;
    while (!enough_) {
      if (db == nullptr || db->broken()) {
        db.reset();
        auto opening = native_connection::open(context, here());
        auto made = co_await std::move(opening);
        if (made) db = std::move(*made);
        if (!made) static_cast<void>(co_await net::sleep_until(context, in_ms(20)));  // the server is down
        const std::string level = number % 2 == 0 ? "REPEATABLE READ" : "READ COMMITTED";
        if (made) {
          auto setting = mysql::run(context, *db, "SET SESSION TRANSACTION ISOLATION LEVEL " + level);
          static_cast<void>(co_await std::move(setting));
        }
        continue;
      }
      int changes = 0;
      auto working = transaction(context, *db, rng, changes);
      const bool committed = co_await std::move(working);
      if (committed) {
        committed_ += changes;
      } else if (!db->broken()) {
        auto undoing = mysql::run(context, *db, "ROLLBACK");
        static_cast<void>(co_await std::move(undoing));
      }
    }
    db.reset();
    --writing_;
  }
  void begin_writers(int count) {
    enough_ = false;
    writing_ = count;
    net::testing::run_on(on_, [this, count] {
      for (int i = 0; i < count; ++i) net::spawn(on_, write(i));
    });
  }
  void end_writers() {
    enough_ = true;
    EXPECT_TRUE(eventually([this] { return writing_ == 0; }));
  }
  // Some thousands of changes, `meanwhile` again and again.
  void write_for_naive(const std::function<void()>& meanwhile = [] {}) {
    const long enough = committed_ + 3000;
    begin_writers(kWritersOfNaive);
    EXPECT_TRUE(eventually([&] {
      meanwhile();
      return committed_ > enough;
    }));
    end_writers();
  }

  // --- a reader of the feed ---
  std::string number_of(const std::string& resource) {
    return one_field("SELECT id FROM syncline_resource WHERE name='" + resource + "'");
  }
  // One page in one snapshot; false when nothing was left.
  bool read_page(copies& copy, std::int64_t& at) {
    sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ");
    sql("START TRANSACTION WITH CONSISTENT SNAPSHOT");
    const std::int64_t clock = clock_seq();
    const auto page = get<text_rows>([&](request_context& context) {
      return query(
          context, *db_,
          fmt::format(
              "SELECT seq, resource, scope, `key` FROM syncline_feed WHERE seq>{} AND seq<={} ORDER BY "
              "seq LIMIT 2000",
              at, clock));
    });
    EXPECT_TRUE(page.has_value());
    apply(*page, copy);
    sql("COMMIT");
    at = page->size() == 2000 ? page->back().integer(0) : clock;
    return page->size() == 2000;
  }
  void apply(const text_rows& page, copies& copy) {
    if (page.empty()) return;
    std::string keys[2];
    for (const text_row& row : page) {
      std::string& list = keys[row.text(1) == notes_ ? 0 : 1];
      list += (list.empty() ? "" : ",") + row.text(3);
      if (row.text(1) == notes_) copy.notes.erase({row.text(2), row.text(3)});
    }
    std::set<place> asked;
    for (const text_row& row : page) asked.insert({row.text(2), row.text(3)});
    if (!keys[0].empty())
      for (auto& [where, value] : rows_of_notes(" WHERE id IN (" + keys[0] + ")"))
        if (asked.contains(where)) copy.notes[where] = value;
    if (!keys[1].empty())
      for (const std::string& id : sql("SELECT id FROM events WHERE id IN (" + keys[1] + ")"))
        copy.events.insert(id);
  }
  std::map<place, std::string> rows_of_notes(const std::string& which) {
    std::map<place, std::string> out;
    for (const std::string& line : sql("SELECT IFNULL(CONCAT('user:',owner),''), id, v FROM notes" + which)) {
      const auto first = line.find('|');
      const auto second = line.find('|', first + 1);
      out[{line.substr(0, first), line.substr(first + 1, second - first - 1)}] = line.substr(second + 1);
    }
    return out;
  }
  // How many places and events differ from the tables.
  std::size_t misses(const copies& copy) {
    const auto truth = rows_of_notes("");
    std::size_t out = 0;
    for (const auto& [where, value] : truth)
      if (const auto found = copy.notes.find(where); found == copy.notes.end() || found->second != value)
        ++out;
    for (const auto& [where, value] : copy.notes) out += truth.contains(where) ? 0U : 1U;
    for (const std::string& id : sql("SELECT id FROM events")) out += copy.events.contains(id) ? 0U : 1U;
    return out;
  }
  // Places whose last entry says something else about the row being there than the table does.
  std::size_t inverted() {
    return std::stoul(
        one_field("SELECT (SELECT COUNT(*) FROM syncline_feed AS f LEFT JOIN notes AS n ON f.`key`=CAST(n.id "
                  "AS CHAR) AND "
                  "f.scope=IFNULL(CONCAT('user:',n.owner),'') WHERE f.resource=" +
                  notes_ + " AND (f.gone_at IS NULL)<>(n.id IS NOT NULL))"));
  }
  // Ends connections at random, ours excepted.
  void kill_some(std::mt19937& rng) {
    for (const std::string& id : other_connections()) {
      if (rng() % 12 != 0) continue;
      static_cast<void>(
          get<text_rows>([&](request_context& context) { return query(context, *db_, "KILL " + id); }));
    }
  }
  // All at once while `more`, and what must be true then.
  void follow(int between_pages_ms, const std::function<bool()>& more) {
    mysql_options options;
    // Many rounds; a long run must not leave the nodes far behind its writers.
    options.feed_round_rows = environment("SYNCLINE_FEED_CHANGES").empty() ? 100 : 1000;
    options.feed_poll_ms = 2;
    std::mt19937 rng(seed_ * 7 + 1);
    std::unique_ptr<feed_node> nodes[2] = {started(all_, options), started(all_, options)};
    copies copy;
    std::int64_t at = 0;
    begin_writers(kWriters);
    for (int turn = 0; more(); ++turn) {
      read_page(copy, at);
      if (turn % 20 == 7) kill_some(rng);
      if (turn % 50 == 30) {
        std::unique_ptr<feed_node>& one = nodes[rng() % 2];
        one.reset();
        one = started(all_, options);
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(between_pages_ms));
    }
    end_writers();
    for (auto& node : nodes) {
      std::int64_t clock = -1;
      while (node->settled() < 0 && clock != clock_seq()) clock = clock_seq();
      EXPECT_GE(node->settled(), 0) << node->trouble.text();
      EXPECT_TRUE(node->heard.in_order());
      EXPECT_FALSE(node->heard.published_before());
    }
    while (read_page(copy, at)) {
    }
    EXPECT_EQ(one_field("SELECT COUNT(*) FROM syncline_pending"), "0");
    EXPECT_EQ(at, clock_seq());
    const std::size_t missed = misses(copy);
    std::printf("%ld changes committed, %zu missed, %zu inverted\n", committed_.load(), missed, inverted());
    EXPECT_EQ(missed, 0U);
    EXPECT_EQ(inverted(), 0U);
    EXPECT_GT(committed_.load(), 500);
  }
  [[nodiscard]] static int seconds() {
    const std::string given = environment("SYNCLINE_FEED_TEST_S");
    return given.empty() ? 4 : std::stoi(given);
  }

  unsigned seed_ = 0;
  catalog all_;
  std::string notes_ = "1";
  std::atomic<bool> enough_{false};
  std::atomic<int> writing_{0};
  std::atomic<long> committed_{0};
};

TEST_F(MysqlFeedRandom, AReaderOfTheFeedMissesNothing) {
  const std::string target = environment("SYNCLINE_FEED_CHANGES");
  const auto until = steady::now() + std::chrono::seconds(seconds());
  follow(target.empty() ? 5 : 20,
         [&] { return target.empty() ? steady::now() < until : committed_ < std::stol(target); });
}

// The server is everybody's, so this runs alone (tests/CMakeLists.txt).
class MysqlServerRestartRandom : public MysqlFeedRandom {
 protected:
  // As a crash ends it, under all writers and nodes, and back again.
  void kill_server() {
    const std::string generation = one_field("SELECT MAX(number) FROM syncline_generation");
    const std::int64_t seq = clock_seq();
    server_tool("kill");
    server_tool("start");
    close(db_);
    db_ = open_connection(here());
    EXPECT_EQ(
        one_field(fmt::format("SELECT COUNT(*) FROM syncline_generation WHERE number>{} AND first_seq<{}",
                              generation, seq)),
        "0")
        << "a durable server makes nobody start over";
    ++kills_;
  }
  int kills_ = 0;
};

TEST_F(MysqlServerRestartRandom, AReaderOfTheFeedMissesNothing) {
  const std::string target = environment("SYNCLINE_FEED_CHANGES");
  const long enough = target.empty() ? 8000 : std::stol(target);
  const long between = std::max(1500L, enough / 40);
  long next_kill = between;
  follow(5, [&] {
    if (committed_ < next_kill) return committed_ < enough;
    kill_server();
    next_kill = committed_ + between;
    return true;
  });
  EXPECT_GE(kills_, 2);
}

// Ids become visible out of order: who reads on from the last id he saw misses what is committed later.
TEST_F(MysqlFeedRandom, AReaderWhoPollsIdsFails) {
  copies copy;
  std::int64_t last = 0;
  const auto poll = [&] {
    const auto page = get<text_rows>([&](request_context& context) {
      return query(
          context, *db_,
          fmt::format("SELECT id, resource, scope, `key` FROM syncline_pending WHERE id>{} ORDER BY id",
                      last));
    });
    EXPECT_TRUE(page.has_value());
    apply(*page, copy);
    if (!page->empty()) last = page->back().integer(0);
  };
  std::size_t missed = 0;
  for (int round = 0; round < kRoundsOfNaive && missed == 0; ++round) {
    write_for_naive(poll);
    poll();
    missed = misses(copy);
  }
  EXPECT_GT(missed, 0U);
}

// Two sequencers that take what is free: the later change of a place may be numbered first.
TEST_F(MysqlFeedRandom, ASequencerThatSkipsLockedRowsInvertsChanges) {
  std::atomic<bool> stop{false};
  std::atomic<int> running{2};
  net::core cores[2] = {net::core(5, false), net::core(6, false)};
  auto naive = [&](net::core* on) -> task<void> {
    request_context context(*on);
    auto opening = native_connection::open(context, here());
    auto db = co_await std::move(opening);
    while (!db) {  // beside other tests the server may be full
      auto again = native_connection::open(context, here());
      db = co_await std::move(again);
    }
    const std::string statements[] = {
        "START TRANSACTION",
        "CREATE TEMPORARY TABLE IF NOT EXISTS taken (id BIGINT PRIMARY KEY, resource INT, scope "
        "VARBINARY(768), k "
        "VARBINARY(1024), gone INT)",
        "DELETE FROM taken",
        "INSERT INTO taken SELECT * FROM syncline_pending ORDER BY id LIMIT 20 FOR UPDATE SKIP LOCKED",
        "SELECT SLEEP(RAND()*0.01)",
        "UPDATE syncline_clock SET seq=seq+(SELECT COUNT(*) FROM taken)",
        "INSERT INTO syncline_feed SELECT * FROM (SELECT resource, scope, k, (SELECT seq FROM "
        "syncline_clock)-ROW_NUMBER() "
        "OVER (ORDER BY id DESC)+1 AS s, IF(gone,1,NULL) AS g FROM taken) AS n ON DUPLICATE KEY UPDATE "
        "seq=n.s, "
        "gone_at=n.g",
        "DELETE FROM syncline_pending WHERE id IN (SELECT id FROM taken)",
        "COMMIT"};
    bool more = true;
    while (!stop || more) {
      bool ok = true;
      for (const std::string& statement : statements) {
        if (!ok) break;
        auto running_one = query(context, **db, statement);
        ok = (co_await std::move(running_one)).has_value();
      }
      if (!ok) {
        auto undoing = mysql::run(context, **db, "ROLLBACK");
        static_cast<void>(co_await std::move(undoing));
      }
      auto counting = query(context, **db, "SELECT COUNT(*) FROM syncline_pending");
      const auto left = co_await std::move(counting);
      more = left && left->front().integer(0) != 0;
    }
    db = net::result<std::unique_ptr<sql_connection>>(std::unique_ptr<sql_connection>());
    --running;
  };
  const std::function<task<void>(net::core*)> kept = naive;
  for (net::core& each : cores) {
    each.start();
    net::spawn(each, kept(&each));
  }
  // An inversion is healed by the next change of its place, so what is wrong is looked for between rounds.
  std::size_t found = 0;
  for (int round = 0; round < kRoundsOfNaive && found == 0; ++round) {
    write_for_naive();
    EXPECT_TRUE(eventually([&] { return one_field("SELECT COUNT(*) FROM syncline_pending") == "0"; }));
    found = inverted();
  }
  stop = true;
  EXPECT_TRUE(eventually([&] { return running == 0; }));
  for (net::core& each : cores) {
    each.stop();
    each.join();
  }
  EXPECT_GT(found, 0U);
}

// The same two, one step at a time.
TEST_F(MysqlFeedRandom, WhatIsCommittedLateIsNumberedLate) {
  auto slow = open_connection(here());
  sql("START TRANSACTION", slow.get());
  sql("INSERT INTO notes VALUES (1,7,1)", slow.get());
  sql("INSERT INTO notes VALUES (2,7,1)");
  EXPECT_EQ(sql("SELECT `key` FROM syncline_pending WHERE id>0"), lines{"2"});
  const std::string seen = one_field("SELECT MAX(id) FROM syncline_pending");
  auto node = started(all_);
  const std::int64_t first = node->settled();
  sql("COMMIT", slow.get());
  EXPECT_EQ(sql("SELECT `key` FROM syncline_pending WHERE id>" + seen), lines{})
      << "who polls ids will never see it";
  EXPECT_EQ(node->settled(), first + 1);
  EXPECT_EQ(feed(), (lines{"notes [user:7] 2", "notes [user:7] 1"}));
  close(slow);
}

}  // namespace
}  // namespace syncline::storage::mysql
