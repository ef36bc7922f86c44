#include "storage/sqlite/triggers.h"

#include <gmock/gmock.h>

#include "tests/storage/sqlite_tables.h"

namespace syncline::storage::sqlite {
namespace {

using testing::clock_of;
using testing::entered_by;
using ::testing::IsEmpty;
using testing::lines;
using testing::make_resource;
using testing::migrate_or_die;
using testing::open_or_die;
using testing::run;
using ::testing::UnorderedElementsAre;

// users(id, email unique, org, name, secret): scopes user (primary, the id) and org.
struct users_database {
  connection db = open_or_die();
  catalog all;

  explicit users_database(std::string where = {}) {
    run(db,
        "CREATE TABLE users(id INTEGER PRIMARY KEY, email TEXT UNIQUE, org INTEGER, name TEXT COLLATE "
        "NOCASE, "
        "secret TEXT, hidden INTEGER NOT NULL DEFAULT 0);"
        "CREATE INDEX users_org ON users(org)");
    all.add(make_resource("users", "id:int64 email org:int64 name", {"id"}, {{"user", "id"}, {"org", "org"}},
                          std::move(where)));
    migrate_or_die(db, all);
  }
};

struct notes_database {
  connection db = open_or_die();
  catalog all;
  explicit notes_database(std::string_view table, resource of) {
    run(db, table);
    all.add(std::move(of));
    migrate_or_die(db, all);
  }
};

TEST(sqlite_triggers, InsertEntersEveryPlaceOfTheRow) {
  users_database u;
  EXPECT_THAT(
      entered_by(u.db, "INSERT INTO users(id,email,org,name) VALUES(1,'a@x',7,'Ann'),(2,'b@x',NULL,'Bob')"),
      UnorderedElementsAre("users [user:1] 1", "users [org:7] 1", "users [user:2] 2"));
}

TEST(sqlite_triggers, UpdateOfADeclaredColumnEntersThePlacesOnce) {
  users_database u;
  run(u.db, "INSERT INTO users(id,email,org,name) VALUES(1,'a@x',7,'Ann')");
  EXPECT_THAT(entered_by(u.db, "UPDATE users SET name='Anna'"),
              UnorderedElementsAre("users [user:1] 1", "users [org:7] 1"));
  EXPECT_EQ(u.db.query_int("SELECT count(*) FROM syncline_feed").value(), 2);
}

TEST(sqlite_triggers, AWriteThatChangesNothingDeclaredLeavesEvenTheClock) {
  users_database u;
  run(u.db, "INSERT INTO users(id,email,org,name) VALUES(1,'a@x',7,'Ann')");
  const std::int64_t before = clock_of(u.db);
  run(u.db, "UPDATE users SET name='Ann', org=7, id=1");
  run(u.db, "UPDATE users SET secret='s'");
  run(u.db,
      "INSERT INTO users(id,email,org,name) VALUES(1,'a@x',7,'Ann') ON CONFLICT(id) DO UPDATE SET "
      "name=excluded.name");
  run(u.db, "INSERT INTO users(id,email,org,name) VALUES(1,'a@x',7,'Ann') ON CONFLICT DO NOTHING");
  EXPECT_EQ(clock_of(u.db), before);
}

TEST(sqlite_triggers, ChangesAreSeenBytewiseWhateverTheCollation) {
  users_database u;
  run(u.db, "INSERT INTO users(id,email,org,name) VALUES(1,'a@x',7,'ann')");
  EXPECT_THAT(entered_by(u.db, "UPDATE users SET name='ANN'"),
              UnorderedElementsAre("users [user:1] 1", "users [org:7] 1"));
}

TEST(sqlite_triggers, EqualNumbersOfAnotherTypeAreAChange) {
  notes_database n("CREATE TABLE notes(id INTEGER PRIMARY KEY, body)",
                   make_resource("notes", "id:int64 body:json", {"id"}));
  run(n.db, "INSERT INTO notes VALUES(1, 1)");
  EXPECT_THAT(entered_by(n.db, "UPDATE notes SET body=1.0"), UnorderedElementsAre("notes [] 1"));
  EXPECT_THAT(entered_by(n.db, "UPDATE notes SET body='1'"), UnorderedElementsAre("notes [] 1"));
  EXPECT_THAT(entered_by(n.db, "UPDATE notes SET body=x'31'"), UnorderedElementsAre("notes [] 1"));
  EXPECT_THAT(entered_by(n.db, "UPDATE notes SET body=x'31'"), IsEmpty());
  EXPECT_THAT(entered_by(n.db, "UPDATE notes SET body=NULL"), UnorderedElementsAre("notes [] 1"));
}

TEST(sqlite_triggers, ChangeOfKeyEntersOldAndNewPlaces) {
  users_database u;
  run(u.db, "INSERT INTO users(id,email,org,name) VALUES(1,'a@x',7,'Ann')");
  EXPECT_THAT(entered_by(u.db, "UPDATE users SET id=5"),
              UnorderedElementsAre("users [user:1] 1 gone", "users [org:7] 1 gone", "users [user:5] 5",
                                   "users [org:7] 5"));
}

TEST(sqlite_triggers, ChangeOfOneScopeLeavesThatPlaceOnly) {
  users_database u;
  run(u.db, "INSERT INTO users(id,email,org,name) VALUES(1,'a@x',7,'Ann')");
  EXPECT_THAT(entered_by(u.db, "UPDATE users SET org=8"),
              UnorderedElementsAre("users [user:1] 1", "users [org:7] 1 gone", "users [org:8] 1"));
  EXPECT_THAT(entered_by(u.db, "UPDATE users SET org=NULL"),
              UnorderedElementsAre("users [user:1] 1", "users [org:8] 1 gone"));
  EXPECT_THAT(entered_by(u.db, "UPDATE users SET org=9"),
              UnorderedElementsAre("users [user:1] 1", "users [org:9] 1"));
}

TEST(sqlite_triggers, ARowWithoutItsPrimaryScopeHasTheEmptyOne) {
  notes_database n(
      "CREATE TABLE notes(id INTEGER PRIMARY KEY, owner TEXT, body TEXT); CREATE INDEX o ON notes(owner)",
      make_resource("notes", "id:int64 owner body", {"id"}, {{"user", "owner"}}));
  EXPECT_THAT(entered_by(n.db, "INSERT INTO notes VALUES(1,NULL,'x')"), UnorderedElementsAre("notes [] 1"));
  EXPECT_THAT(entered_by(n.db, "UPDATE notes SET owner='u'"),
              UnorderedElementsAre("notes [] 1 gone", "notes [user:u] 1"));
  EXPECT_THAT(entered_by(n.db, "UPDATE notes SET owner=NULL"),
              UnorderedElementsAre("notes [user:u] 1 gone", "notes [] 1"));
}

TEST(sqlite_triggers, DeleteLeavesTombstonesAlsoWithoutWhere) {
  users_database u;
  run(u.db, "INSERT INTO users(id,email,org,name) VALUES(1,'a@x',7,'Ann'),(2,'b@x',NULL,'Bob')");
  EXPECT_THAT(entered_by(u.db, "DELETE FROM users"),
              UnorderedElementsAre("users [user:1] 1 gone", "users [org:7] 1 gone", "users [user:2] 2 gone"));
}

TEST(sqlite_triggers, UpsertEntersWhatItUpdates) {
  users_database u;
  run(u.db, "INSERT INTO users(id,email,org,name) VALUES(1,'a@x',7,'Ann')");
  const std::string_view again =
      "INSERT INTO users(id,email,org,name) VALUES(1,'a@x',7,'New'),(3,'c@x',7,'Cid') "
      "ON CONFLICT(id) DO UPDATE SET name=excluded.name";
  EXPECT_THAT(entered_by(u.db, again), UnorderedElementsAre("users [user:1] 1", "users [org:7] 1",
                                                            "users [user:3] 3", "users [org:7] 3"));
  EXPECT_THAT(entered_by(u.db, again), IsEmpty());
}

TEST(sqlite_triggers, AnUpsertOfAnExistingKeyMakesOneEntryAPlace) {
  users_database u;
  run(u.db, "INSERT INTO users(id,email,org,name) VALUES(1,'a@x',7,'Ann')");
  const std::int64_t before = clock_of(u.db);
  run(u.db,
      "INSERT INTO users(id,email,org,name) VALUES(1,'a@x',7,'New') ON CONFLICT(id) DO UPDATE SET "
      "name=excluded.name");
  EXPECT_EQ(clock_of(u.db), before + 2);
}

TEST(sqlite_triggers, ReplaceByPrimaryKeyLeavesTheOldScope) {
  users_database u;
  run(u.db, "INSERT INTO users(id,email,org,name) VALUES(1,'a@x',7,'Ann')");
  EXPECT_THAT(entered_by(u.db, "REPLACE INTO users(id,email,org,name) VALUES(1,'a@x',8,'Ann')"),
              UnorderedElementsAre("users [user:1] 1", "users [org:7] 1 gone", "users [org:8] 1"));
}

TEST(sqlite_triggers, ReplaceByAnotherUniqueKeyEntersEveryDisplacedRow) {
  users_database u;
  run(u.db, "INSERT INTO users(id,email,org,name) VALUES(1,'a@x',7,'Ann'),(2,'b@x',8,'Bob')");
  EXPECT_THAT(entered_by(u.db, "INSERT OR REPLACE INTO users(id,email,org,name) VALUES(1,'b@x',9,'Both')"),
              UnorderedElementsAre("users [user:1] 1", "users [org:7] 1 gone", "users [user:2] 2 gone",
                                   "users [org:8] 2 gone", "users [org:9] 1"));
  EXPECT_EQ(u.db.query_int("SELECT count(*) FROM users").value(), 1);
}

TEST(sqlite_triggers, ReplaceWithAGeneratedIdEntersTheDisplacedRow) {
  users_database u;
  run(u.db, "INSERT INTO users(id,email,name) VALUES(1,'a@x','Ann')");
  EXPECT_THAT(entered_by(u.db, "REPLACE INTO users(email,name) VALUES('a@x','New')"),
              UnorderedElementsAre("users [user:1] 1 gone", "users [user:2] 2"));
}

TEST(sqlite_triggers, ReplaceWithTheDefaultOfANotNullColumnEntersTheDisplacedRow) {
  notes_database n("CREATE TABLE notes(id INTEGER PRIMARY KEY, slot TEXT NOT NULL DEFAULT 'main' UNIQUE)",
                   make_resource("notes", "id:int64 slot", {"id"}));
  run(n.db, "INSERT INTO notes VALUES(1,'main')");
  EXPECT_THAT(entered_by(n.db, "REPLACE INTO notes VALUES(2,NULL)"),
              UnorderedElementsAre("notes [] 1 gone", "notes [] 2"));
  run(n.db, "INSERT INTO notes VALUES(3,'other')");
  EXPECT_THAT(entered_by(n.db, "UPDATE OR REPLACE notes SET slot=NULL WHERE id=3"),
              UnorderedElementsAre("notes [] 2 gone", "notes [] 3"));
}

TEST(sqlite_triggers, UpdateOrReplaceEntersTheDisplacedRow) {
  users_database u;
  run(u.db, "INSERT INTO users(id,email,org,name) VALUES(1,'a@x',7,'Ann'),(2,'b@x',8,'Bob')");
  EXPECT_THAT(entered_by(u.db, "UPDATE OR REPLACE users SET email='b@x' WHERE id=1"),
              UnorderedElementsAre("users [user:1] 1", "users [org:7] 1", "users [user:2] 2 gone",
                                   "users [org:8] 2 gone"));
}

TEST(sqlite_triggers, DisplacedRowsAreFoundThroughPartialExpressionAndNocaseIndexes) {
  notes_database n(
      "CREATE TABLE notes(id INTEGER PRIMARY KEY, slot INTEGER, live INTEGER, name TEXT COLLATE NOCASE "
      "UNIQUE, mail TEXT);"
      "CREATE UNIQUE INDEX live_slot ON notes(slot) WHERE live=1 -- partial\n;"
      "CREATE UNIQUE INDEX mail_folded ON notes(lower(mail) /* , */ DESC)",
      make_resource("notes", "id:int64 slot:int64 name mail", {"id"}));
  run(n.db, "INSERT INTO notes VALUES(1,1,1,'a','A@X'),(2,1,0,'b','B@X'),(3,2,1,'c','C@X')");
  EXPECT_THAT(entered_by(n.db, "REPLACE INTO notes VALUES(10,1,1,'k','k')"),
              UnorderedElementsAre("notes [] 1 gone", "notes [] 10"));
  EXPECT_THAT(entered_by(n.db, "REPLACE INTO notes VALUES(11,5,1,'B','l')"),
              UnorderedElementsAre("notes [] 2 gone", "notes [] 11"));
  EXPECT_THAT(entered_by(n.db, "REPLACE INTO notes VALUES(12,6,1,'m','c@x')"),
              UnorderedElementsAre("notes [] 3 gone", "notes [] 12"));
  run(n.db, "INSERT INTO notes VALUES(20,6,0,'n','n')");
  EXPECT_THAT(entered_by(n.db, "UPDATE OR REPLACE notes SET live=1 WHERE id=20"),
              UnorderedElementsAre("notes [] 12 gone"));
  EXPECT_EQ(n.db.query_int("SELECT count(*) FROM notes WHERE id=12").value(), 0);
}

TEST(sqlite_triggers, DisplacedRowsAreFoundThroughGeneratedColumns) {
  notes_database n(
      "CREATE TABLE notes(id INTEGER PRIMARY KEY, mail TEXT, folded TEXT GENERATED ALWAYS AS (lower(mail)) "
      "VIRTUAL);"
      "CREATE UNIQUE INDEX f ON notes(folded)",
      make_resource("notes", "id:int64 mail", {"id"}));
  run(n.db, "INSERT INTO notes(id,mail) VALUES(1,'A'),(2,'B')");
  EXPECT_THAT(entered_by(n.db, "REPLACE INTO notes(id,mail) VALUES(3,'a')"),
              UnorderedElementsAre("notes [] 1 gone", "notes [] 3"));
  EXPECT_THAT(entered_by(n.db, "UPDATE OR REPLACE notes SET mail='b' WHERE id=3"),
              UnorderedElementsAre("notes [] 2 gone", "notes [] 3"));
}

TEST(sqlite_triggers, ARowidWithoutAliasDisplacesToo) {
  notes_database n("CREATE TABLE notes(name TEXT PRIMARY KEY NOT NULL, body TEXT)",
                   make_resource("notes", "name body", {"name"}));
  run(n.db, "INSERT INTO notes(rowid,name) VALUES(4,'a')");
  EXPECT_THAT(entered_by(n.db, "REPLACE INTO notes(rowid,name) VALUES(4,'b')"),
              UnorderedElementsAre("notes [] a gone", "notes [] b"));
}

TEST(sqlite_triggers, AUniqueIndexThatComparesValuesIsRefused) {
  connection db = open_or_die();
  run(db,
      "CREATE TABLE notes(id INTEGER PRIMARY KEY, live INTEGER); CREATE UNIQUE INDEX x ON notes((live='1'))");
  catalog all;
  all.add(make_resource("notes", "id:int64", {"id"}));
  const auto report = migrate(db, all, false);
  ASSERT_FALSE(report.has_value());
  EXPECT_EQ(report.error().code, net::errc::schema_mismatch);
  EXPECT_THAT(report.error().detail, ::testing::HasSubstr("unique index x"));
}

TEST(sqlite_triggers, ARecursiveDeleteTriggerChangesNothing) {
  users_database u;
  run(u.db, "PRAGMA recursive_triggers=ON");
  run(u.db, "INSERT INTO users(id,email,org,name) VALUES(1,'a@x',7,'Ann'),(2,'b@x',8,'Bob')");
  EXPECT_THAT(entered_by(u.db, "INSERT OR REPLACE INTO users(id,email,org,name) VALUES(1,'b@x',9,'Both')"),
              UnorderedElementsAre("users [user:1] 1", "users [org:7] 1 gone", "users [user:2] 2 gone",
                                   "users [org:8] 2 gone", "users [org:9] 1"));
}

TEST(sqlite_triggers, LeavingAndEnteringWhereIsAChange) {
  users_database u("hidden = '0'");  // a text against an INTEGER column: true over the table by affinity
  EXPECT_THAT(entered_by(u.db, "INSERT INTO users(id,name,hidden) VALUES(1,'Ann',0),(2,'Bob',1)"),
              UnorderedElementsAre("users [user:1] 1"));
  EXPECT_THAT(entered_by(u.db, "UPDATE users SET hidden=1 WHERE id=1"),
              UnorderedElementsAre("users [user:1] 1 gone"));
  EXPECT_THAT(entered_by(u.db, "UPDATE users SET hidden=0"),
              UnorderedElementsAre("users [user:1] 1", "users [user:2] 2"));
  EXPECT_THAT(entered_by(u.db, "UPDATE users SET hidden=0"), IsEmpty());
}

TEST(sqlite_triggers, ReplacingAVisibleRowByAHiddenOneIsAChange) {
  users_database u("hidden = 0");
  run(u.db, "INSERT INTO users(id,email,org,name) VALUES(1,'a@x',7,'Ann')");
  EXPECT_THAT(entered_by(u.db, "REPLACE INTO users(id,email,org,name,hidden) VALUES(1,'a@x',7,'Ann',1)"),
              UnorderedElementsAre("users [user:1] 1 gone", "users [org:7] 1 gone"));
}

TEST(sqlite_triggers, CascadesOfForeignKeysAreSeen) {
  connection db = open_or_die();
  run(db,
      "CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT);"
      "CREATE TABLE posts(id INTEGER PRIMARY KEY, user_id INTEGER REFERENCES users(id) ON DELETE CASCADE ON "
      "UPDATE CASCADE,"
      " parent INTEGER REFERENCES posts(id) ON DELETE CASCADE); CREATE INDEX p ON posts(user_id)");
  catalog all;
  all.add(make_resource("users", "id:int64 name", {"id"}));
  all.add(make_resource("posts", "id:int64 user_id:int64 parent:int64", {"id"}, {{"user", "user_id"}}));
  migrate_or_die(db, all);
  run(db,
      "INSERT INTO users VALUES(1,'a'),(2,'b'); INSERT INTO posts "
      "VALUES(10,1,NULL),(11,1,10),(12,2,NULL),(13,2,12),(14,2,13)");
  EXPECT_THAT(entered_by(db, "UPDATE users SET id=3 WHERE id=1"),
              UnorderedElementsAre("users [] 1 gone", "users [] 3", "posts [user:1] 10 gone",
                                   "posts [user:3] 10", "posts [user:1] 11 gone", "posts [user:3] 11"));
  EXPECT_THAT(entered_by(db, "REPLACE INTO users VALUES(3,'z')"),
              UnorderedElementsAre("users [] 3", "posts [user:3] 10 gone", "posts [user:3] 11 gone"));
  // Three generations within one table.
  EXPECT_THAT(
      entered_by(db, "DELETE FROM posts WHERE id=12"),
      UnorderedElementsAre("posts [user:2] 12 gone", "posts [user:2] 13 gone", "posts [user:2] 14 gone"));
}

TEST(sqlite_triggers, WritesOfTheOwnersTriggersAreSeen) {
  users_database u;
  run(u.db,
      "CREATE TRIGGER touch AFTER UPDATE ON users BEGIN UPDATE users SET email='t'||id WHERE id=NEW.id+1; "
      "END;"
      "INSERT INTO users(id,email,name) VALUES(1,'a@x','Ann'),(2,'b@x','Bob')");
  EXPECT_THAT(entered_by(u.db, "UPDATE users SET name='X' WHERE id=1"),
              UnorderedElementsAre("users [user:1] 1", "users [user:2] 2"));
}

TEST(sqlite_triggers, ARolledBackSavepointLeavesNoEntry) {
  users_database u;
  const std::int64_t before = clock_of(u.db);
  run(u.db, "BEGIN; SAVEPOINT s; INSERT INTO users(id,name) VALUES(1,'x'); ROLLBACK TO s; RELEASE s; COMMIT");
  EXPECT_EQ(clock_of(u.db), before);
  EXPECT_THAT(testing::entries_after(u.db, 0), IsEmpty());
}

TEST(sqlite_triggers, AFailedStatementLeavesNoEntry) {
  users_database u;
  run(u.db, "INSERT INTO users(id,email,name) VALUES(1,'a@x','x')");
  const std::int64_t before = clock_of(u.db);
  EXPECT_FALSE(u.db.exec("INSERT INTO users(id,email) VALUES(2,'b@x'),(3,'a@x')").has_value());
  EXPECT_EQ(clock_of(u.db), before);
}

TEST(sqlite_triggers, IgnoredRowsCostAtMostAnEntryThatSaysLookAgain) {
  users_database u;
  run(u.db, "INSERT INTO users(id,email,org,name) VALUES(1,'a@x',7,'Ann')");
  run(u.db, "INSERT OR IGNORE INTO users(id,email,org,name) VALUES(2,'a@x',8,'Bob')");
  const auto report = check_feed(u.db, u.all, false);
  ASSERT_TRUE(report.has_value());
  EXPECT_TRUE(report->clean());
}

TEST(sqlite_triggers, WithoutRowidTablesAndKeysOfSeveralColumns) {
  notes_database n(
      "CREATE TABLE follows(user_id INTEGER, target TEXT, note TEXT, mark TEXT UNIQUE, PRIMARY KEY(user_id, "
      "target)) "
      "WITHOUT ROWID",
      [] {
        resource r = make_resource("follows", "user_id:int64 target note", {"user_id", "target"},
                                   {{"user", "user_id"}}, "note <> 'off'");
        return r;
      }());
  EXPECT_THAT(entered_by(n.db, "INSERT INTO follows VALUES(1,'a,b','x','m1'),(1,'50%','x','m2')"),
              UnorderedElementsAre("follows [user:1] 1,a%2Cb", "follows [user:1] 1,50%25"));
  EXPECT_THAT(entered_by(n.db, "UPDATE OR REPLACE follows SET mark='m2' WHERE target='a,b'"),
              UnorderedElementsAre("follows [user:1] 1,50%25 gone"));
  EXPECT_THAT(entered_by(n.db, "UPDATE follows SET user_id=2, note='off'"),
              UnorderedElementsAre("follows [user:1] 1,a%2Cb gone", "follows [user:2] 2,a%2Cb gone"));
}

TEST(sqlite_triggers, TwoColumnsThatJoinAlikeHaveDifferentKeys) {
  notes_database n("CREATE TABLE notes(a TEXT NOT NULL, b TEXT NOT NULL, PRIMARY KEY(a,b))",
                   make_resource("notes", "a b", {"a", "b"}));
  EXPECT_THAT(entered_by(n.db, "INSERT INTO notes VALUES('x,y','z'),('x','y,z')"),
              UnorderedElementsAre("notes [] x%2Cy,z", "notes [] x,y%2Cz"));
}

TEST(sqlite_triggers, NullInAKeyThatMayBeNullMakesNoEntryAndNoFailure) {
  notes_database n("CREATE TABLE notes(name TEXT PRIMARY KEY, body TEXT)",
                   make_resource("notes", "name body", {"name"}));
  EXPECT_THAT(entered_by(n.db, "INSERT INTO notes VALUES(NULL,'x'),('a','y')"),
              UnorderedElementsAre("notes [] a"));
  EXPECT_THAT(entered_by(n.db, "UPDATE notes SET name='b' WHERE name IS NULL"),
              UnorderedElementsAre("notes [] b"));
  EXPECT_THAT(entered_by(n.db, "UPDATE notes SET name=NULL WHERE name='b'"),
              UnorderedElementsAre("notes [] b gone"));
}

// The triggers' texts against key.h for values that are awkward in SQL, in text, or in both.
TEST(sqlite_triggers, KeyAndScopeTextsAreThoseOfTheKeyModule) {
  resource of = make_resource("things", "i:int64 t b:bytes d:date", {"t", "i", "b", "d"},
                              {{"text", "t"}, {"raw", "b"}, {"n", "i"}});
  notes_database n(
      "CREATE TABLE things(i INTEGER NOT NULL, t TEXT NOT NULL, b BLOB NOT NULL, d TEXT NOT NULL, PRIMARY "
      "KEY(t,i,b,d));"
      "CREATE INDEX b ON things(b); CREATE INDEX i ON things(i)",
      of);
  const std::vector<std::string> texts = {
      "", "a", "%", ",", "%2C", "a'b\"c", std::string("n\0l", 3), "\xc3\xa9,%25", "user:1"};
  auto insert = n.db.prepare("INSERT INTO things(i,t,b,d) VALUES(?1,?2,?3,?4)");
  ASSERT_TRUE(insert.has_value());
  std::int64_t i = -9223372036854775807 - 1;
  for (const std::string& text : texts) {
    const std::vector<cell> row = {cell::of_int(i), cell::of_text(text), cell::of_blob(text),
                                   cell::of_text("2026-11-20")};
    for (int at = 0; at < 4; ++at) insert->bind(at + 1, row[static_cast<std::size_t>(at)]);
    const std::int64_t before = clock_of(n.db);
    ASSERT_EQ(insert->step(), SQLITE_DONE);
    insert->reset();
    std::vector<std::string> expected;
    for (const scope_rule& s : of.scopes) {
      std::string line = "things [" + s.name + ":";
      ASSERT_TRUE(append_key_part(of.columns[s.column].type, row[s.column], line));
      expected.push_back(line + "] " + key_of_row(of, row).value());
    }
    EXPECT_THAT(testing::entries_after(n.db, before), ::testing::UnorderedElementsAreArray(expected));
    i = i < 0 ? 0 : i + 1234567890123;
  }
}

// What an upload's speed hangs on (triggers.h, invariant 4).
TEST(sqlite_triggers, AnInsertMakesNoTemporaryTableAndCallsNoFunction) {
  resource of = make_resource("notes", "id:int64 title", {"id"}, {{"note", "id"}}, "hidden=0");
  of.search = {1};
  notes_database n("CREATE TABLE notes(id INTEGER PRIMARY KEY, title TEXT, hidden INTEGER)", of);
  auto s = n.db.prepare("EXPLAIN INSERT OR FAIL INTO notes VALUES(1,'a',0) ON CONFLICT(id) DO NOTHING");
  ASSERT_TRUE(s.has_value()) << s.error().text();
  int steps = 0;
  int programs = 0;
  while (s->step() == SQLITE_ROW) {
    const std::string operation(s->text(1));
    ++steps;
    programs += operation == "Program" ? 1 : 0;
    for (const char* costly : {"OpenEphemeral", "OpenAutoindex", "SorterOpen", "Function", "PureFunc"})
      EXPECT_NE(operation, costly) << "step " << steps;
  }
  EXPECT_EQ(programs, 2);
}

TEST(sqlite_triggers, NamesWithQuotesAreNoSql) {
  resource of = make_resource("it's \"odd\"", "id:int64 where", {"id"}, {{"a'b", "id"}});
  of.table = "sel\"ect";
  of.search = {1};
  notes_database n(
      "CREATE TABLE \"sel\"\"ect\"(id INTEGER PRIMARY KEY, \"where\" TEXT, \"order\" TEXT UNIQUE)", of);
  EXPECT_THAT(entered_by(n.db, "INSERT INTO \"sel\"\"ect\" VALUES(1,'x','y')"),
              UnorderedElementsAre("it's \"odd\" [a'b:1] 1"));
  EXPECT_THAT(entered_by(n.db, "REPLACE INTO \"sel\"\"ect\" VALUES(2,'x','y')"),
              UnorderedElementsAre("it's \"odd\" [a'b:1] 1 gone", "it's \"odd\" [a'b:2] 2"));
}

}  // namespace
}  // namespace syncline::storage::sqlite
