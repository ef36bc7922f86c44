// A table that is swapped for another under the running store.
#include <set>

#include <fmt/format.h>

#include "tests/storage/sqlite_store_fixture.h"

namespace syncline::storage::sqlite::testing {

constexpr std::int64_t kManyRows = 20000;     // to be numbered: far more than one turn does
constexpr std::int64_t kManyEntries = 60000;  // to be dropped, which is faster

class sqlite_store_swap : public store_test {
 protected:
  // Puts a table in the place of users, with `rows` rows whose names begin with `name`.
  void swap_users(std::int64_t rows, std::string_view name = "new ") {
    run(db(),
        fmt::format("BEGIN; CREATE TABLE users_new(id INTEGER PRIMARY KEY, name TEXT NOT NULL, email "
                    "TEXT UNIQUE, team INTEGER, state TEXT DEFAULT '{{}}', score REAL, deleted_at TEXT);"
                    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<{}) INSERT "
                    "INTO users_new(id,name,team) SELECT i,'{}'||i,i%10 FROM n;"
                    "DROP TABLE users; ALTER TABLE users_new RENAME TO users;"
                    "CREATE INDEX users_team ON users(team); COMMIT",
                    rows, name));
  }
  connection& db() {
    if (!db_) db_ = open_or_die(file_.path());
    return db_;
  }
  bool work_is_left() {
    return db().query_int("SELECT instr(identity,' ') FROM syncline_resource WHERE name='users'").value() > 0;
  }
  std::int64_t incarnation() {
    return db().query_int("SELECT incarnation FROM syncline_resource WHERE name='users'").value();
  }
  // Until rows of the new table are being numbered.
  void wait_for_numbering(std::int64_t before) {
    ASSERT_TRUE(eventually([&] {
      return incarnation() > before &&
             db().query_int("SELECT count(*) FROM (SELECT 1 FROM syncline_feed LIMIT 1)").value() > 0;
    }));
  }
  bool clean() {
    const auto checked = check_feed(db(), all_, false);
    return checked.has_value() && checked->clean();
  }

 private:
  connection db_;
};

TEST_F(sqlite_store_swap, WritesGoInBetweenWhileItsRowsAreNumbered) {
  open_store();
  const std::int64_t before = incarnation();
  swap_users(kManyRows);
  wait_for_numbering(before);
  batch_builder b(users(), write_kind::upsert);
  b.row({{"id", I(kManyRows + 1)}, {"name", T("written")}});
  ASSERT_EQ(fates(write(b)), "c");
  EXPECT_TRUE(work_is_left()) << "the write waited for all of it";
  EXPECT_TRUE(store_->read_figures().healthy) << store_->read_figures().trouble;
  ASSERT_TRUE(eventually([&] { return !work_is_left(); }));
  EXPECT_TRUE(clean());
}

TEST_F(sqlite_store_swap, AStopDoesNotWaitForTheNumberingAndTheNextStartGoesOnWithIt) {
  open_store();
  std::int64_t before = incarnation();
  swap_users(kManyRows);
  wait_for_numbering(before);
  close_store();
  ASSERT_TRUE(work_is_left()) << "the stop waited for all of it";
  before = incarnation();
  options_.migrate_on_start = false;
  open_store();
  ASSERT_TRUE(eventually([&] { return !work_is_left(); }));
  EXPECT_EQ(incarnation(), before) << "nobody had to start over once more";
  EXPECT_TRUE(clean());
  EXPECT_TRUE(eventually([&] { return store_->read_figures().healthy; }));
}

// The entries of the table that was there before are as many.
TEST_F(sqlite_store_swap, WritesGoInBetweenWhileTheOldEntriesGo) {
  swap_users(kManyEntries, "old ");
  open_store();
  const std::int64_t before = incarnation();
  swap_users(3);
  ASSERT_TRUE(eventually([&] { return incarnation() > before; }));
  batch_builder b(users(), write_kind::upsert);
  b.row({{"id", I(4)}, {"name", T("written")}});
  ASSERT_EQ(fates(write(b)), "c");
  EXPECT_TRUE(work_is_left()) << "the write waited for all of it";
  ASSERT_TRUE(eventually([&] { return !work_is_left(); }));
  EXPECT_TRUE(clean());
  EXPECT_EQ(db().query_int("SELECT count(*) FROM syncline_feed").value(), 4);
}

TEST_F(sqlite_store_swap, AStreamMissesNothingWhileItsRowsAreNumbered) {
  open_store();
  create_users(1, 100);
  std::optional<cursor> old;
  (void)follow(store_->make_stream({{&users(), ""}}), old);
  const std::int64_t before = incarnation();
  swap_users(8000);
  wait_for_numbering(before);
  const auto what = store_->make_stream({{&users(), ""}});
  EXPECT_EQ(follow(what, old), lines{"reset declaration-changed"});
  std::optional<cursor> at;
  std::set<std::string> copy;
  const auto take = [&](const lines& changes) {
    for (const std::string& each : changes) {
      const std::string id = each.substr(each.rfind(' ') + 1);
      if (each.starts_with("put")) copy.insert(id);
      if (each.starts_with("remove")) copy.erase(id);
    }
  };
  bool left = true;
  for (std::int64_t id = 1; left; id += 97) {
    left = work_is_left();
    run(db(), fmt::format("DELETE FROM users WHERE id={}; INSERT OR IGNORE INTO users(id,name) "
                          "VALUES({},'late')",
                          id, 30000 + id));
    take(follow(what, at));
  }
  EXPECT_EQ(static_cast<std::int64_t>(copy.size()), db().query_int("SELECT count(*) FROM users").value());
  EXPECT_TRUE(clean());
}

// Whoever swaps the table again in the middle finds nothing of the one before.
TEST_F(sqlite_store_swap, ASecondSwapInTheMiddleStartsOver) {
  open_store();
  const std::int64_t before = incarnation();
  swap_users(kManyRows);
  wait_for_numbering(before);
  swap_users(50, "newer ");
  ASSERT_TRUE(eventually([&] { return incarnation() == before + 2 && !work_is_left(); }));
  EXPECT_TRUE(clean());
  std::optional<cursor> at;
  EXPECT_EQ(follow(store_->make_stream({{&users(), ""}}), at).size(), 50U);
}

TEST_F(sqlite_store_swap, AViewWhoseTableIsGoneIsNoConcernOfOthers) {
  run(db(),
      "CREATE TABLE extra(id INTEGER PRIMARY KEY, name TEXT); CREATE VIEW names AS SELECT id, name FROM "
      "extra;"
      "INSERT INTO extra VALUES(7,'seven')");
  resource names = make_resource("names", "id:int64 name", {"id"});
  names.view = true;
  names.synced = false;
  const resource& view = all_.add(std::move(names));
  open_store();
  create_users(1, 2);
  EXPECT_NE(row_of(view, "7"), "");
  run(db(), "DROP TABLE extra");
  EXPECT_NE(row_of(users(), "1"), "");
  batch_builder b(users(), write_kind::upsert);
  b.row({{"id", I(3)}, {"name", T("written")}});
  EXPECT_EQ(fates(write(b)), "c");
  auto gone = get(view, {"7"});
  ASSERT_FALSE(gone.has_value());
  EXPECT_EQ(gone.error().code, net::errc::schema_mismatch) << gone.error().text();
  run(db(), "CREATE TABLE extra(id INTEGER PRIMARY KEY, name TEXT); INSERT INTO extra VALUES(7,'again')");
  EXPECT_NE(row_of(view, "7").find("again"), std::string::npos);
}

// What the statements of reads and writes are made of is read from the schema.
TEST_F(sqlite_store_swap, AWriteTakesTheDefaultsOfTheNewTable) {
  open_store();
  batch_builder before(users(), write_kind::replace);
  before.key("1").batch.cells[1] = T("a");
  ASSERT_EQ(fates(write(before)), "c");
  before = batch_builder(users(), write_kind::replace);
  before.key("1").batch.cells[1] = T("b");
  ASSERT_EQ(fates(write(before)), "u");  // what is not given becomes the default
  EXPECT_NE(row_of(users(), "1").find("\"score\":1.5"), std::string::npos) << row_of(users(), "1");
  run(db(),
      "BEGIN; DROP TABLE users; CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT "
      "UNIQUE, team INTEGER, state TEXT DEFAULT '{}', score REAL DEFAULT 7.25, deleted_at TEXT);"
      "CREATE INDEX users_team ON users(team); INSERT INTO users(id,name) VALUES(1,'x'); COMMIT");
  batch_builder after(users(), write_kind::replace);
  after.key("1").batch.cells[1] = T("c");
  ASSERT_EQ(fates(write(after)), "u");
  EXPECT_NE(row_of(users(), "1").find("\"score\":7.25"), std::string::npos) << row_of(users(), "1");
}

TEST_F(sqlite_store_swap, ReadsAndWritesCompareKeysAsTheNewTableDoes) {
  run(db(), "DROP TABLE tags; CREATE TABLE tags(tag TEXT PRIMARY KEY NOT NULL, uses INTEGER)");
  open_store();
  batch_builder b(tags(), write_kind::upsert);
  b.row({{"tag", T("a")}, {"uses", I(1)}}).row({{"tag", T("B")}, {"uses", I(2)}});
  ASSERT_EQ(fates(write(b)), "cc");
  const auto keys = [&] {
    list_query q;
    q.of = &tags();
    q.what = projection::all(tags());
    q.from = page_from::after;
    q.key = "B";
    q.limit = 10;
    auto made = list(q);
    std::string out;
    for (std::size_t i = 0; made && i < made->slices.size(); ++i) out += made->key(made->slices[i]);
    return made ? out : made.error().text();
  };
  EXPECT_EQ(keys(), "a") << "bytewise a is beyond B";
  run(db(),
      "BEGIN; DROP TABLE tags; CREATE TABLE tags(tag TEXT NOT NULL, uses INTEGER, PRIMARY KEY(tag COLLATE "
      "NOCASE)); INSERT INTO tags VALUES('a',1),('B',2); COMMIT");
  EXPECT_EQ(keys(), "") << "in the order of the key's index nothing is beyond B";
  run(db(),
      "BEGIN; DROP TABLE tags; CREATE TABLE tags(tag TEXT COLLATE NOCASE NOT NULL PRIMARY KEY, uses INTEGER) "
      "WITHOUT ROWID; INSERT INTO tags VALUES('a',1),('B',2); COMMIT");
  EXPECT_EQ(keys(), "");
  EXPECT_EQ(row_of(tags(), "A"), "") << "a key is its bytes, whatever the collation";
  batch_builder remove(tags(), write_kind::remove);
  remove.key("A");
  EXPECT_EQ(fates(write(remove)), "x") << "and so it is for a write";
}

}  // namespace syncline::storage::sqlite::testing
