#include "storage/sqlite/connection.h"

#include <fstream>
#include <set>

#include "tests/storage/sqlite_tables.h"

namespace syncline::storage::sqlite {
namespace {

using testing::open_or_die;
using testing::run;
using testing::scratch_file;

connection_options options_for(const std::string& path) {
  connection_options o;
  o.path = path;
  o.create = true;
  o.busy_timeout_ms = 0;
  return o;
}

TEST(sqlite_connection, OpensWithTheRecommendedSettings) {
  scratch_file file;
  auto db = connection::open(options_for(file.path()));
  ASSERT_TRUE(db.has_value()) << db.error().text();
  EXPECT_EQ(db->query_text("PRAGMA journal_mode").value(), "wal");
  EXPECT_EQ(db->query_int("PRAGMA synchronous").value(), 2);
  EXPECT_EQ(db->query_int("PRAGMA foreign_keys").value(), 1);
}

TEST(sqlite_connection, AMissingFileIsDownUnlessItMayBeCreated) {
  connection_options o = options_for("/nonexistent-folder/x.db");
  EXPECT_EQ(connection::open(o).error().code, net::errc::down);
  scratch_file file;
  std::filesystem::remove(file.path());
  o = options_for(file.path());
  o.create = false;
  EXPECT_EQ(connection::open(o).error().code, net::errc::down);
}

TEST(sqlite_connection, AFileThatIsNoDatabaseIsCorrupt) {
  scratch_file file;
  std::ofstream(file.path()) << std::string(4096, 'x');
  EXPECT_EQ(connection::open(options_for(file.path())).error().code, net::errc::corrupt);
}

TEST(sqlite_connection, ADatabaseInUtf16IsRefused) {
  scratch_file file;
  sqlite3* raw = nullptr;
  ASSERT_EQ(sqlite3_open(file.path().c_str(), &raw), SQLITE_OK);
  sqlite3_exec(raw, "PRAGMA encoding='UTF-16'; CREATE TABLE t(x)", nullptr, nullptr, nullptr);
  sqlite3_close(raw);
  EXPECT_EQ(connection::open(options_for(file.path())).error().code, net::errc::schema_mismatch);
}

TEST(sqlite_connection, AnUnknownSynchronousModeIsRefused) {
  connection_options o = options_for(":memory:");
  o.synchronous = "FULL; DROP TABLE users";
  EXPECT_EQ(connection::open(o).error().code, net::errc::invalid);
}

TEST(sqlite_connection, CodesOfSqliteBecomeOurs) {
  scratch_file file;
  auto a = connection::open(options_for(file.path()));
  auto b = connection::open(options_for(file.path()));
  ASSERT_TRUE(a.has_value() && b.has_value());
  run(*a, "CREATE TABLE t(id INTEGER PRIMARY KEY, x TEXT UNIQUE); INSERT INTO t VALUES(1,'a')");
  const net::result<void> twice = a->exec("INSERT INTO t VALUES(2,'a')");
  EXPECT_EQ(twice.error().code, net::errc::conflict);
  EXPECT_NE(twice.error().detail.find("UNIQUE constraint failed: t.x"), std::string::npos);
  EXPECT_EQ(a->exec("SELECT * FROM nowhere").error().code, net::errc::schema_mismatch);
  EXPECT_EQ(a->exec("SELECT missing FROM t").error().code, net::errc::schema_mismatch);
  EXPECT_EQ(a->exec("SELEKT").error().code, net::errc::internal);
  run(*a, "BEGIN IMMEDIATE");
  EXPECT_EQ(b->exec("BEGIN IMMEDIATE").error().code, net::errc::locked);
  run(*a, "ROLLBACK");
  run(*a, "PRAGMA max_page_count=3");
  EXPECT_EQ(a->exec("INSERT INTO t VALUES(5, zeroblob(1000000))").error().code, net::errc::disk_full);
}

TEST(sqlite_connection, AReaderCannotWrite) {
  scratch_file file;
  auto writer = connection::open(options_for(file.path()));
  ASSERT_TRUE(writer.has_value());
  run(*writer, "CREATE TABLE t(x)");
  connection_options o = options_for(file.path());
  o.read_only = true;
  auto reader = connection::open(o);
  ASSERT_TRUE(reader.has_value()) << reader.error().text();
  EXPECT_EQ(reader->query_int("SELECT count(*) FROM t").value(), 0);
  EXPECT_EQ(reader->exec("INSERT INTO t VALUES(1)").error().code, net::errc::down);
}

TEST(sqlite_connection, CellsComeBackAsTheyWereBound) {
  connection db = open_or_die();
  auto s = db.prepare("SELECT ?1,?2,?3,?4,?5,?6,?7,?8");
  ASSERT_TRUE(s.has_value());
  const std::string with_nul("a\0b", 3);
  s->bind(1, cell::of_int(-5));
  s->bind(2, cell::of_real(0.5));
  s->bind(3, cell::of_text(with_nul));
  s->bind(4, cell::of_blob(with_nul));
  s->bind(5, cell::of_null());
  s->bind(6, cell());
  s->bind(7, cell::of_text(std::string_view()));
  s->bind(8, cell::of_blob(std::string_view()));
  ASSERT_EQ(s->step(), SQLITE_ROW);
  EXPECT_EQ(s->column(0).integer, -5);
  EXPECT_EQ(s->column(1).real, 0.5);
  EXPECT_EQ(s->column(2).text, with_nul);
  EXPECT_EQ(s->column(2).k, cell::kind::text);
  EXPECT_EQ(s->column(3).text, with_nul);
  EXPECT_EQ(s->column(3).k, cell::kind::blob);
  EXPECT_EQ(s->column(4).k, cell::kind::null);
  EXPECT_EQ(s->column(5).k, cell::kind::null);
  EXPECT_EQ(s->column(6).k, cell::kind::text);
  EXPECT_EQ(s->column(7).k, cell::kind::blob);
}

TEST(sqlite_connection, CachedStatementsAreKeptUntilTheCacheIsFull) {
  connection_options o = options_for(":memory:");
  o.statements_max = 2;
  auto db = connection::open(o);
  ASSERT_TRUE(db.has_value());
  statement* first = db->cached("SELECT 1").value();
  EXPECT_EQ(db->cached("SELECT 1").value(), first);
  (void)db->cached("SELECT 2").value();
  statement* third = db->cached("SELECT 3").value();
  EXPECT_EQ(third->step(), SQLITE_ROW);
  EXPECT_EQ(third->integer(0), 3);
}

TEST(sqlite_connection, AMovedConnectionKeepsItsStatements) {
  connection db = open_or_die();
  statement* s = db.cached("SELECT 7").value();
  connection other = std::move(db);
  EXPECT_FALSE(static_cast<bool>(db));  // NOLINT: what is left behind is empty on purpose
  EXPECT_EQ(other.cached("SELECT 7").value(), s);
  other = open_or_die();
  EXPECT_EQ(other.query_int("SELECT 8").value(), 8);
}

TEST(sqlite_connection, QueriesWithoutARowAreNotFound) {
  connection db = open_or_die();
  EXPECT_EQ(db.query_int("SELECT 1 WHERE 0").error().code, net::errc::not_found);
  EXPECT_EQ(db.query_text("SELECT 1 WHERE 0").error().code, net::errc::not_found);
}

TEST(sqlite_connection, NamesAndTextsAreQuoted) {
  connection db = open_or_die();
  const std::string awkward = "a\"b'c";
  run(db, "CREATE TABLE " + sqlite::quoted(awkward) + "(x)");
  EXPECT_EQ(db.query_text("SELECT name FROM sqlite_schema WHERE name=" + literal(awkward)).value(), awkward);
}

}  // namespace
}  // namespace syncline::storage::sqlite
