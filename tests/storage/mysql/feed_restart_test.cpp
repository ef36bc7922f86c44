// Run alone (see tests/CMakeLists.txt): the server is everybody's. It is killed, stopped and frozen while
// nodes number what writers commit.

#include <signal.h>

#include <fstream>
#include <thread>

#include "tests/storage/mysql/sequencer_fixture.h"

namespace syncline::storage::mysql {
namespace {

using namespace testing;

class MysqlServerRestartFeed : public mysql_feed_test {
 protected:
  void SetUp() override {
    mysql_feed_test::SetUp();
    if (IsSkipped()) return;
    sql("CREATE TABLE events (id BIGINT AUTO_INCREMENT PRIMARY KEY, v INT)");
    all_.add(make_resource("events", "id:int64 v:int64", {"id"}));
    migrated(all_);
  }
  // Inserts one row after another and counts those that were acknowledged.
  task<void> write() {
    request_context context(on_);
    std::unique_ptr<sql_connection> db;
    while (!enough_) {
      context.set_deadline(in_ms(2000));
      if (db == nullptr || db->broken()) {
        db.reset();
        auto opening = native_connection::open(context, here());
        auto made = co_await std::move(opening);
        if (made) db = std::move(*made);
        if (!made) static_cast<void>(co_await net::sleep_until(context, in_ms(20)));
        continue;
      }
      const long id = next_id_++;
      auto inserting = mysql::run(context, *db, "INSERT INTO events VALUES (" + std::to_string(id) + ",1)");
      const auto done = co_await std::move(inserting);
      if (done) acknowledged_ids_.push_back(id);
      if (done) ++acknowledged_;
      if (!done) db.reset();
    }
    --writing_;
  }
  void begin_writers() {
    enough_ = false;
    writing_ = 8;
    net::testing::run_on(on_, [this] {
      for (int i = 0; i < 8; ++i) net::spawn(on_, write());
    });
  }
  void end_writers() {
    enough_ = true;
    EXPECT_TRUE(eventually([this] { return writing_ == 0; }));
  }
  void writes_go_on() {
    const long before = acknowledged_;
    EXPECT_TRUE(eventually([&] { return acknowledged_ > before + 50; }));
  }
  void reconnect() {
    close(db_);
    db_ = open_connection(here());
  }
  // A client's: what is written after it was read comes behind it.
  struct place_in_feed {
    std::int64_t seq = 0;
    long id = 0;  // rows from here on were not begun yet
    std::string generation;
  };
  place_in_feed here_in_feed(feed_node& node) {
    place_in_feed out;
    EXPECT_TRUE(eventually([&] { return (out.seq = node.settled(2000)) >= 0; })) << node.trouble.text();
    out.id = next_id_;
    out.generation = one_field("SELECT MAX(number) FROM syncline_generation");
    return out;
  }
  // Who goes on from there is not started over and gets every write that was acknowledged.
  void nothing_is_lost_after(const place_in_feed& at) {
    EXPECT_EQ(one_field("SELECT COUNT(*) FROM syncline_generation WHERE number>" + at.generation +
                        " AND first_seq<" + std::to_string(at.seq)),
              "0");
    const lines found =
        sql("SELECT f.`key` FROM syncline_feed AS f JOIN events AS e ON f.`key`=CAST(e.id AS CHAR) WHERE "
            "f.seq>" +
            std::to_string(at.seq) + " AND f.seq<=(SELECT seq FROM syncline_clock)");
    const std::set<std::string> once(found.begin(), found.end());
    std::size_t looked_for = 0;
    for (const long id : acknowledged_ids_) {
      if (id < at.id) continue;
      ++looked_for;
      EXPECT_TRUE(once.contains(std::to_string(id))) << id;
    }
    EXPECT_GT(looked_for, 0U);
  }
  // Every row has its entry, and the feed is at its end.
  void nothing_is_missed(feed_node& node) {
    EXPECT_TRUE(eventually([&] { return node.settled(2000) >= 0; })) << node.trouble.text();
    EXPECT_TRUE(node.made->healthy());
    EXPECT_EQ(one_field("SELECT COUNT(*) FROM syncline_pending"), "0");
    EXPECT_EQ(
        one_field("SELECT COUNT(*) FROM events AS e WHERE NOT EXISTS (SELECT 1 FROM syncline_feed AS f WHERE "
                  "f.`key`=CAST(e.id AS CHAR))"),
        "0");
    EXPECT_GE(std::stol(one_field("SELECT COUNT(*) FROM events")), acknowledged_.load());
    EXPECT_FALSE(node.heard.published_before());
  }

  catalog all_;
  std::atomic<bool> enough_{false};
  std::atomic<int> writing_{0};
  std::atomic<long> acknowledged_{0};
  std::atomic<long> next_id_{1};
  std::vector<long> acknowledged_ids_;  // the writers' core's; read when they have ended
};

TEST_F(MysqlServerRestartFeed, AKilledOrStoppedServerLosesNothing) {
  mysql_options options;
  options.feed_poll_ms = 2;
  auto first = started(all_, options);
  auto second = started(all_, options);
  const std::string before = one_field("SELECT COUNT(*) FROM syncline_generation");
  begin_writers();
  std::vector<place_in_feed> places;
  for (const char* how : {"kill", "stop"}) {
    writes_go_on();
    places.push_back(here_in_feed(*first));
    writes_go_on();
    server_tool(how);
    EXPECT_TRUE(eventually([&] { return !first->made->healthy(); })) << how;
    EXPECT_EQ(first->settled(), -1);
    EXPECT_EQ(first->trouble.code, errc::down);
    server_tool("start");
    reconnect();
    writes_go_on();
  }
  end_writers();
  nothing_is_missed(*first);
  nothing_is_missed(*second);
  for (const place_in_feed& each : places) nothing_is_lost_after(each);
  EXPECT_GE(first->heard.everything(), 2);
  EXPECT_GE(second->heard.everything(), 1) << "it may have waited through one of them";
  // It may have restarted without its last commits, which had no number yet: the clock would tell nobody.
  EXPECT_GE(std::stol(one_field("SELECT COUNT(*)-" + before + " FROM syncline_generation")), 2);
}

TEST_F(MysqlServerRestartFeed, AFrozenServerIsABoundedWait) {
  auto node = started(all_);
  begin_writers();
  writes_go_on();
  const pid_t server = server_pid();
  ASSERT_GT(server, 1);
  ASSERT_EQ(::kill(server, SIGSTOP), 0);
  EXPECT_EQ(node->settled(300), -1);
  EXPECT_EQ(node->trouble.code, errc::timed_out);
  EXPECT_TRUE(eventually([&] { return !node->made->healthy(); })) << "after the deadline of a round, twice";
  ASSERT_EQ(::kill(server, SIGCONT), 0);
  writes_go_on();
  end_writers();
  nothing_is_missed(*node);
  EXPECT_EQ(node->heard.everything(), 0) << "it is the server that it was";
  const lines heard = node->heard.keys();
  const std::set<std::string> once(heard.begin(), heard.end());
  for (const std::string& id : sql("SELECT id FROM events")) EXPECT_TRUE(once.contains(" " + id)) << id;
}

}  // namespace
}  // namespace syncline::storage::mysql
