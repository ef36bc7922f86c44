#include "storage/sqlite/row_writer.h"
#include "tests/storage/sqlite_store_fixture.h"

namespace syncline::storage::sqlite::testing {

class sqlite_store_rows : public store_test {};

TEST_F(sqlite_store_rows, ADeferredForeignKeyThatStaysOpenCostsItsRowOnly) {
  open_store();
  create_users(1, 1);
  batch_builder l(links(), write_kind::upsert);
  l.row({{"id", I(1)}, {"user_id", I(1)}, {"later_id", I(1)}})
      .row({{"id", I(2)}, {"user_id", I(1)}, {"later_id", I(404)}})
      .row({{"id", I(3)}, {"user_id", I(1)}});
  EXPECT_EQ(fates(write(l)), "cxc");
  EXPECT_EQ(row_of(links(), "2"), "");
  EXPECT_NE(row_of(links(), "3"), "");
}

TEST_F(sqlite_store_rows, ATriggerThatRollsBackCostsItsBatchOnly) {
  connection db = open_or_die(file_.path());
  run(db,
      "CREATE TRIGGER no_bob BEFORE INSERT ON users WHEN NEW.name='bob' BEGIN SELECT RAISE(ROLLBACK, 'no "
      "bob'); END");
  open_store();
  // A lock holds the writer until all three batches wait, so that they are one group.
  run(db, "BEGIN IMMEDIATE");
  std::vector<std::future<void>> done;
  std::vector<net::result<write_outcome>> made(3, net::error());
  for (int i = 0; i < 3; ++i) {
    batch_builder b(users(), write_kind::create);
    b.row({{"id", I(i + 1)}, {"name", i == 1 ? T("bob") : T("ann")}});
    done.push_back(start_write(std::move(b.batch), made[static_cast<std::size_t>(i)]));
  }
  ASSERT_TRUE(eventually([&] { return store_->read_figures().write_queue_batches == 3; }));
  run(db, "ROLLBACK");
  for (auto& each : done) ASSERT_EQ(each.wait_for(net::testing::kTestWait), std::future_status::ready);
  EXPECT_EQ(fates(made[0]), "c");
  ASSERT_FALSE(made[1].has_value());
  EXPECT_EQ(made[1].error().code, net::errc::conflict);
  EXPECT_EQ(fates(made[2]), "c");
}

TEST_F(sqlite_store_rows, ALargeBatchThatIsUndoneCostsNobodyElse) {
  open_store();
  create_users(1, 1);
  constexpr std::int64_t kMany = kSavepointRowsMax * 4;
  connection db = open_or_die(file_.path());
  run(db, "BEGIN IMMEDIATE");  // until all wait, so that they are one group
  std::vector<write_batch> batches;
  const auto single = [&](std::int64_t id) {
    batch_builder b(users(), write_kind::create);
    b.row({{"id", I(id)}, {"name", T("single")}});
    batches.push_back(std::move(b.batch));
  };
  const auto large = [&](std::int64_t from, bool bad) {
    batch_builder b(users(), write_kind::insert);
    for (std::int64_t i = 0; i < kMany; ++i)
      b.row({{"id", I(from + i)}, {"name", bad && i == 7 ? N() : T("x")}});
    batches.push_back(std::move(b.batch));
  };
  single(10);
  large(1000, false);
  batches.back().dry_run = true;
  large(2000, true);
  batches.back().all_or_nothing = true;
  batch_builder deferred(links(), write_kind::insert);
  for (std::int64_t i = 0; i < kMany; ++i)
    deferred.row({{"id", I(i)}, {"user_id", I(1)}, {"later_id", i == 3 ? I(404) : I(1)}});
  batches.push_back(std::move(deferred.batch));
  large(3000, true);
  single(11);
  std::vector<net::result<write_outcome>> made(batches.size(), net::error());
  std::vector<std::future<void>> done;
  for (std::size_t i = 0; i < batches.size(); ++i)
    done.push_back(start_write(std::move(batches[i]), made[i]));
  ASSERT_TRUE(eventually([&] { return store_->read_figures().write_queue_batches == made.size(); }));
  run(db, "ROLLBACK");
  for (auto& each : done) ASSERT_EQ(each.wait_for(net::testing::kTestWait), std::future_status::ready);
  const auto row_fates = [&](char good, std::size_t bad) {
    std::string out(static_cast<std::size_t>(kMany), good);
    if (bad < out.size()) out[bad] = 'x';
    return out;
  };
  EXPECT_EQ(fates(made[0]), "c");
  EXPECT_EQ(fates(made[1]), row_fates('c', 999));
  EXPECT_EQ(fates(made[2]), row_fates('s', 7));
  EXPECT_EQ(fates(made[3]), row_fates('c', 3));
  EXPECT_EQ(fates(made[4]), row_fates('c', 7));
  EXPECT_EQ(fates(made[5]), "c");
  EXPECT_EQ(db.query_int("SELECT count(*) FROM users").value(), 3 + kMany - 1);
  EXPECT_EQ(db.query_int("SELECT count(*) FROM links").value(), kMany - 1);
  EXPECT_EQ(db.query_int("SELECT count(*) FROM users WHERE id BETWEEN 1000 AND 2999").value(), 0);
}

}  // namespace syncline::storage::sqlite::testing
