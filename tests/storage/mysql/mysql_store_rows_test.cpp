// Rows written to and read from a real MySQL through the store: what tests/store does not ask of every
// engine.
#include "storage/mysql/mysql_store.h"

#include "tests/storage/mysql/mysql_store_fixture.h"

namespace syncline::storage::mysql {
namespace {

using namespace testing;

class MysqlStoreRows : public mysql_store_test {};

TEST_F(MysqlStoreRows, WritesAreReadBackInTheOrderAsked) {
  open_store();
  create_users(1, 3);
  auto made = get(users(), {"3", "9", "1", "3"});
  ASSERT_TRUE(made.has_value()) << made.error().text();
  ASSERT_EQ(made->slices.size(), 4U);
  EXPECT_EQ(made->json(made->slices[0]),
            R"({"id":3,"name":"user 3","email":null,"team":1,"state":{},"score":1.5,"deleted_at":null})");
  EXPECT_FALSE(made->slices[1].found);
  EXPECT_EQ(made->key(made->slices[1]), "9");
  EXPECT_EQ(made->key(made->slices[2]), "1");
  EXPECT_EQ(made->json(made->slices[3]), made->json(made->slices[0]));
  EXPECT_EQ(made->position, store_->watermark());
  EXPECT_EQ(listener_.last(), store_->watermark());
}

TEST_F(MysqlStoreRows, EveryTypeKeepsItsValueAndFindsItUnchanged) {
  open_store();
  const auto all = [&](write_kind kind, std::string_view price, std::string_view doc) {
    batch_builder b(things(), kind);
    b.row({{"id", I(1)},
           {"small", I(255)},
           {"price", T(price)},
           {"ratio", cell::of_real(0.1)},
           {"made_at", T("2026-11-20T12:00:00.250Z")},
           {"day", T("2024-02-29")},
           {"raw", cell::of_blob(std::string_view("\0\xff'\\", 4))},
           {"flag", I(1)},
           {"kind", T("blue")},
           {"code", T("ab")},
           {"doc", T(doc)}});
    return write(b);
  };
  ASSERT_EQ(fates(all(write_kind::upsert, "12.50", R"({"b":1,"a":[1,2.5,"x'\"\\"]})")), "c");
  EXPECT_EQ(row_of(things(), "1"),
            R"({"id":1,"small":255,"price":"12.50","ratio":0.1,"made_at":"2026-11-20T12:00:00.250Z",)"
            R"("day":"2024-02-29","raw":"AP8nXA==","flag":true,"kind":"blue","code":"ab",)"
            R"("doc":{"a":[1,2.5,"x'\"\\"],"b":1}})");
  const std::int64_t before = store_->watermark();
  EXPECT_EQ(fates(all(write_kind::upsert, "12.5", R"({"a": [1, 2.5, "x'\"\\"], "b": 1})")), "=");
  // Rounded to what is there: written, and yet nothing changed.
  EXPECT_EQ(fates(all(write_kind::upsert, "12.4999", R"({"a":[1,2.5,"x'\"\\"],"b":1})")), "=");
  EXPECT_EQ(store_->watermark(), before);
  EXPECT_EQ(fates(all(write_kind::upsert, "12.51", R"({"a":[1,2.5,"x'\"\\"],"b":1})")), "u");
}

TEST_F(MysqlStoreRows, ReplaceSetsWhatIsNotGivenToItsDefault) {
  open_store();
  batch_builder first(users(), write_kind::upsert);
  first.row({{"id", I(1)},
             {"name", T("a")},
             {"email", T("a@x")},
             {"score", cell::of_real(7)},
             {"state", T("{\"k\":1}")}});
  ASSERT_EQ(fates(write(first)), "c");
  const auto replaced = [&] {
    batch_builder b(users(), write_kind::replace);
    b.row({{"name", T("b")}}).key("1");
    b.batch.return_rows = true;
    return write(b);
  };
  auto made = replaced();
  ASSERT_EQ(fates(made), "u");
  EXPECT_EQ(made->bytes.substr(made->rows[0].json_at, made->rows[0].json_size),
            R"({"id":1,"name":"b","email":null,"team":null,"state":{},"score":1.5,"deleted_at":null})");
  EXPECT_EQ(fates(replaced()), "=");
  batch_builder fresh(users(), write_kind::replace);
  fresh.row({{"name", T("c")}}).key("2");
  EXPECT_EQ(fates(write(fresh)), "c");
  batch_builder other(users(), write_kind::replace);
  other.row({{"id", I(4)}, {"name", T("c")}}).key("3");
  EXPECT_EQ(fates(write(other)), "x");
}

TEST_F(MysqlStoreRows, AKeyOfARowOutsideWhereMayComeBackButNotBeWrittenInTheDark) {
  open_store();
  sql("INSERT INTO users(id,name,deleted_at) VALUES(1,'gone','2026-01-01')");
  EXPECT_EQ(row_of(users(), "1"), "");
  const auto replaced = [&](const cell& deleted) {
    batch_builder b(users(), write_kind::replace);
    b.row({{"name", T("back")}, {"deleted_at", deleted}}).key("1");
    return write(b);
  };
  auto dark = replaced(T("2026-02-02T00:00:00Z"));
  ASSERT_EQ(fates(dark), "x");
  EXPECT_EQ(dark->rows[0].why->code, net::errc::conflict);
  EXPECT_EQ(value("SELECT name FROM users WHERE id=1"), "gone");
  EXPECT_EQ(fates(replaced(N())), "c");
}

TEST_F(MysqlStoreRows, PatchMergesJsonAndKnowsWhatIsUnchanged) {
  open_store();
  batch_builder first(users(), write_kind::upsert);
  first.row({{"id", I(1)}, {"name", T("a")}, {"state", T(R"({"a":1,"b":{"c":2}})")}});
  ASSERT_EQ(fates(write(first)), "c");
  batch_builder b(users(), write_kind::patch);
  b.row({{"state", T(R"({"b":{"d":3},"a":null})")}, {"team", I(5)}}).key("1");
  EXPECT_EQ(fates(write(b)), "u");
  EXPECT_NE(row_of(users(), "1").find(R"("team":5,"state":{"b":{"c":2,"d":3}})"), std::string::npos)
      << row_of(users(), "1");
  const std::int64_t before = store_->watermark();
  batch_builder same(users(), write_kind::patch);
  same.row(
          {{"state", T(R"({"b":{"d":3}})")}, {"team", I(5)}, {"score", cell::of_real(1.5)}, {"name", T("a")}})
      .key("1");
  EXPECT_EQ(fates(write(same)), "=");
  EXPECT_EQ(store_->watermark(), before);
  batch_builder none(users(), write_kind::patch);
  none.row({{"team", I(5)}}).key("77");
  auto made = write(none);
  ASSERT_EQ(fates(made), "x");
  EXPECT_EQ(made->rows[0].why->code, net::errc::not_found);
}

TEST_F(MysqlStoreRows, ConditionsAreComparedWithTheRowAsItIs) {
  open_store();
  create_users(1, 1);
  const std::string tag = etag_of(row_of(users(), "1"));
  const auto attempt = [&](const std::function<void(write_condition&)>& set, const std::string& key) {
    batch_builder b(users(), write_kind::patch);
    b.row({{"team", I(9)}}).key(key);
    set(b.batch.condition);
    return write(b);
  };
  auto wrong = attempt([](write_condition& c) { c.any_of = {"\"0000000000000000\""}; }, "1");
  ASSERT_EQ(fates(wrong), "x");
  EXPECT_EQ(wrong->rows[0].why->code, net::errc::precondition_failed);
  EXPECT_EQ(fates(attempt([](write_condition& c) { c.must_not_exist = true; }, "1")), "x");
  EXPECT_EQ(fates(attempt([&](write_condition& c) { c.any_of = {tag}; }, "1")), "u");
  EXPECT_EQ(fates(attempt([&](write_condition& c) { c.any_of = {tag}; }, "1")), "x") << "it has changed";
}

TEST_F(MysqlStoreRows, TheDatabaseMakesAKeyThatIsNotGiven) {
  open_store();
  create_users(5, 5);
  batch_builder b(users(), write_kind::create);
  b.row({{"name", T("new")}});
  b.batch.return_rows = true;
  auto made = write(b);
  ASSERT_EQ(fates(made), "c");
  EXPECT_EQ(made->bytes.substr(made->rows[0].key_at, made->rows[0].key_size), "6");
  EXPECT_NE(made->bytes.find("\"name\":\"new\""), std::string::npos);
  batch_builder many(users(), write_kind::upsert);
  many.row({{"name", T("x")}}).row({{"id", I(5)}, {"name", T("y")}}).row({{"name", T("z")}});
  made = write(many);
  ASSERT_EQ(fates(made), "cuc");
  EXPECT_EQ(made->bytes, "758");
}

TEST_F(MysqlStoreRows, GoodRowsOfABatchStayAndEachBadOneSaysWhy) {
  open_store();
  create_users(1, 40);
  batch_builder taken(users(), write_kind::upsert);
  taken.row({{"id", I(1)}, {"name", T("user 1")}, {"email", T("taken@x")}});
  ASSERT_EQ(fates(write(taken)), "u");
  const std::string huge(300, 'n');
  batch_builder b(users(), write_kind::upsert);
  std::string expected;
  for (std::int64_t i = 1; i <= 80; ++i) {
    const bool bad = i % 10 == 5;
    cell name = T(bad && i % 20 == 5 ? std::string_view(huge) : "changed");
    cell score = bad && i % 20 == 15 ? cell::of_real(-1) : cell::of_real(2);
    cell email = i == 50 || i == 20 ? T("TAKEN@x") : N();
    const bool lost = i == 50 || i == 20;
    b.row({{"id", I(i)}, {"name", name}, {"score", score}, {"email", i == 1 ? T("taken@x") : email}});
    expected += bad || lost ? 'x' : i <= 40 ? 'u' : 'c';
  }
  auto made = write(b);
  ASSERT_EQ(fates(made), expected);
  EXPECT_EQ(made->rows[4].why->text(), "a value does not fit its column: name");
  EXPECT_EQ(made->rows[14].why->text(), "a check of the table failed: score_min");
  EXPECT_EQ(made->rows[19].why->text(), "a value that must be unique is taken: email");
  EXPECT_EQ(made->rows[49].why->code, net::errc::conflict);
  EXPECT_EQ(value("SELECT COUNT(*) FROM users WHERE name='changed'"), "70");
  batch_builder child(links(), write_kind::upsert);
  child.row({{"id", I(1)}, {"user_id", I(1)}})
      .row({{"id", I(2)}, {"user_id", I(999)}})
      .row({{"id", I(3)}, {"user_id", N()}});
  made = write(child);
  ASSERT_EQ(fates(made), "cxx");
  EXPECT_EQ(made->rows[1].why->code, net::errc::conflict);
  EXPECT_EQ(made->rows[2].why->text(), "a column may not be NULL: user_id");
}

TEST_F(MysqlStoreRows, AKeyThatComesTwiceIsWrittenInTheOrderOfTheBatch) {
  open_store();
  batch_builder b(users(), write_kind::upsert);
  b.row({{"id", I(1)}, {"name", T("first")}})
      .row({{"id", I(2)}, {"name", T("other")}})
      .row({{"id", I(1)}, {"name", T("second")}})
      .row({{"id", I(1)}, {"name", T("second")}});
  EXPECT_EQ(fates(write(b)), "ccu=");
  EXPECT_NE(row_of(users(), "1").find("second"), std::string::npos);
}

TEST_F(MysqlStoreRows, TextKeysAreComparedBytewiseWhateverTheCollation) {
  open_store();
  batch_builder b(tags(), write_kind::upsert);
  b.row({{"tag", T("Red")}, {"uses", I(1)}}).row({{"tag", T("bl,ue%")}, {"uses", I(1)}});
  ASSERT_EQ(fates(write(b)), "cc");
  EXPECT_EQ(row_of(tags(), "red"), "");
  EXPECT_EQ(row_of(tags(), "bl%2Cue%25"), R"({"tag":"bl,ue%","uses":1})");
  auto several = get(tags(), {"red", "Red", "RED"});
  ASSERT_TRUE(several.has_value());
  EXPECT_FALSE(several->slices[0].found);
  EXPECT_TRUE(several->slices[1].found);
  batch_builder other(tags(), write_kind::upsert);
  other.row({{"tag", T("RED")}, {"uses", I(5)}}).row({{"tag", T("Red")}, {"uses", I(7)}});
  auto made = write(other);
  ASSERT_EQ(fates(made), "xu");
  EXPECT_NE(made->rows[0].why->text().find("collation"), std::string::npos) << made->rows[0].why->text();
  batch_builder gone(tags(), write_kind::remove);
  gone.key("rED");
  EXPECT_EQ(fates(write(gone)), "x");
  EXPECT_EQ(row_of(tags(), "Red"), R"({"tag":"Red","uses":7})");
}

TEST_F(MysqlStoreRows, AKeyOfSeveralColumnsIsFoundChangedAndPaged) {
  open_store();
  batch_builder b(notes(), write_kind::upsert);
  for (const char* owner : {"ann", "bob"})
    for (std::int64_t n = 1; n <= 3; ++n) b.row({{"owner", T(owner)}, {"n", I(n)}, {"body", T("x")}});
  ASSERT_EQ(fates(write(b)), "cccccc");
  batch_builder again(notes(), write_kind::upsert);
  again.row({{"owner", T("ann")}, {"n", I(2)}, {"body", T("y")}})
      .row({{"owner", T("bob")}, {"n", I(3)}, {"body", T("x")}})
      .row({{"owner", T("eve")}, {"n", I(1)}, {"body", T("z")}});
  EXPECT_EQ(fates(write(again)), "u=c");
  EXPECT_EQ(row_of(notes(), "ann,2"), R"({"owner":"ann","n":2,"body":"y"})");
  list_query q;
  q.of = &notes();
  q.what = projection::all(notes());
  q.limit = 2;
  q.from = page_from::after;
  q.key = "ann,2";
  auto made = list(q);
  EXPECT_EQ(keys_of(made), "ann,3 bob,1");
  EXPECT_TRUE(made->more);
  q.from = page_from::before;
  q.key = "bob,2";
  EXPECT_EQ(keys_of(list(q)), "ann,3 bob,1");
  q.from = page_from::last;
  EXPECT_EQ(keys_of(list(q)), "bob,3 eve,1");
  q.from = page_from::first;
  q.scope = "owner:bob";
  q.limit = 3;
  made = list(q);
  EXPECT_EQ(keys_of(made), "bob,1 bob,2 bob,3");
  EXPECT_FALSE(made->more);
  q.scope = "owner:Bob";
  EXPECT_EQ(keys_of(list(q)), "");
  q.scope = "nobody:1";
  EXPECT_EQ(list(q).error().code, net::errc::invalid);
}

TEST_F(MysqlStoreRows, ManyKeysAreReadInOneCall) {
  open_store();
  create_users(1, 700);
  std::vector<std::string> keys;
  for (int i = 700; i > 0; --i) keys.push_back(std::to_string(i * 2));
  auto made = get(users(), keys);
  ASSERT_TRUE(made.has_value()) << made.error().text();
  for (std::size_t i = 0; i < keys.size(); ++i) {
    ASSERT_EQ(made->key(made->slices[i]), keys[i]);
    ASSERT_EQ(made->slices[i].found, i >= 350) << keys[i];
  }
}

TEST_F(MysqlStoreRows, RowsByOtherColumnsComeInGroupsWithALimitEach) {
  open_store();
  create_users(1, 5, 7);
  create_users(6, 8, 8);
  create_users(9, 9, 9);
  std::vector<std::string> teams{"8", "no number", "7", "100", "9"};
  for (int i = 0; i < 60; ++i) teams.push_back(std::to_string(1000 + i));
  teams.push_back("8");
  const auto by = [&](std::uint32_t rows_max) {
    return ask<rows>([&, rows_max](net::request_context& context) {
      return store_->rows_by(context, users(), {3}, teams, rows_max);
    });
  };
  auto made = by(4);
  EXPECT_EQ(keys_of(made), "6 7 8 1@2 2@2 3@2 4@2 9@4 6@65 7@65 8@65");
  EXPECT_TRUE(made->truncated[2]);
  EXPECT_FALSE(made->truncated[0]);
  EXPECT_EQ(made->json(made->slices[0]),
            R"({"id":6,"name":"user 6","email":null,"team":8,"state":{},"score":1.5,"deleted_at":null})");
  made = by(3);
  EXPECT_FALSE(made->truncated[0]);
  EXPECT_TRUE(made->truncated[2]);
}

TEST_F(MysqlStoreRows, RowsByCompareTextBytewise) {
  open_store();
  sql("INSERT INTO notes VALUES('Ann',1,'A'),('ann',2,'a')");
  auto made = ask<rows>([&](net::request_context& context) {
    return store_->rows_by(context, notes(), {0}, {"ann", "Ann", "ANN"}, 10);
  });
  EXPECT_EQ(keys_of(made), "ann,2 Ann,1@1");
}

TEST_F(MysqlStoreRows, SearchFindsWordsPrefixesAndWhatTheIndexLeavesOut) {
  open_store();
  batch_builder b(users(), write_kind::upsert);
  b.row({{"id", I(1)}, {"name", T("Ada Lovelace")}, {"email", T("ada@example.org")}})
      .row({{"id", I(2)}, {"name", T("Ada of the West")}})
      .row({{"id", I(3)}, {"name", T("Al Lovely")}, {"email", T("al@lovelace.example")}})
      .row({{"id", I(4)}, {"name", T("Alan")}});
  ASSERT_EQ(fates(write(b)), "cccc");
  list_query q;
  q.of = &users();
  q.what = projection::all(users());
  for (const auto& [words, expected] :
       std::vector<std::pair<std::string, std::string>>{{"lovelace", "1 3"},
                                                        {"love", "1 3"},
                                                        {"ada lov", "1"},
                                                        {"the west", "2"},
                                                        {"of the", "2"},
                                                        {"al love", "3"},
                                                        {"al", "3 4"},
                                                        {"AL", "3 4"},
                                                        {"+\"(*)@ ~<", "1 2 3 4"},
                                                        {"ada@example", "1"},
                                                        {"nobody", ""}}) {
    q.search = words;
    EXPECT_EQ(keys_of(list(q)), expected) << words;
  }
}

TEST_F(MysqlStoreRows, ADryRunAndAnAllOrNothingBatchLeaveNothing) {
  open_store();
  batch_builder dry(users(), write_kind::upsert);
  dry.row({{"id", I(1)}, {"name", T("a")}});
  dry.batch.dry_run = true;
  EXPECT_EQ(fates(write(dry)), "c");
  batch_builder all(users(), write_kind::upsert);
  all.row({{"id", I(2)}, {"name", T("a")}}).row({{"id", I(3)}, {"name", N()}});
  all.batch.all_or_nothing = true;
  EXPECT_EQ(fates(write(all)), "sx");
  EXPECT_EQ(value("SELECT COUNT(*) FROM users"), "0");
  EXPECT_EQ(value("SELECT COUNT(*) FROM syncline_pending"), "0");
}

TEST_F(MysqlStoreRows, ATriggerOfTheOwnerMayRefuseARow) {
  sql("CREATE TRIGGER no_eve BEFORE INSERT ON notes FOR EACH ROW IF NEW.owner='eve' THEN SIGNAL SQLSTATE "
      "'45000' SET MESSAGE_TEXT='not eve'; END IF");
  open_store();
  batch_builder b(notes(), write_kind::upsert);
  b.row({{"owner", T("ann")}, {"n", I(1)}}).row({{"owner", T("eve")}, {"n", I(1)}});
  auto made = write(b);
  ASSERT_EQ(fates(made), "cx");
  EXPECT_EQ(made->rows[1].why->text(), "the database refuses the row: not eve");
}

TEST_F(MysqlStoreRows, AStoredRowThatFitsNoDeclarationIsLeftOut) {
  sql("DROP TABLE things");
  sql("CREATE TABLE things(id BIGINT PRIMARY KEY, small TINYINT UNSIGNED, price DECIMAL(10,2), ratio FLOAT, "
      "made_at DATETIME(3), day DATE, raw VARBINARY(100), flag TINYINT(1), kind VARCHAR(10), code CHAR(8), "
      "doc JSON)");
  open_store();
  sql("INSERT INTO things(id,flag) VALUES(1,1),(2,7),(3,0)");
  list_query q;
  q.of = &things();
  q.what = projection::all(things());
  EXPECT_EQ(keys_of(list(q)), "1 3");
  EXPECT_EQ(row_of(things(), "2"), "");
}

// Else a page of such rows alone would be empty, and nobody could go on behind it.
TEST_F(MysqlStoreRows, APageIsFilledWithWhatFollowsRowsThatFitNoDeclaration) {
  sql("DROP TABLE things");
  sql("CREATE TABLE things(id BIGINT PRIMARY KEY, small TINYINT UNSIGNED, price DECIMAL(10,2), ratio FLOAT, "
      "made_at DATETIME(3), day DATE, raw VARBINARY(100), flag TINYINT(1), kind VARCHAR(10), code CHAR(8), "
      "doc JSON)");
  open_store();
  sql("INSERT INTO things(id,flag) SELECT n,IF(n BETWEEN 2 AND 60 OR n BETWEEN 101 AND 170,7,1) FROM (WITH "
      "RECURSIVE s(n) AS "
      "(SELECT 1 UNION ALL SELECT n+1 FROM s WHERE n<180) SELECT n FROM s) AS numbers");
  list_query q;
  q.of = &things();
  q.what = projection::all(things());
  q.limit = 2;
  const auto page = [&](page_from from, const std::string& key) {
    q.from = from;
    q.key = key;
    auto made = list(q);
    const bool more = made && made->more;
    return keys_of(std::move(made)) + (more ? " more" : " end");
  };
  EXPECT_EQ(page(page_from::first, ""), "1 61 more");
  EXPECT_EQ(page(page_from::after, "61"), "62 63 more");
  EXPECT_EQ(page(page_from::before, "62"), "1 61 end");
  q.limit = 1;
  EXPECT_EQ(page(page_from::after, "1"), "61 more");
  q.from = page_from::after;
  q.key = "100";
  const auto too_many = list(q);
  ASSERT_FALSE(too_many.has_value());
  EXPECT_EQ(too_many.error().code, net::errc::schema_mismatch);
}

}  // namespace
}  // namespace syncline::storage::mysql
