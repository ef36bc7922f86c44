// Stored rows that fit no declaration, as another program may write them: answers leave them out.
#include "tests/storage/sqlite_store_fixture.h"

namespace syncline::storage::sqlite::testing {

class sqlite_store_misfit : public store_test {
 protected:
  void SetUp() override {
    store_test::SetUp();
    open_store();
    create_users(1, 100);
  }
  void spoil(const std::string& where) {
    connection db = open_or_die(file_.path());
    run(db, "UPDATE users SET name=x'ff00' WHERE " + where);
  }
  net::result<rows> page_of(page_from from, const std::string& key, std::uint32_t limit) {
    list_query q;
    q.of = &users();
    q.what = projection::all(users());
    q.from = from;
    q.key = key;
    q.limit = limit;
    return list(q);
  }
  std::string keys(page_from from, const std::string& key, std::uint32_t limit) {
    auto made = page_of(from, key, limit);
    if (!made) return made.error().text();
    std::string out;
    for (const row_slice& s : made->slices) out += std::string(made->key(s)) + " ";
    return out + (made->more ? "more" : "end");
  }
};

TEST_F(sqlite_store_misfit, ByKeyItIsMissingAndTheOthersAreThere) {
  spoil("id=2");
  auto made = get(users(), {"1", "2", "3"});
  ASSERT_TRUE(made.has_value()) << made.error().text();
  ASSERT_EQ(made->slices.size(), 3U);
  EXPECT_TRUE(made->slices[0].found);
  EXPECT_FALSE(made->slices[1].found);
  EXPECT_EQ(made->key(made->slices[1]), "2");
  EXPECT_TRUE(made->slices[2].found);
  connection db = open_or_die(file_.path());
  run(db, "UPDATE users SET name='mended' WHERE id=2");
  EXPECT_NE(row_of(users(), "2"), "");
}

TEST_F(sqlite_store_misfit, APageIsFilledWithWhatFollows) {
  spoil("id BETWEEN 2 AND 60 OR id=100");
  EXPECT_EQ(keys(page_from::first, "", 2), "1 61 more");
  EXPECT_EQ(keys(page_from::after, "61", 2), "62 63 more");
  EXPECT_EQ(keys(page_from::before, "62", 2), "1 61 end");
  EXPECT_EQ(keys(page_from::after, "98", 1), "99 more");  // that nothing fit follows is not looked for
  EXPECT_EQ(keys(page_from::after, "99", 1), "end");
}

TEST_F(sqlite_store_misfit, APageOfTooManyIsAnError) {
  spoil("id > 1");
  auto made = page_of(page_from::first, "", 50);
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error().code, net::errc::schema_mismatch);
}

TEST_F(sqlite_store_misfit, AmongRowsOfOtherColumnsItIsLeftOut) {
  spoil("id BETWEEN 2 AND 5");
  auto made = ask<rows>(
      [this](net::request_context& context) { return store_->rows_by(context, users(), {3}, {"1"}, 3); });
  ASSERT_TRUE(made.has_value()) << made.error().text();
  std::string out;
  for (const row_slice& s : made->slices) out += std::string(made->key(s)) + " ";
  EXPECT_EQ(out, "1 6 7 ");
  EXPECT_EQ(made->truncated, std::vector<bool>{true});
}

}  // namespace syncline::storage::sqlite::testing
