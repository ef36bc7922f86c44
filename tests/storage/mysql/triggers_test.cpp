// What MySQL's triggers note: the places a row enters and leaves, exactly as key.h writes them.

#include "storage/mysql/triggers.h"

#include "tests/storage/mysql/schema_fixture.h"

namespace syncline::storage::mysql {
namespace {

using namespace testing;

class MysqlTriggers : public mysql_schema_test {};

TEST_F(MysqlTriggers, InsertUpdateAndDeleteAreNoted) {
  sql("CREATE TABLE notes (id BIGINT PRIMARY KEY, owner INT, body TEXT, other INT, KEY (owner))");
  catalog all;
  all.add(make_resource("notes", "id:int64 owner:int64 body", {"id"}, {{"user", "owner"}}));
  migrated(all);
  EXPECT_EQ(noted_by("INSERT INTO notes VALUES (1,7,'a',0),(2,NULL,'b',0)"),
            (lines{"notes [user:7] 1", "notes [] 2"}));
  EXPECT_EQ(noted_by("UPDATE notes SET body='A' WHERE id=1"), (lines{"notes [user:7] 1"})) << "by bytes";
  EXPECT_EQ(noted_by("UPDATE notes SET body='A ' WHERE id=1"), (lines{"notes [user:7] 1"})) << "pad space";
  EXPECT_EQ(noted_by("UPDATE notes SET body='A ', other=5"), lines{"notes [] 2"}) << "undeclared, unchanged";
  EXPECT_EQ(noted_by("UPDATE notes SET owner=8 WHERE id=1"),
            (lines{"notes [user:7] 1 gone", "notes [user:8] 1"}));
  EXPECT_EQ(noted_by("UPDATE notes SET owner=NULL WHERE id=1"),
            (lines{"notes [user:8] 1 gone", "notes [] 1"}));
  EXPECT_EQ(noted_by("UPDATE notes SET id=3 WHERE id=1"), (lines{"notes [] 1 gone", "notes [] 3"}));
  EXPECT_EQ(noted_by("DELETE FROM notes"), (lines{"notes [] 2 gone", "notes [] 3 gone"}));
}

TEST_F(MysqlTriggers, EachScopeHasItsOwnPlace) {
  sql("CREATE TABLE tasks (a INT, b VARCHAR(20), user_id INT, org VARCHAR(20), n INT, PRIMARY KEY (a,b), KEY "
      "(user_id), "
      "KEY (org))");
  catalog all;
  all.add(make_resource("tasks", "a:int64 b user_id:int64 org n:int64", {"a", "b"},
                        {{"user", "user_id"}, {"org", "org"}}));
  migrated(all);
  EXPECT_EQ(noted_by("INSERT INTO tasks VALUES (1,'x,y',5,'50%',0)"),
            (lines{"tasks [user:5] 1,x%2Cy", "tasks [org:50%25] 1,x%2Cy"}));
  EXPECT_EQ(noted_by("UPDATE tasks SET org=NULL"),
            (lines{"tasks [org:50%25] 1,x%2Cy gone", "tasks [user:5] 1,x%2Cy"}));
  EXPECT_EQ(noted_by("UPDATE tasks SET n=1"), (lines{"tasks [user:5] 1,x%2Cy"}));
  EXPECT_EQ(noted_by("UPDATE tasks SET org='z', user_id=NULL"),
            (lines{"tasks [user:5] 1,x%2Cy gone", "tasks [] 1,x%2Cy", "tasks [org:z] 1,x%2Cy"}));
  EXPECT_EQ(noted_by("UPDATE tasks SET b='X,Y'"),
            (lines{"tasks [] 1,x%2Cy gone", "tasks [org:z] 1,x%2Cy gone", "tasks [] 1,X%2CY",
                   "tasks [org:z] 1,X%2CY"}))
      << "the collation calls them equal";
}

TEST_F(MysqlTriggers, ReplaceAndUpsertAreNoted) {
  sql("CREATE TABLE t (id INT PRIMARY KEY, u INT UNIQUE, v INT)");
  catalog all;
  all.add(make_resource("t", "id:int64 u:int64 v:int64", {"id"}));
  migrated(all);
  sql("INSERT INTO t VALUES (1,10,0),(2,20,0)");
  EXPECT_EQ(noted_by("REPLACE INTO t VALUES (3,20,1)"), (lines{"t [] 2 gone", "t [] 3"}));
  EXPECT_EQ(noted_by("INSERT INTO t VALUES (9,10,5) ON DUPLICATE KEY UPDATE v=5"), (lines{"t [] 1"}));
  EXPECT_EQ(noted_by("INSERT IGNORE INTO t VALUES (1,99,5)"), lines{});
  EXPECT_EQ(noted_by("UPDATE t AS a JOIN t AS b ON a.id=1 AND b.id=3 SET a.v=7, b.v=8"),
            (lines{"t [] 1", "t [] 3"}));
}

TEST_F(MysqlTriggers, WithWhereARowIsNotedAsPossiblyGone) {
  sql("CREATE TABLE t (id INT PRIMARY KEY, v INT, deleted_at DATETIME NULL)");
  catalog all;
  all.add(make_resource("t", "id:int64 v:int64", {"id"}, {}, "deleted_at IS NULL"));
  migrated(all);
  EXPECT_EQ(noted_by("INSERT INTO t VALUES (1,1,NULL)"), (lines{"t [] 1 gone"}));
  EXPECT_EQ(noted_by("UPDATE t SET deleted_at=NOW()"), (lines{"t [] 1 gone"}))
      << "an undeclared column of where";
}

// The texts that triggers make in SQL are those of key_of_row().
TEST_F(MysqlTriggers, KeysOfEveryTypeAreCanonical) {
  struct key_sample {
    const char* declared;
    const char* type;
    const char* value;
    const char* key;
  };
  const key_sample samples[] = {
      {"TINYINT", "int64", "-5", "-5"},
      {"BIGINT UNSIGNED", "int64", "9007199254740993", "9007199254740993"},
      {"INT(8) UNSIGNED ZEROFILL", "int64", "42", "42"},
      {"YEAR", "int64", "2026", "2026"},
      {"YEAR", "int64", "0", "0"},
      {"TINYINT(1)", "boolean", "1", "1"},
      {"BIT(1)", "boolean", "b'1'", "1"},
      {"VARCHAR(50) CHARACTER SET latin1", "string", "'\xC3\xA9,%'", "\xC3\xA9%2C%25"},
      {"VARCHAR(50) COLLATE utf8mb4_bin", "string", "'A\\\\b'", "A\\b"},
      {"CHAR(10)", "string", "'ab  '", "ab"},
      {"VARBINARY(10)", "bytes", "x'00ff2c'", "00FF2C"},
      {"BINARY(3)", "bytes", "x'01'", "010000"},
      {"DATE", "date", "'2026-11-20'", "2026-11-20"},
      {"DATETIME", "timestamp", "'2026-11-20 12:00:01'", "2026-11-20T12:00:01Z"},
      {"DATETIME(3)", "timestamp", "'2026-11-20 12:00:01.120'", "2026-11-20T12:00:01.120Z"},
      {"DECIMAL(10,2)", "decimal", "-12.5", "-12.50"},
  };
  catalog all;
  int n = 0;
  for (const key_sample& s : samples) {
    const std::string name = "k" + std::to_string(n++);
    sql("CREATE TABLE " + name + " (k " + s.declared + " PRIMARY KEY, v INT)");
    all.add(make_resource(name, std::string("k:") + s.type + " v:int64", {"k"}, {{"s", "k"}}));
  }
  migrated(all);
  n = 0;
  for (const key_sample& s : samples) {
    const std::string name = "k" + std::to_string(n++);
    const std::string noted = name + " [s:" + s.key + "] " + s.key;
    EXPECT_EQ(noted_by("INSERT INTO " + name + " VALUES (" + s.value + ",1)"), lines{noted}) << s.declared;
    EXPECT_EQ(noted_by("UPDATE " + name + " SET v=2"), lines{noted}) << s.declared;
    EXPECT_EQ(noted_by("UPDATE " + name + " SET v=2, k=" + s.value), lines{}) << s.declared;
    EXPECT_EQ(noted_by("DELETE FROM " + name), lines{noted + " gone"}) << s.declared;
  }
}

// What collations and MySQL's comparisons call equal and a client would see as another value.
TEST_F(MysqlTriggers, EveryChangeOfAStoredValueIsNoted) {
  sql("CREATE TABLE t (id INT PRIMARY KEY, s VARCHAR(20), j JSON, d DOUBLE, f FLOAT, b VARBINARY(9), e "
      "ENUM('a','b'), "
      "x DECIMAL(8,2), at DATETIME(3), y BIT(1))");
  catalog all;
  all.add(make_resource(
      "t", "id:int64 s j:json d:float64 f:float64 b:bytes e x:decimal at:timestamp y:boolean", {"id"}));
  migrated(all);
  sql("INSERT INTO t VALUES (1,'a','1',0.0,0.1,x'00','a',1.1,'2026-01-01 00:00:00.001',b'0')");
  for (const char* change : {"s='A'", "s='A '", "s='\xC3\xA4'", "j='{\"a\":1}'", "d=-0e0", "d=1e-300",
                             "f=0.10000001", "b=x'0000'", "e='b'", "x=1.11", "at='2026-01-01 00:00:00.002'",
                             "y=b'1'", "s=NULL", "s=''", "j=NULL", "j='null'"}) {
    EXPECT_EQ(noted_by(std::string("UPDATE t SET ") + change), lines{"t [] 1"}) << change;
    EXPECT_EQ(noted_by(std::string("UPDATE t SET ") + change), lines{}) << change;
  }
}

TEST_F(MysqlTriggers, ARolledBackChangeIsNotNoted) {
  sql("CREATE TABLE t (id INT PRIMARY KEY, v INT)");
  catalog all;
  all.add(make_resource("t", "id:int64 v:int64", {"id"}));
  migrated(all);
  sql("START TRANSACTION");
  sql("INSERT INTO t VALUES (1,1)");
  sql("ROLLBACK");
  EXPECT_EQ(noted(), lines{});
}

// The session's settings are those of whoever writes, not ours.
TEST_F(MysqlTriggers, TextsDoNotDependOnTheWritersSession) {
  sql("CREATE TABLE t (id DATETIME PRIMARY KEY, owner VARCHAR(9) CHARACTER SET latin1, KEY(owner))");
  catalog all;
  all.add(make_resource("t", "id:timestamp owner", {"id"}, {{"user", "owner"}}));
  migrated(all);
  sql("SET time_zone='+05:30', "
      "sql_mode='ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,PAD_CHAR_TO_FULL_LENGTH', "
      "collation_connection='utf8mb4_general_ci', lc_time_names='de_DE'");
  EXPECT_EQ(noted_by("INSERT INTO t VALUES ('2026-11-20 12:00:00','\xC3\xA9,')"),
            lines{"t [user:\xC3\xA9%2C] 2026-11-20T12:00:00Z"});
}

TEST_F(MysqlTriggers, OwnersNamesMayBeAnything) {
  sql("CREATE TABLE `we``ird tbl` (`se lect` INT PRIMARY KEY, `na``me` VARCHAR(9), `gr\xC3\xB6\xC3\x9F"
      "e` INT)");
  catalog all;
  resource r = make_resource("odd", "a:int64 b c:int64", {"a"});
  r.table = "we`ird tbl";
  r.columns[0].name = "se lect";
  r.columns[1].name = "na`me";
  r.columns[2].name =
      "gr\xC3\xB6\xC3\x9F"
      "e";
  all.add(r);
  migrated(all);
  EXPECT_EQ(noted_by("INSERT INTO `we``ird tbl` VALUES (1,'x',1)"), lines{"odd [] 1"});
  EXPECT_EQ(noted_by("UPDATE `we``ird tbl` SET `gr\xC3\xB6\xC3\x9F"
                     "e`=2"),
            lines{"odd [] 1"});
  EXPECT_EQ(missing(all), lines{});
  EXPECT_TRUE(migrated(all).statements.empty());
}

}  // namespace
}  // namespace syncline::storage::mysql
