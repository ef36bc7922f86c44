// What foreign keys do to rows, which MySQL tells no trigger of the child.

#include "storage/mysql/cascades.h"

#include <future>

#include "tests/storage/mysql/sequencer_fixture.h"

namespace syncline::storage::mysql {
namespace {

using namespace testing;
using ::testing::HasSubstr;
using ::testing::IsSubsetOf;
using ::testing::IsSupersetOf;
using ::testing::UnorderedElementsAre;

class MysqlCascades : public mysql_feed_test {
 protected:
  // A child that a server changes itself may be noted twice.
  lines places_of(const std::string& statement) {
    const lines all = noted_by(statement);
    const std::set<std::string> once(all.begin(), all.end());
    return {once.begin(), once.end()};
  }
  std::promise<void> deleted_;
  std::function<task<void>()> kept_;
};

TEST_F(MysqlCascades, ThroughTablesThatAreNoResources) {
  sql("CREATE TABLE orgs (id INT PRIMARY KEY)");
  sql("CREATE TABLE teams (id INT PRIMARY KEY, org INT, FOREIGN KEY (org) REFERENCES orgs (id) ON DELETE "
      "CASCADE ON "
      "UPDATE CASCADE)");
  sql("CREATE TABLE notes (id INT PRIMARY KEY, team INT, owner INT, KEY (owner), FOREIGN KEY (team) "
      "REFERENCES teams (id) "
      "ON DELETE CASCADE ON UPDATE CASCADE)");
  sql("CREATE TABLE people (id INT PRIMARY KEY)");
  sql("ALTER TABLE notes ADD FOREIGN KEY (owner) REFERENCES people (id) ON DELETE SET NULL ON UPDATE "
      "CASCADE");
  catalog all;
  all.add(make_resource("notes", "id:int64 team:int64 owner:int64", {"id"},
                        {{"user", "owner"}, {"team", "team"}}));
  migrated(all);
  EXPECT_EQ(missing(all), lines{});
  sql("INSERT INTO orgs VALUES (1),(2)");
  sql("INSERT INTO teams VALUES (10,1),(11,1),(20,2)");
  sql("INSERT INTO people VALUES (7),(8)");
  sql("INSERT INTO notes VALUES (100,10,7),(101,11,8),(102,20,7)");
  EXPECT_THAT(places_of("UPDATE people SET id=9 WHERE id=8"),
              UnorderedElementsAre("notes [user:8] 101 gone", "notes [user:9] 101", "notes [team:11] 101",
                                   "notes [team:11] 101 gone"));
  EXPECT_THAT(places_of("DELETE FROM people WHERE id=9"),
              IsSupersetOf({"notes [user:9] 101 gone", "notes [] 101"}));
  EXPECT_THAT(places_of("UPDATE teams SET id=12 WHERE id=11"),
              IsSupersetOf({"notes [team:11] 101 gone", "notes [team:12] 101"}));
  EXPECT_EQ(places_of("UPDATE orgs SET id=3 WHERE id=1"), lines{}) << "it changes teams only";
  EXPECT_THAT(places_of("DELETE FROM orgs WHERE id=3"),
              UnorderedElementsAre("notes [user:7] 100 gone", "notes [team:10] 100 gone", "notes [] 101 gone",
                                   "notes [team:12] 101 gone"));
  EXPECT_EQ(sql("SELECT id FROM notes"), lines{"102"});
}

TEST_F(MysqlCascades, ATreeThatIsItsOwnParent) {
  sql("CREATE TABLE nodes (id INT PRIMARY KEY, parent INT, FOREIGN KEY (parent) REFERENCES nodes (id) ON "
      "DELETE CASCADE)");
  catalog all;
  all.add(make_resource("nodes", "id:int64 parent:int64", {"id"}));
  migrated(all);
  sql("INSERT INTO nodes VALUES (1,NULL),(2,1),(3,2),(4,3),(5,1),(9,NULL)");
  EXPECT_EQ(
      places_of("DELETE FROM nodes WHERE id=1"),
      (lines{"nodes [] 1 gone", "nodes [] 2 gone", "nodes [] 3 gone", "nodes [] 4 gone", "nodes [] 5 gone"}));
  EXPECT_EQ(sql("SELECT id FROM nodes"), lines{"9"});
}

TEST_F(MysqlCascades, AChildCommittedJustBeforeIsNotMissed) {
  sql("CREATE TABLE p (id INT PRIMARY KEY)");
  sql("CREATE TABLE c (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE)");
  catalog all;
  all.add(make_resource("c", "id:int64 p:int64", {"id"}));
  migrated(all);
  sql("INSERT INTO p VALUES (1)");
  for (const char* level : {"REPEATABLE READ", "READ COMMITTED"}) {
    auto old = open_connection(here());
    sql(std::string("SET SESSION TRANSACTION ISOLATION LEVEL ") + level, old.get());
    sql("START TRANSACTION", old.get());
    sql("SELECT * FROM c", old.get());  // a snapshot of the time before
    sql("INSERT INTO p VALUES (2)");
    sql("INSERT INTO c VALUES (50,2)");
    noted();
    sql("DELETE FROM p WHERE id=2", old.get());
    sql("COMMIT", old.get());
    EXPECT_THAT(noted(), IsSupersetOf({"c [] 50 gone"})) << level;
    close(old);
  }
}

// Between our trigger and the cascade itself: what is added there under a row on the way waits.
TEST_F(MysqlCascades, AGrandchildCannotComeInBetween) {
  sql("CREATE TABLE p (id INT PRIMARY KEY)");
  sql("CREATE TABLE m (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE)");
  sql("CREATE TABLE c (id INT PRIMARY KEY, m INT, FOREIGN KEY (m) REFERENCES m (id) ON DELETE CASCADE)");
  catalog all;
  all.add(make_resource("c", "id:int64 m:int64", {"id"}));
  migrated(all);
  const std::string gate = unique("syncline_gate");
  sql("CREATE TRIGGER slow BEFORE DELETE ON p FOR EACH ROW DO GET_LOCK('" + gate + "',10)");
  sql("INSERT INTO p VALUES (1)");
  sql("INSERT INTO m VALUES (10,1),(11,1)");
  sql("INSERT INTO c VALUES (100,10)");
  noted();
  auto deletes = open_connection(here());
  auto adds = open_connection(here());
  sql("SET SESSION innodb_lock_wait_timeout=1", adds.get());
  sql("SELECT GET_LOCK('" + gate + "',0)");
  run([&]() -> task<void> {
    auto in_background = [&]() -> task<void> {
      request_context context(on_);
      auto running = mysql::run(context, *deletes, "DELETE FROM p WHERE id=1");
      const auto done = co_await std::move(running);
      EXPECT_TRUE(done.has_value()) << done.error().text();
      deleted_.set_value();
    };
    kept_ = in_background;
    net::spawn(on_, kept_());
    co_return;
  });
  EXPECT_TRUE(eventually([&] {
    return one_field(
               "SELECT COUNT(*) FROM performance_schema.threads WHERE processlist_state='User lock' AND "
               "processlist_db='" +
               schema_ + "'") == "1";
  }));
  lines added;
  for (const char* row : {"(200,10)", "(201,11)"}) {  // under a row with children, and under one without
    const auto done = get<std::uint64_t>([&](request_context& context) {
      return mysql::run(context, *adds, std::string("INSERT INTO c VALUES ") + row);
    });
    if (done) added.emplace_back(row);
  }
  EXPECT_EQ(added, lines{}) << "nobody would be told that these went";
  sql("SELECT RELEASE_LOCK('" + gate + "')");
  deleted_.get_future().get();
  EXPECT_EQ(sql("SELECT id FROM c"), lines{});
  EXPECT_EQ(noted(), lines{"c [] 100 gone"});
  close(deletes);
  close(adds);
}

// MySQL lets no trigger lock such a table for writing; the statement is the owner's and must not fail.
TEST_F(MysqlCascades, AStatementThatReadsTheTablesOnTheWayIsFollowedToo) {
  sql("CREATE TABLE p (id INT PRIMARY KEY)");
  sql("CREATE TABLE m (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE)");
  sql("CREATE TABLE c (id INT PRIMARY KEY, m INT, FOREIGN KEY (m) REFERENCES m (id) ON DELETE CASCADE)");
  catalog all;
  all.add(make_resource("c", "id:int64 m:int64", {"id"}));
  migrated(all);
  sql("INSERT INTO p VALUES (1),(2)");
  sql("INSERT INTO m VALUES (10,1),(20,2)");
  sql("INSERT INTO c VALUES (100,10),(200,20)");
  EXPECT_EQ(noted_by("DELETE FROM p WHERE id IN (SELECT p FROM m WHERE id=10)"), lines{"c [] 100 gone"});
  EXPECT_EQ(noted_by("DELETE p FROM p JOIN c ON c.id=200 WHERE p.id=2"), lines{"c [] 200 gone"});
  EXPECT_EQ(sql("SELECT id FROM c"), lines{});
}

TEST_F(MysqlCascades, KeysThatChangeNoRowNeedNothing) {
  sql("CREATE TABLE p (id INT PRIMARY KEY)");
  sql("CREATE TABLE c (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES p (id))");
  catalog all;
  all.add(make_resource("c", "id:int64 p:int64", {"id"}));
  migrated(all);
  EXPECT_EQ(one_field("SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA=DATABASE()"),
            "3");
  // A key that is added later is found by what compares the schema with our text.
  sql("ALTER TABLE c ADD CONSTRAINT k FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE");
  EXPECT_FALSE(missing(all).empty());
}

TEST_F(MysqlCascades, FromAnotherSchemaIsRefused) {
  const std::string other = unique("syncline_o");
  sql("CREATE DATABASE " + other);
  sql("CREATE TABLE " + other + ".p (id INT PRIMARY KEY)");
  sql("CREATE TABLE c (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES " + other +
      ".p (id) ON DELETE CASCADE)");
  catalog all;
  all.add(make_resource("c", "id:int64 p:int64", {"id"}));
  EXPECT_THAT(refused(all).text(), HasSubstr("in another schema"));
  sql("DROP TABLE c");
  sql("DROP DATABASE " + other);
}

}  // namespace
}  // namespace syncline::storage::mysql
