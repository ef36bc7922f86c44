#include "tests/store/store_fixture.h"

namespace syncline::storage::testing {

class StoreRows : public store_suite {};
INSTANTIATE_TEST_SUITE_P(On, StoreRows, every_engine(), ::testing::PrintToStringParamName());

TEST_P(StoreRows, WritesAreReadBackInTheOrderAsked) {
  open_store();
  create_users(1, 3);
  auto made = get(users(), {"3", "9", "1"});
  ASSERT_TRUE(made.has_value()) << made.error().text();
  ASSERT_EQ(made->slices.size(), 3U);
  EXPECT_EQ(made->json(made->slices[0]),
            R"({"id":3,"name":"user 3","email":null,"team":1,"state":{},"score":1.5,"deleted_at":null})");
  EXPECT_FALSE(made->slices[1].found);
  EXPECT_EQ(made->key(made->slices[1]), "9");
  EXPECT_EQ(made->key(made->slices[2]), "1");
  EXPECT_EQ(made->position, store_->watermark());
}

TEST_P(StoreRows, KindsDifferInWhatTheyDoToAnExistingKey) {
  open_store();
  create_users(1, 1);
  for (const auto& [kind, expected] :
       std::vector<std::pair<write_kind, std::string>>{{write_kind::create, "x"},
                                                       {write_kind::insert, "xc"},
                                                       {write_kind::skip, "ss"},
                                                       {write_kind::upsert, "u="}}) {
    batch_builder b(users(), kind);
    b.row({{"id", I(1)}, {"name", T("other")}});
    if (kind != write_kind::create) b.row({{"id", I(2)}, {"name", T("two")}});
    auto made = write(b);
    EXPECT_EQ(fates(made), expected);
    if (kind == write_kind::create) {
      EXPECT_EQ(made->rows[0].why->code, net::errc::conflict);
    }
  }
  EXPECT_NE(row_of(users(), "1").find("\"other\""), std::string::npos);
}

TEST_P(StoreRows, AWriteThatChangesNothingMakesNoFeedEntry) {
  open_store();
  create_users(1, 5);
  const std::int64_t before = store_->watermark();
  batch_builder b(users(), write_kind::upsert);
  b.row({{"id", I(1)}, {"name", T("user 1")}}).row({{"id", I(2)}, {"name", T("user 2")}, {"email", N()}});
  auto made = write(b);
  EXPECT_EQ(fates(made), "==");
  EXPECT_EQ(made->position, before);
  EXPECT_EQ(store_->watermark(), before);
}

TEST_P(StoreRows, ReplaceSetsWhatIsNotGivenToItsDefault) {
  open_store();
  batch_builder first(users(), write_kind::upsert);
  first.row({{"id", I(1)},
             {"name", T("a")},
             {"email", T("a@x")},
             {"score", cell::of_real(7)},
             {"state", T("{\"k\":1}")}});
  ASSERT_EQ(fates(write(first)), "c");
  batch_builder b(users(), write_kind::replace);
  b.row({{"name", T("b")}}).key("1");
  b.batch.return_rows = true;
  auto made = write(b);
  ASSERT_EQ(fates(made), "u");
  EXPECT_EQ(made->bytes.substr(made->rows[0].json_at, made->rows[0].json_size),
            R"({"id":1,"name":"b","email":null,"team":null,"state":{},"score":1.5,"deleted_at":null})");
  batch_builder fresh(users(), write_kind::replace);
  fresh.row({{"name", T("c")}}).key("2");
  EXPECT_EQ(fates(write(fresh)), "c");
  batch_builder other(users(), write_kind::replace);
  other.row({{"id", I(4)}, {"name", T("c")}}).key("3");
  EXPECT_EQ(fates(write(other)), "x");
}

TEST_P(StoreRows, PatchMergesJsonAndKnowsWhatIsUnchanged) {
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
  same.row({{"state", T(R"({"b":{"d":3}})")}, {"team", I(5)}, {"score", I(1)}, {"name", T("a")}}).key("1");
  same.batch.cells[5] = cell::of_real(1.5);
  EXPECT_EQ(fates(write(same)), "=");
  EXPECT_EQ(store_->watermark(), before);
  batch_builder none(users(), write_kind::patch);
  none.row({{"team", I(5)}}).key("77");
  auto made = write(none);
  ASSERT_EQ(fates(made), "x");
  EXPECT_EQ(made->rows[0].why->code, net::errc::not_found);
}

TEST_P(StoreRows, RemoveTakesOneRowAndTellsWhenThereIsNone) {
  open_store();
  create_users(1, 2);
  batch_builder b(users(), write_kind::remove);
  b.key("1");
  EXPECT_EQ(fates(write(b)), "d");
  EXPECT_EQ(row_of(users(), "1"), "");
  batch_builder again(users(), write_kind::remove);
  again.key("1");
  auto made = write(again);
  ASSERT_EQ(fates(made), "x");
  EXPECT_EQ(made->rows[0].why->code, net::errc::not_found);
}

TEST_P(StoreRows, ConditionsAreComparedWithTheRowAsItIs) {
  open_store();
  create_users(1, 1);
  const std::string tag = etag_of(row_of(users(), "1"));
  const auto attempt = [&](const std::function<void(write_condition&)>& set, const std::string& key,
                           write_kind kind = write_kind::patch) {
    batch_builder b(users(), kind);
    b.row({{"name", T("user 1")}}).key(key);
    set(b.batch.condition);
    b.batch.dry_run = true;
    auto made = write(b);
    if (!made) return made.error().text();
    if (!made->rows[0].why) return std::string("ok");
    return std::string(net::to_string(made->rows[0].why->code));
  };
  EXPECT_EQ(attempt([&](write_condition& c) { c.any_of = {"\"x\"", tag}; }, "1"), "ok");
  EXPECT_EQ(attempt([&](write_condition& c) { c.any_of = {"\"x\""}; }, "1"), "precondition_failed");
  EXPECT_EQ(attempt([&](write_condition& c) { c.any_of = {tag}; }, "2"), "precondition_failed");
  EXPECT_EQ(attempt([&](write_condition& c) { c.none_of = {tag}; }, "1"), "precondition_failed");
  EXPECT_EQ(attempt([&](write_condition& c) { c.must_exist = true; }, "2", write_kind::replace),
            "precondition_failed");
  EXPECT_EQ(attempt([&](write_condition& c) { c.must_not_exist = true; }, "1", write_kind::replace),
            "precondition_failed");
  EXPECT_EQ(attempt([&](write_condition& c) { c.must_not_exist = true; }, "2", write_kind::replace), "ok");
}

TEST_P(StoreRows, ABadRowCostsNoGoodOne) {
  open_store();
  create_users(1, 1);
  batch_builder b(users(), write_kind::upsert);
  b.row({{"id", I(10)}, {"name", T("a")}, {"email", T("e@x")}})
      .row({{"id", I(11)}, {"name", T("b")}, {"email", T("e@x")}})
      .row({{"id", I(12)}, {"name", N()}})
      .row({{"id", I(13)}, {"name", T("d")}, {"score", cell::of_real(-1)}})
      .row({{"id", I(14)}, {"name", T("e")}});
  auto made = write(b);
  ASSERT_EQ(fates(made), "cxxxc");
  EXPECT_EQ(made->rows[1].why->detail, "email");
  EXPECT_EQ(made->rows[2].why->detail, "name");
  EXPECT_EQ(made->rows[2].why->code, net::errc::invalid);
  batch_builder l(links(), write_kind::upsert);
  l.row({{"id", I(1)}, {"user_id", I(1)}})
      .row({{"id", I(2)}, {"user_id", I(999)}})
      .row({{"id", I(3)}, {"user_id", I(10)}});
  EXPECT_EQ(fates(write(l)), "cxc");
}

TEST_P(StoreRows, AllOrNothingAndDryRunLeaveNothingBehind) {
  open_store();
  batch_builder b(users(), write_kind::upsert);
  b.row({{"id", I(1)}, {"name", T("a")}}).row({{"id", I(2)}, {"name", N()}});
  b.batch.all_or_nothing = true;
  EXPECT_EQ(fates(write(b)), "sx");
  batch_builder dry(users(), write_kind::upsert);
  dry.row({{"id", I(1)}, {"name", T("a")}});
  dry.batch.dry_run = true;
  dry.batch.return_rows = true;
  auto made = write(dry);
  EXPECT_EQ(fates(made), "c");
  EXPECT_GT(made->rows[0].json_size, 0U);
  EXPECT_EQ(row_of(users(), "1"), "");
  EXPECT_EQ(store_->watermark(), 0);
}

TEST_P(StoreRows, ARowOutsideWhereDoesNotExistButKeepsItsKey) {
  open_store();
  create_users(1, 1);
  batch_builder gone(users(), write_kind::patch);
  gone.row({{"deleted_at", T("2026-01-01")}}).key("1");
  gone.batch.return_rows = true;
  auto made = write(gone);
  ASSERT_EQ(fates(made), "u");
  EXPECT_EQ(made->rows[0].json_size, 0U);
  EXPECT_EQ(row_of(users(), "1"), "");
  batch_builder patch(users(), write_kind::patch);
  patch.row({{"name", T("z")}}).key("1");
  EXPECT_EQ(write(patch)->rows[0].why->code, net::errc::not_found);
  batch_builder remove(users(), write_kind::remove);
  remove.key("1");
  EXPECT_EQ(write(remove)->rows[0].why->code, net::errc::not_found);
  batch_builder create(users(), write_kind::create);
  create.row({{"id", I(1)}, {"name", T("z")}});
  EXPECT_EQ(write(create)->rows[0].why->code, net::errc::conflict);
  batch_builder back(users(), write_kind::replace);
  back.row({{"name", T("back")}}).key("1");
  EXPECT_EQ(fates(write(back)), "c");
  EXPECT_NE(row_of(users(), "1").find("back"), std::string::npos);
}

TEST_P(StoreRows, AKeyThatTheDatabaseMakesIsTold) {
  open_store();
  create_users(7, 7);
  batch_builder b(users(), write_kind::create);
  b.row({{"name", T("new")}});
  b.batch.return_rows = true;
  auto made = write(b);
  ASSERT_EQ(fates(made), "c");
  EXPECT_EQ(made->bytes.substr(made->rows[0].key_at, made->rows[0].key_size), "8");
  EXPECT_NE(made->bytes.find(R"("id":8,"name":"new")"), std::string::npos);
}

TEST_P(StoreRows, TablesWithoutRowidAndKeysOfSeveralColumnsWorkAlike) {
  open_store();
  batch_builder b(notes(), write_kind::upsert);
  b.row({{"owner", T("a,b")}, {"n", I(1)}, {"body", T("x")}})
      .row({{"owner", T("a,b")}, {"n", I(2)}, {"body", T("y")}});
  EXPECT_EQ(fates(write(b)), "cc");
  batch_builder again(notes(), write_kind::upsert);
  again.row({{"owner", T("a,b")}, {"n", I(1)}, {"body", T("z")}})
      .row({{"owner", T("a,b")}, {"n", I(2)}, {"body", T("y")}});
  auto made = write(again);
  EXPECT_EQ(fates(made), "u=");
  EXPECT_EQ(made->bytes, "a%2Cb,1a%2Cb,2");
  EXPECT_EQ(row_of(notes(), "a%2Cb,1"), R"({"owner":"a,b","n":1,"body":"z"})");
}

TEST_P(StoreRows, KeysAreComparedByteByByteWhateverTheCollation) {
  open_store();
  batch_builder b(tags(), write_kind::upsert);
  b.row({{"tag", T("Blue")}, {"uses", I(1)}});
  ASSERT_EQ(fates(write(b)), "c");
  EXPECT_EQ(row_of(tags(), "blue"), "");
  EXPECT_NE(row_of(tags(), "Blue"), "");
  batch_builder other(tags(), write_kind::upsert);
  other.row({{"tag", T("BLUE")}, {"uses", I(2)}}).row({{"tag", T("Blue")}, {"uses", I(3)}});
  EXPECT_EQ(fates(write(other)), "xu");
  EXPECT_EQ(row_of(tags(), "Blue"), R"({"tag":"Blue","uses":3})");
}

TEST_P(StoreRows, ListPagesInBothDirections) {
  open_store();
  create_users(1, 10, 1);
  create_users(11, 12, 2);
  const auto keys = [&](page_from from, const std::string& key, std::uint32_t limit,
                        const std::string& scope = {}) {
    list_query q;
    q.of = &users();
    q.what = projection::all(users());
    q.from = from;
    q.key = key;
    q.limit = limit;
    q.scope = scope;
    auto made = list(q);
    EXPECT_TRUE(made.has_value()) << made.error().text();
    std::string out;
    for (const row_slice& s : made->slices) out += std::string(made->key(s)) + " ";
    return out + (made->more ? "more" : "end");
  };
  EXPECT_EQ(keys(page_from::first, "", 3), "1 2 3 more");
  EXPECT_EQ(keys(page_from::after, "3", 3), "4 5 6 more");
  EXPECT_EQ(keys(page_from::after, "10", 3), "11 12 end");
  EXPECT_EQ(keys(page_from::before, "4", 3), "1 2 3 end");
  EXPECT_EQ(keys(page_from::last, "", 3), "10 11 12 more");
  EXPECT_EQ(keys(page_from::first, "", 20, "team:2"), "11 12 end");
  list_query bad;
  bad.of = &users();
  bad.what = projection::all(users());
  bad.scope = "nothing:2";
  EXPECT_EQ(list(bad).error().code, net::errc::invalid);
}

TEST_P(StoreRows, SearchTakesWordsAsTextAndTheLastAsPrefix) {
  open_store();
  batch_builder b(users(), write_kind::upsert);
  b.row({{"id", I(1)}, {"name", T("Ann Miller")}})
      .row({{"id", I(2)}, {"name", T("Anna Mills")}, {"email", T("ann@mills.org")}})
      .row({{"id", I(3)}, {"name", T("Bob \"OR\" Mill")}});
  ASSERT_EQ(fates(write(b)), "ccc");
  const auto found = [&](const std::string& words) {
    list_query q;
    q.of = &users();
    q.what = projection::all(users());
    q.search = words;
    auto made = list(q);
    if (!made) return made.error().text();
    std::string out;
    for (const row_slice& s : made->slices) out += std::string(made->key(s)) + " ";
    return out;
  };
  EXPECT_EQ(found("ann mill"), "1 2 ");
  EXPECT_EQ(found("mill"), "1 2 3 ");
  EXPECT_EQ(found("\"OR\" mill"), "3 ");
  EXPECT_EQ(found("mill*) OR name:("), "");
  EXPECT_EQ(found("  "), "1 2 3 ");
}

TEST_P(StoreRows, RowsByOtherColumnsComeInGroupsWithABound) {
  open_store();
  create_users(1, 5, 1);
  create_users(6, 7, 2);
  auto made = ask<rows>([this](net::request_context& context) {
    return store_->rows_by(context, users(), {3}, {"2", "9", "1", "x"}, 3);
  });
  ASSERT_TRUE(made.has_value()) << made.error().text();
  std::string out;
  for (const row_slice& s : made->slices)
    out += std::to_string(s.group) + ":" + std::string(made->key(s)) + " ";
  EXPECT_EQ(out, "0:6 0:7 2:1 2:2 2:3 ");
  EXPECT_EQ(made->truncated, (std::vector<bool>{false, false, true, false}));
}

TEST_P(StoreRows, AnIdempotencyKeyIsRememberedWithItsWrite) {
  open_store();
  const auto attempt = [&](std::uint64_t fingerprint, std::int64_t id) {
    batch_builder b(users(), write_kind::create);
    b.row({{"id", I(id)}, {"name", T("a")}});
    idempotency record;
    record.key = "k1";
    record.fingerprint = fingerprint;
    record.saved = "201";
    record.complete = true;
    b.batch.remember = record;
    return write(b);
  };
  EXPECT_EQ(fates(attempt(1, 1)), "c");
  auto again = attempt(1, 2);
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error().code, net::errc::conflict);
  EXPECT_EQ(again.error().what, "idempotency-key");
  EXPECT_FALSE(attempt(2, 3).has_value());
  EXPECT_EQ(row_of(users(), "2"), "");
  auto known = ask<std::optional<idempotency>>(
      [this](net::request_context& context) { return store_->recall(context, "k1"); });
  ASSERT_TRUE(known.has_value() && known->has_value());
  EXPECT_EQ((*known)->saved, "201");
  EXPECT_EQ((*known)->fingerprint, 1U);
  auto unknown = ask<std::optional<idempotency>>(
      [this](net::request_context& context) { return store_->recall(context, "k2"); });
  ASSERT_TRUE(unknown.has_value());
  EXPECT_FALSE(unknown->has_value());
}

TEST_P(StoreRows, ABulkUploadMovesItsIdempotencyRecordWithEachBatch) {
  open_store();
  for (std::uint64_t done = 1; done <= 3; ++done) {
    batch_builder b(users(), write_kind::upsert);
    b.row({{"id", I(static_cast<std::int64_t>(done))}, {"name", T("a")}});
    idempotency record;
    record.key = "bulk";
    record.lines_done = done;
    b.batch.remember = record;
    EXPECT_EQ(fates(write(b)), "c");
  }
  auto known = ask<std::optional<idempotency>>(
      [this](net::request_context& context) { return store_->recall(context, "bulk"); });
  ASSERT_TRUE(known.has_value() && known->has_value());
  EXPECT_EQ((*known)->lines_done, 3U);
}

TEST_P(StoreRows, ATransactionIsSeenAsAWholeOrNotAtAll) {
  settings_.transaction_idle_ms = 200;
  open_store();
  const auto begin = [&] {
    return ask<std::uint64_t>([this](net::request_context& c) { return store_->begin_transaction(c); })
        .value();
  };
  const auto put = [&](std::uint64_t transaction, std::int64_t id) {
    batch_builder b(users(), write_kind::upsert);
    b.row({{"id", I(id)}, {"name", T("a")}});
    b.batch.transaction = transaction;
    return write(b);
  };
  const auto end = [&](std::uint64_t transaction, bool commit) {
    return ask<std::int64_t>(
        [=, this](net::request_context& c) { return store_->end_transaction(c, transaction, commit); });
  };
  std::uint64_t id = begin();
  EXPECT_EQ(fates(put(id, 1)), "c");
  EXPECT_EQ(fates(put(id, 2)), "c");
  EXPECT_EQ(row_of(users(), "1"), "");
  auto ended = end(id, true);
  ASSERT_TRUE(ended.has_value()) << ended.error().text();
  EXPECT_EQ(*ended, store_->watermark());
  EXPECT_NE(row_of(users(), "2"), "");

  id = begin();
  EXPECT_EQ(fates(put(id, 3)), "c");
  EXPECT_TRUE(end(id, false).has_value());
  EXPECT_EQ(row_of(users(), "3"), "");

  id = begin();
  EXPECT_EQ(fates(put(id, 4)), "c");
  // Nobody ends it: who wants the row waits until it is rolled back, and gets it.
  EXPECT_EQ(fates(put(0, 4)), "c");
  EXPECT_EQ(put(id, 6).error().code, net::errc::closed);
  EXPECT_EQ(end(id, true).error().code, net::errc::closed);
  EXPECT_EQ(row_of(users(), "6"), "");
}

}  // namespace syncline::storage::testing
