#include <gmock/gmock.h>

#include <boost/json.hpp>

#include "tests/storage/sqlite_tables.h"

namespace syncline::storage::sqlite {
namespace {

using ::testing::HasSubstr;
using testing::open_or_die;
using testing::run;

boost::json::object parsed(const std::string& text) {
  boost::json::parse_options options;
  options.allow_comments = true;
  return boost::json::parse(text, {}, options).as_object();
}

TEST(sqlite_introspect, PrintsTheResourcesOfAFile) {
  connection db = open_or_die();
  run(db,
      "CREATE TABLE users(id INTEGER PRIMARY KEY, name VARCHAR(80) NOT NULL, active BOOLEAN, state JSON, "
      "born DATE, "
      "seen DATETIME, rate DOUBLE, raised DECIMAL(10,2), face BLOB);"
      "CREATE TABLE follows(user_id INTEGER NOT NULL REFERENCES users(id), target_id INTEGER NOT NULL, "
      "PRIMARY KEY(user_id, target_id));"
      "CREATE VIEW names AS SELECT id, name FROM users");
  const auto text = introspect(db);
  ASSERT_TRUE(text.has_value()) << text.error().text();
  EXPECT_EQ(*text, R"({
  // "user_id" refers to "users": "scope": {"user":"user_id"}
  "follows": {
    "table": "follows",
    "key": ["user_id", "target_id"],
    "columns": {
      "user_id": "int64",
      "target_id": "int64"
    }
  },
  // whose row it is: "scope": {"user":"id"}
  "users": {
    "table": "users",
    "key": "id",
    "columns": {
      "id": "int64",
      "name": "string",
      "active": "boolean",
      "state": "json",
      "born": "date",
      "seen": "timestamp",
      "rate": "float64",
      "raised": "decimal",
      "face": "bytes"
    }
  },
  // a view has no PRIMARY KEY: is this key unique?
  "names": {
    "table": "names",
    "key": "id",
    "columns": {
      "id": "int64",
      "name": "string"
    },
    "view": true
  }
}
)");
  EXPECT_EQ(parsed(*text).size(), 3U);
}

TEST(sqlite_introspect, SaysWhatItLeftOutAndWhy) {
  connection db = open_or_die();
  run(db,
      "CREATE TABLE logs(line TEXT);"
      "CREATE TABLE odd(id INTEGER PRIMARY KEY, code UUID);"
      "CREATE TABLE rates(day DATE PRIMARY KEY);"
      "CREATE TABLE slugs(name TEXT NOT NULL UNIQUE, rowid TEXT);"
      "CREATE VIRTUAL TABLE words USING fts5(word)");
  const auto text = introspect(db);
  ASSERT_TRUE(text.has_value()) << text.error().text();
  EXPECT_THAT(*text, HasSubstr("// table \"logs\" is left out: it has no PRIMARY KEY"));
  EXPECT_THAT(*text, HasSubstr("// \"code\" is left out: SQLite takes the type \"UUID\" for a number"));
  EXPECT_THAT(
      *text,
      HasSubstr("// table \"rates\" is left out: resource rates: column \"day\" is date in the config and "
                "\"DATE\" (NUMERIC affinity) in the table, which cannot be a key"));
  EXPECT_THAT(*text, HasSubstr("// virtual \"words\" is left out"));
  const boost::json::object out = parsed(*text);
  ASSERT_EQ(out.size(), 2U);
  EXPECT_EQ(out.at("slugs").at("key").as_string(), "name");
  EXPECT_FALSE(out.at("odd").at("columns").as_object().contains("code"));
}

TEST(sqlite_introspect, LeavesSynclinesOwnTablesOut) {
  connection db = open_or_die();
  run(db, "CREATE TABLE notes(id INTEGER PRIMARY KEY)");
  catalog all;
  all.add(testing::make_resource("notes", "id:int64", {"id"}));
  testing::migrate_or_die(db, all);
  EXPECT_EQ(parsed(introspect(db).value()).size(), 1U);
}

TEST(sqlite_introspect, AnEmptyFileIsAnEmptyObject) {
  connection db = open_or_die();
  EXPECT_EQ(introspect(db).value(), "{\n}\n");
}

TEST(sqlite_introspect, NamesAreEscaped) {
  connection db = open_or_die();
  run(db, "CREATE TABLE \"a\"\"b\nc\"(\"x\\y\" INTEGER PRIMARY KEY); CREATE TABLE \"no\nkey\"(x)");
  const boost::json::object out = parsed(introspect(db).value());
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out.begin()->key(), "a\"b\nc");
}

}  // namespace
}  // namespace syncline::storage::sqlite
