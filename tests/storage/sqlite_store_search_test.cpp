#include "tests/storage/sqlite_store_fixture.h"

namespace syncline::storage::sqlite::testing {

class sqlite_store_search : public store_test {
 protected:
  // The keys of the users that a keyword search finds, "1 3".
  std::string found(const std::string& words) {
    list_query q;
    q.of = &users();
    q.what = projection::all(users());
    q.limit = 1000;
    q.search = words;
    const auto made = list(q);
    EXPECT_TRUE(made.has_value()) << made.error().text();
    std::string out;
    if (made)
      for (const row_slice& each : made->slices)
        out += (out.empty() ? "" : " ") + std::string(made->key(each));
    return out;
  }
  bool soon_found(const std::string& words, const std::string& keys) {
    return eventually([&] { return found(words) == keys; });
  }
  std::string put(std::int64_t id, std::string_view name, const cell& deleted_at = N()) {
    batch_builder b(users(), write_kind::upsert);
    b.row({{"id", I(id)}, {"name", T(name)}, {"deleted_at", deleted_at}});
    return fates(write(b));
  }
};

TEST_F(sqlite_store_search, FindsARowAsSoonAsItsWriteIsAcknowledged) {
  open_store();
  for (std::int64_t i = 1; i <= 20; ++i) {
    const std::string word = "word" + std::to_string(i);
    ASSERT_EQ(put(i, word + "x"), "c");
    ASSERT_EQ(found(word + "x"), std::to_string(i));
  }
  ASSERT_EQ(put(1, "plum"), "u");
  EXPECT_EQ(found("word1x"), "");
  EXPECT_EQ(found("plum"), "1");
  batch_builder gone(users(), write_kind::remove);
  gone.key("1");
  ASSERT_EQ(fates(write(gone)), "d");
  EXPECT_EQ(found("plum"), "");
}

TEST_F(sqlite_store_search, ARejectedOrUndoneWriteIsNotFound) {
  open_store();
  batch_builder dry(users(), write_kind::upsert);
  dry.row({{"id", I(1)}, {"name", T("plum")}});
  dry.batch.dry_run = true;
  ASSERT_EQ(fates(write(dry)), "c");
  batch_builder half(users(), write_kind::upsert);
  half.row({{"id", I(2)}, {"name", T("plum")}}).row({{"id", I(3)}, {"name", T("plum")}, {"score", I(-1)}});
  ASSERT_EQ(fates(write(half)), "cx");
  EXPECT_EQ(found("plum"), "2");
}

TEST_F(sqlite_store_search, RowsComeAndGoWithTheConditionOfTheResource) {
  open_store();
  ASSERT_EQ(put(1, "plum"), "c");
  EXPECT_EQ(found("plum"), "1");
  ASSERT_EQ(put(1, "plum", T("2026-11-20")), "u");
  EXPECT_EQ(found("plum"), "");
  ASSERT_EQ(put(1, "plum"), "u");
  EXPECT_EQ(found("plum"), "1");
}

TEST_F(sqlite_store_search, FindsWhatAnotherConnectionWroteSoonAfterwards) {
  open_store();
  connection other = open_or_die(file_.path());
  run(other, "INSERT INTO users(id,name) VALUES(1,'red apple'),(2,'green pear')");
  EXPECT_TRUE(soon_found("apple", "1"));
  run(other, "UPDATE users SET name='kiwi' WHERE id=1; DELETE FROM users WHERE id=2");
  EXPECT_TRUE(soon_found("kiwi", "1"));
  EXPECT_EQ(found("apple"), "");
  EXPECT_EQ(found("pear"), "");
  EXPECT_TRUE(
      eventually([&] { return other.query_int("SELECT count(*) FROM syncline_search_dirty").value() == 0; }));
}

TEST_F(sqlite_store_search, AnApiWriteIsFoundAtOnceBesideThoseOfOthers) {
  open_store();
  connection other = open_or_die(file_.path());
  run(other, "INSERT INTO users(id,name) VALUES(100,'apple'),(101,'apple')");
  ASSERT_EQ(put(1, "plum"), "c");
  EXPECT_EQ(found("plum"), "1");
  EXPECT_TRUE(soon_found("apple", "100 101"));
}

TEST_F(sqlite_store_search, ManyForeignRowsAreIndexedInSlices) {
  open_store();
  connection other = open_or_die(file_.path());
  run(other,
      "WITH RECURSIVE i(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM i WHERE i<7000) INSERT INTO users(id,name) "
      "SELECT i,'many'||i FROM i");
  EXPECT_TRUE(
      eventually([&] { return other.query_int("SELECT count(*) FROM syncline_search_dirty").value() == 0; }));
  EXPECT_EQ(found("many7000"), "7000");
  EXPECT_EQ(found("many4567"), "4567");
}

TEST_F(sqlite_store_search, ADisplacedRowIsNotFound) {
  open_store();
  connection other = open_or_die(file_.path());
  run(other, "INSERT INTO users(id,name,email) VALUES(1,'apple','a@x')");
  ASSERT_TRUE(soon_found("apple", "1"));
  run(other, "REPLACE INTO users(id,name,email) VALUES(2,'pear','a@x')");
  EXPECT_TRUE(soon_found("pear", "2"));
  EXPECT_EQ(found("apple"), "");
  run(other, "INSERT INTO users(id,name) VALUES(1,'kiwi')");
  EXPECT_TRUE(soon_found("kiwi", "1"));
  EXPECT_EQ(found("apple"), "");
}

TEST_F(sqlite_store_search, RowsWrittenWhileNobodyRanAreFoundAfterTheStart) {
  open_store();
  close_store();
  {
    connection other = open_or_die(file_.path());
    run(other, "INSERT INTO users(id,name) VALUES(1,'red apple')");
  }
  open_store();
  EXPECT_TRUE(soon_found("apple", "1"));
}

TEST_F(sqlite_store_search, AnIndexThatIsGoneRefusesNoWriteAndComesBack) {
  open_store();
  ASSERT_EQ(put(1, "apple"), "c");
  connection other = open_or_die(file_.path());
  run(other, "DROP TABLE syncline_search_users");
  EXPECT_EQ(put(2, "plum"), "c");
  EXPECT_TRUE(eventually([&] {
    return other
               .query_int(
                   "SELECT count(*) FROM sqlite_schema AS s JOIN syncline_resource AS r ON "
                   "s.name='syncline_search_'||r.name AND instr(r.identity,' ')=0")
               .value() == 1;
  }));
  EXPECT_TRUE(soon_found("apple", "1"));
  EXPECT_TRUE(soon_found("plum", "2"));
}

}  // namespace syncline::storage::sqlite::testing
