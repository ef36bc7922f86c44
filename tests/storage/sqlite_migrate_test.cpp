#include <fmt/format.h>
#include <gmock/gmock.h>

#include "storage/sqlite/triggers.h"
#include "tests/storage/sqlite_tables.h"

namespace syncline::storage::sqlite {
namespace {

using testing::clock_of;
using ::testing::Contains;
using ::testing::ElementsAre;
using testing::entries_after;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::make_resource;
using testing::migrate_or_die;
using testing::open_or_die;
using testing::run;
using testing::scratch_file;
using ::testing::UnorderedElementsAre;

constexpr std::string_view kNotes =
    "CREATE TABLE notes(id INTEGER PRIMARY KEY, owner INTEGER, body TEXT NOT NULL DEFAULT ''); CREATE INDEX "
    "notes_owner ON "
    "notes(owner)";

resource notes(std::string where = {}) {
  return make_resource("notes", "id:int64 owner:int64 body", {"id"}, {{"user", "owner"}}, std::move(where));
}

std::int64_t objects_of_ours(connection& db) {
  return db.query_int("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'syncline%'").value();
}

bool migrated(connection& db, const catalog& all) {
  std::vector<std::string> missing;
  return is_migrated(db, all, missing).value();
}

std::string refusal(std::string_view tables, resource of) {
  connection db = open_or_die();
  run(db, tables);
  catalog all;
  all.add(std::move(of));
  const auto fitted = fit_to_schema(db, all);
  if (fitted) return "";
  EXPECT_EQ(fitted.error().code, net::errc::schema_mismatch);
  return fitted.error().detail;
}

TEST(sqlite_migrate, NumbersTheRowsThatAreThere) {
  connection db = open_or_die();
  run(db, kNotes);
  run(db, "INSERT INTO notes VALUES(1,7,'a'),(2,NULL,'b'),(3,8,'hidden')");
  catalog all;
  all.add(notes("body <> 'hidden'"));
  const migrate_report report = migrate_or_die(db, all);
  EXPECT_EQ(report.rows_numbered, 2U);
  EXPECT_THAT(entries_after(db, 0), ElementsAre("notes [user:7] 1", "notes [] 2"));
  EXPECT_EQ(clock_of(db), 2);
  EXPECT_TRUE(migrated(db, all));
  EXPECT_TRUE(check_feed(db, all, false)->clean());
}

TEST(sqlite_migrate, NumbersInBatchesAndTellsHowFarItIs) {
  connection db = open_or_die();
  run(db, kNotes);
  run(db,
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<4500) INSERT INTO notes SELECT "
      "i*3,i%5,'' FROM n");
  run(db,
      "CREATE TABLE pairs(a TEXT COLLATE NOCASE, b BLOB, PRIMARY KEY(a DESC, b)) WITHOUT ROWID;"
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<4500) INSERT INTO pairs SELECT "
      "'k'||(i%700), CAST(x'00'||i AS BLOB) FROM n");
  catalog all;
  all.add(notes());
  all.add(make_resource("pairs", "a b:bytes", {"a", "b"}));
  std::vector<std::uint64_t> steps;
  const auto report = migrate(db, all, false, [&](std::string_view name, std::uint64_t done) {
    if (name == "notes") steps.push_back(done);
  });
  ASSERT_TRUE(report.has_value()) << report.error().text();
  EXPECT_EQ(report->rows_numbered, 9000U);
  EXPECT_THAT(steps, ElementsAre(2000, 4000, 4500));
  EXPECT_EQ(db.query_int("SELECT max(seq) FROM syncline_feed").value(), 9000);
  const auto checked = check_feed(db, all, false);
  EXPECT_TRUE(checked->clean());
  EXPECT_EQ(checked->rows_checked, 9000U);
  EXPECT_EQ(checked->entries_checked, 9000U);
}

// Keys that are equal under the column's collation and not under the index's must not fall between two
// batches.
TEST(sqlite_migrate, WalksKeysInTheOrderOfTheirIndex) {
  for (const std::string_view primary :
       {"a, b", "a COLLATE BINARY, b", "a DESC, b DESC", "b, a COLLATE NOCASE"}) {
    connection db = open_or_die();
    run(db,
        fmt::format(
            "CREATE TABLE pairs(a TEXT COLLATE NOCASE, b INTEGER, PRIMARY KEY({})) WITHOUT ROWID;"
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i+1 FROM n WHERE i<4999) INSERT INTO pairs "
            "SELECT CASE i%2 WHEN 0 THEN 'k' ELSE 'K' END||(i%3), i/2*2+i%2 FROM n",
            primary));
    catalog all;
    all.add(make_resource("pairs", "a b:int64", {"a", "b"}));
    EXPECT_EQ(migrate_or_die(db, all).rows_numbered, 5000U) << primary;
    EXPECT_TRUE(check_feed(db, all, false)->clean()) << primary;
  }
}

TEST(sqlite_migrate, GoesOnWhereACrashLeftIt) {
  connection db = open_or_die();
  run(db, kNotes);
  run(db, "INSERT INTO notes VALUES(1,7,'a'),(2,7,'b')");
  catalog all;
  all.add(notes());
  migrate_or_die(db, all);
  // What a crash after the first batch leaves: some entries, and the word that work is left.
  run(db,
      "DELETE FROM syncline_feed WHERE \"key\"='2'; UPDATE syncline_resource SET identity=identity||' rows'");
  EXPECT_FALSE(migrated(db, all));
  const migrate_report again = migrate_or_die(db, all);
  EXPECT_EQ(again.rows_numbered, 1U);
  EXPECT_THAT(again.resources_restarted, IsEmpty());
  EXPECT_TRUE(migrated(db, all));
}

// A restored backup whose clock is moved on by a new resource's rows must not pass for what its clients know.
TEST(sqlite_migrate, AGenerationBeginsBeforeRowsAreNumbered) {
  connection db = open_or_die();
  run(db, kNotes);
  run(db, "INSERT INTO notes VALUES(1,7,'a'),(2,NULL,'b')");
  catalog all;
  all.add(notes());
  migrate_or_die(db, all);
  run(db, "CREATE TABLE tags(tag TEXT PRIMARY KEY NOT NULL); INSERT INTO tags VALUES('x'),('y')");
  catalog more;
  more.add(notes());
  more.add(make_resource("tags", "tag", {"tag"}));
  ASSERT_EQ(clock_of(db), 2);
  migrate_or_die(db, more);
  EXPECT_EQ(clock_of(db), 4);
  const auto newest = [&] {
    return db.query_int("SELECT first_seq FROM syncline_generation ORDER BY number DESC LIMIT 1").value();
  };
  EXPECT_EQ(newest(), 2);
  migrate_or_die(db, more);
  EXPECT_EQ(newest(), 2) << "nothing was left to do";
}

TEST(sqlite_migrate, ASecondRunDoesNothing) {
  connection db = open_or_die();
  run(db, kNotes);
  catalog all;
  resource r = notes();
  r.search = {2};
  all.add(r);
  migrate_or_die(db, all);
  run(db, "INSERT INTO notes VALUES(1,7,'a')");
  const std::int64_t before = clock_of(db);
  const migrate_report again = migrate_or_die(db, all);
  EXPECT_THAT(again.statements, IsEmpty());
  EXPECT_EQ(again.rows_numbered, 0U);
  EXPECT_EQ(clock_of(db), before);
}

TEST(sqlite_migrate, ADryRunPrintsTheStatementsAndChangesNothing) {
  connection db = open_or_die();
  run(db, kNotes);
  catalog all;
  all.add(notes());
  const auto report = migrate(db, all, true);
  ASSERT_TRUE(report.has_value());
  EXPECT_EQ(objects_of_ours(db), 0);
  // What was printed does the same when run by hand.
  for (const std::string& sql : report->statements) run(db, sql);
  run(db, "INSERT INTO notes VALUES(1,7,'a')");
  EXPECT_THAT(entries_after(db, 0), ElementsAre("notes [user:7] 1"));
}

TEST(sqlite_migrate, RemoveTakesEverythingAway) {
  connection db = open_or_die();
  run(db, kNotes);
  catalog all;
  resource r = notes();
  r.search = {2};
  all.add(r);
  migrate_or_die(db, all);
  const auto dry = remove(db, all, true);
  ASSERT_TRUE(dry.has_value()) << dry.error().text();
  EXPECT_TRUE(migrated(db, all));
  const auto done = remove(db, all, false);
  ASSERT_TRUE(done.has_value()) << done.error().text();
  EXPECT_EQ(done->statements, dry->statements);
  EXPECT_EQ(objects_of_ours(db), 0);
  run(db, "INSERT INTO notes VALUES(1,7,'a')");
  migrate_or_die(db, all);
  EXPECT_TRUE(migrated(db, all));
}

TEST(sqlite_migrate, ATableThatWasDroppedAndMadeAgainStartsOver) {
  connection db = open_or_die();
  run(db, kNotes);
  catalog all;
  all.add(notes());
  migrate_or_die(db, all);
  run(db, "INSERT INTO notes VALUES(1,7,'a'),(2,7,'b')");
  const auto before = resource_rows(db, all).value();
  run(db, "DROP TABLE notes");
  run(db, kNotes);
  run(db, "INSERT INTO notes VALUES(5,7,'new')");
  std::vector<std::string> missing;
  EXPECT_FALSE(is_migrated(db, all, missing).value());
  EXPECT_THAT(missing, Contains("syncline_notes_after_insert"));
  const migrate_report report = migrate_or_die(db, all);
  EXPECT_THAT(report.resources_restarted, ElementsAre("notes"));
  const auto after = resource_rows(db, all).value();
  EXPECT_EQ(after[0].id, before[0].id);
  EXPECT_EQ(after[0].incarnation, before[0].incarnation + 1);
  EXPECT_THAT(entries_after(db, 0), ElementsAre("notes [user:7] 5"));
}

TEST(sqlite_migrate, ATableThatWasSwappedByRenameStartsOver) {
  connection db = open_or_die();
  run(db, kNotes);
  catalog all;
  all.add(notes());
  migrate_or_die(db, all);
  run(db, "INSERT INTO notes VALUES(1,7,'a')");
  run(db,
      "CREATE TABLE notes_new(id INTEGER PRIMARY KEY, owner INTEGER, body TEXT); INSERT INTO notes_new "
      "VALUES(9,7,'z');"
      "ALTER TABLE notes RENAME TO notes_old; ALTER TABLE notes_new RENAME TO notes; CREATE INDEX o ON "
      "notes(owner)");
  EXPECT_FALSE(migrated(db, all));
  EXPECT_THAT(migrate_or_die(db, all).resources_restarted, ElementsAre("notes"));
  EXPECT_THAT(entries_after(db, 0), ElementsAre("notes [user:7] 9"));
  run(db, "INSERT INTO notes_old VALUES(10,7,'y')");  // the old table's writes are followed no more
  EXPECT_THAT(entries_after(db, 0), ElementsAre("notes [user:7] 9"));
}

TEST(sqlite_migrate, VacuumAndANewPlainIndexChangeNothing) {
  scratch_file file;
  connection db = open_or_die(file.path());
  run(db, kNotes);
  catalog all;
  all.add(notes());
  migrate_or_die(db, all);
  run(db, "CREATE INDEX by_body ON notes(body); ALTER TABLE notes ADD COLUMN more TEXT; VACUUM");
  EXPECT_TRUE(migrated(db, all));
}

TEST(sqlite_migrate, ANewUniqueIndexAsksForMigrate) {
  connection db = open_or_die();
  run(db, kNotes);
  catalog all;
  all.add(notes());
  migrate_or_die(db, all);
  run(db, "CREATE UNIQUE INDEX by_body ON notes(body)");
  EXPECT_FALSE(migrated(db, all));
  migrate_or_die(db, all);
  run(db, "INSERT INTO notes VALUES(1,7,'a'); REPLACE INTO notes VALUES(2,7,'a')");
  EXPECT_THAT(entries_after(db, 0), UnorderedElementsAre("notes [user:7] 1 gone", "notes [user:7] 2"));
}

TEST(sqlite_migrate, AnotherDeclarationStartsOverAndASearchAloneDoesNot) {
  connection db = open_or_die();
  run(db, kNotes);
  run(db, "INSERT INTO notes VALUES(1,7,'apple')");
  catalog first;
  first.add(notes());
  migrate_or_die(db, first);

  catalog second;
  resource searched = notes();
  searched.search = {2};
  second.add(searched);
  EXPECT_FALSE(migrated(db, second));
  EXPECT_THAT(migrate_or_die(db, second).resources_restarted, IsEmpty());
  EXPECT_EQ(
      db.query_int("SELECT count(*) FROM syncline_search_notes WHERE syncline_search_notes MATCH 'apple'")
          .value(),
      1);

  EXPECT_FALSE(migrated(db, first));  // the triggers of the search are still there
  migrate_or_die(db, first);
  EXPECT_TRUE(migrated(db, first));
  EXPECT_EQ(db.query_int("SELECT count(*) FROM sqlite_schema WHERE name LIKE '%notes%search%' OR name LIKE "
                         "'%search_notes%'")
                .value(),
            0);

  catalog third;
  third.add(make_resource("notes", "id:int64 body", {"id"}));
  EXPECT_THAT(migrate_or_die(db, third).resources_restarted, ElementsAre("notes"));
  EXPECT_THAT(entries_after(db, 0), ElementsAre("notes [] 1"));
}

TEST(sqlite_migrate, AResourceThatLeftTheConfigComesBackWithANewIncarnation) {
  connection db = open_or_die();
  run(db, kNotes);
  catalog all;
  all.add(notes());
  migrate_or_die(db, all);
  const std::int64_t before = resource_rows(db, all).value()[0].incarnation;
  catalog none;
  migrate_or_die(db, none);
  run(db, "INSERT INTO notes VALUES(1,7,'unseen')");
  EXPECT_THAT(entries_after(db, 0), IsEmpty());
  migrate_or_die(db, all);
  EXPECT_EQ(resource_rows(db, all).value()[0].incarnation, before + 1);
  EXPECT_THAT(entries_after(db, 0), ElementsAre("notes [user:7] 1"));
}

TEST(sqlite_migrate, RowsWrittenBetweenBatchesAreNotNumberedTwice) {
  scratch_file file;
  connection db = open_or_die(file.path());
  connection other = open_or_die(file.path());
  run(db, kNotes);
  run(db,
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<5000) INSERT INTO notes SELECT "
      "i,1,'' FROM n");
  catalog all;
  all.add(notes());
  const auto report = migrate(db, all, false, [&](std::string_view, std::uint64_t) {
    run(other,
        "UPDATE notes SET body=body||'x' WHERE id IN (1,4000); DELETE FROM notes WHERE id=4500;"
        "INSERT OR IGNORE INTO notes VALUES(6000,2,'late')");
  });
  ASSERT_TRUE(report.has_value()) << report.error().text();
  EXPECT_TRUE(check_feed(db, all, false)->clean());
}

TEST(sqlite_migrate, FillsNullableAndDefaultFromTheTable) {
  connection db = open_or_die();
  run(db, kNotes);
  catalog all;
  all.add(notes());
  ASSERT_TRUE(fit_to_schema(db, all).has_value());
  const resource& r = all.at(0);
  EXPECT_FALSE(r.columns[0].nullable);
  EXPECT_TRUE(r.columns[0].has_default);  // a rowid is made up
  EXPECT_TRUE(r.columns[1].nullable);
  EXPECT_FALSE(r.columns[1].has_default);
  EXPECT_FALSE(r.columns[2].nullable);
  EXPECT_TRUE(r.columns[2].has_default);
}

TEST(sqlite_migrate, TellsAllDifferencesAtOnce) {
  const std::string why =
      refusal("CREATE TABLE notes(id TEXT PRIMARY KEY, owner INTEGER)",
              make_resource("notes", "id:int64 owner:int64 body", {"id"}, {{"user", "owner"}}));
  EXPECT_THAT(why, HasSubstr("no column \"body\""));
  EXPECT_THAT(why, HasSubstr("column \"id\" is int64"));
  EXPECT_THAT(why, HasSubstr("scope column \"owner\" has no index"));
}

TEST(sqlite_migrate, RefusesWhatItCouldNotFollow) {
  const std::string table = "CREATE TABLE notes(id INTEGER PRIMARY KEY, code TEXT UNIQUE, n TEXT NOT NULL);";
  EXPECT_THAT(refusal("", make_resource("notes", "id:int64", {"id"})), HasSubstr("there is no table"));
  EXPECT_THAT(refusal(table, make_resource("notes", "id:int64 code", {"code"})),
              HasSubstr("neither the PRIMARY KEY"));
  EXPECT_THAT(refusal(table, make_resource("notes", "n", {"n"})), HasSubstr("neither the PRIMARY KEY"));
  EXPECT_THAT(
      refusal(table + "CREATE UNIQUE INDEX u ON notes(n) WHERE id>3", make_resource("notes", "n", {"n"})),
      HasSubstr("neither the PRIMARY KEY"));
  EXPECT_EQ(refusal(table + "CREATE UNIQUE INDEX u ON notes(n)", make_resource("notes", "n", {"n"})), "");
  EXPECT_THAT(refusal(table + "CREATE INDEX p ON notes(n) WHERE id>3",
                      make_resource("notes", "id:int64 n", {"id"}, {{"user", "n"}})),
              HasSubstr("has no index"));
  EXPECT_THAT(refusal("CREATE VIEW notes AS SELECT 1 AS id", make_resource("notes", "id:int64", {"id"})),
              HasSubstr("\"view\": true"));
  EXPECT_THAT(refusal("CREATE TABLE notes(rowid TEXT, oid TEXT, _rowid_ TEXT, id TEXT PRIMARY KEY)",
                      make_resource("notes", "id", {"id"})),
              HasSubstr("cannot be told apart"));
  resource searched = make_resource("notes", "code", {"code"});
  searched.search = {0};
  EXPECT_THAT(refusal("CREATE TABLE notes(code TEXT PRIMARY KEY)", searched),
              HasSubstr("search needs an INTEGER PRIMARY KEY"));
  resource own = make_resource("clock", "id:int64", {"id"});
  own.table = "Syncline_clock";
  EXPECT_THAT(refusal("", own), HasSubstr("Syncline's own"));
}

TEST(sqlite_migrate, TypesMustKeepTheirValues) {
  const auto why = [](std::string_view sql_type, std::string_view type, bool key) {
    return refusal(
        fmt::format("CREATE TABLE notes(id INTEGER NOT NULL UNIQUE, v {} NOT NULL UNIQUE)", sql_type),
        make_resource("notes", fmt::format("id:int64 v:{}", type), {key ? "v" : "id"}));
  };
  EXPECT_EQ(why("BIGINT", "int64", true), "");
  EXPECT_NE(why("NUMERIC", "int64", true), "");
  EXPECT_EQ(why("NUMERIC", "int64", false), "");
  EXPECT_EQ(why("VARCHAR(20)", "string", true), "");
  EXPECT_NE(why("", "string", true), "");
  EXPECT_EQ(why("", "string", false), "");
  EXPECT_NE(why("STRING", "string", false), "");
  EXPECT_EQ(why("DATETIME", "timestamp", false), "");
  EXPECT_NE(why("DATETIME", "timestamp", true), "");
  EXPECT_EQ(why("JSON", "json", false), "");
  EXPECT_NE(why("TEXT", "json", true), "");
  EXPECT_NE(why("REAL", "decimal", false), "");
  EXPECT_NE(why("TEXT", "int64", false), "");
  EXPECT_EQ(why("BLOB", "bytes", true), "");
  EXPECT_NE(why("REAL", "float64", true), "");
}

TEST(sqlite_migrate, RefusesAWhereThatItCannotFollow) {
  const auto why = [](std::string where) {
    return refusal("CREATE TABLE notes(id INTEGER PRIMARY KEY, until TEXT); CREATE TABLE other(id)",
                   make_resource("notes", "id:int64 until", {"id"}, {}, std::move(where)));
  };
  EXPECT_EQ(why("until IS NULL OR until LIKE 'x%' -- comment"), "");
  EXPECT_EQ(why("length(until) > 3 AND id IN (1,2,3)"), "");
  EXPECT_THAT(why("until > datetime('now')"), HasSubstr("time"));
  EXPECT_THAT(why("until > DATE ( )"), HasSubstr("time"));
  EXPECT_EQ(why("until > date(id)"), "");
  EXPECT_NE(why("until > CURRENT_TIMESTAMP"), "");
  EXPECT_NE(why("random() > 0"), "");
  EXPECT_NE(why("id IN (SELECT id FROM other)"), "");
  EXPECT_NE(why("missing = 1"), "");
  EXPECT_NE(why("\"missing\" = 'x'"), "");
  EXPECT_NE(why("id = ?1"), "");
  EXPECT_NE(why("id = 1) OR ((1"), "");
  EXPECT_NE(why("id ="), "");
}

TEST(sqlite_migrate, RefusesNamesThatWouldCollide) {
  connection db = open_or_die();
  run(db, "CREATE TABLE a(id INTEGER PRIMARY KEY, t TEXT); CREATE TABLE b(id INTEGER PRIMARY KEY, t TEXT)");
  catalog all;
  resource a = make_resource("notes", "id:int64 t", {"id"});
  a.table = "a";
  a.search = {1};
  resource b = make_resource("Notes_data", "id:int64 t", {"id"});
  b.table = "b";
  b.search = {1};
  all.add(a);
  all.add(b);
  const auto fitted = fit_to_schema(db, all);
  ASSERT_FALSE(fitted.has_value());
  EXPECT_THAT(fitted.error().detail, HasSubstr("syncline_search_notes_data has the name of another"));
}

TEST(sqlite_migrate, TwoResourcesMayShareATable) {
  connection db = open_or_die();
  run(db, kNotes);
  catalog all;
  all.add(notes());
  resource open = make_resource("open_notes", "id:int64 body", {"id"}, {}, "owner IS NULL");
  open.table = "notes";
  all.add(open);
  migrate_or_die(db, all);
  run(db, "INSERT INTO notes VALUES(1,NULL,'a'),(2,7,'b')");
  EXPECT_THAT(entries_after(db, 0),
              UnorderedElementsAre("notes [] 1", "notes [user:7] 2", "open_notes [] 1"));
}

TEST(sqlite_migrate, AViewIsReadAndHasNothingBesideIt) {
  connection db = open_or_die();
  run(db, "CREATE TABLE t(id INTEGER PRIMARY KEY); CREATE VIEW v AS SELECT id FROM t");
  catalog all;
  resource v = make_resource("v", "id:int64", {"id"});
  v.view = true;
  v.synced = false;
  all.add(v);
  migrate_or_die(db, all);
  EXPECT_TRUE(migrated(db, all));
  EXPECT_EQ(resource_rows(db, all).value()[0].id, 0);
}

}  // namespace
}  // namespace syncline::storage::sqlite
