// What throws on a thread of the store is the error of its caller, and the thread goes on.
#include <pthread.h>

#include <array>
#include <stdexcept>

#include "storage/sqlite/number_rows.h"
#include "tests/net/watched_memory.h"
#include "tests/storage/sqlite_store_fixture.h"

namespace syncline::storage::sqlite::testing {

namespace memory = syncline::testing::memory;

class sqlite_store_memory : public store_test {
 protected:
  ~sqlite_store_memory() override { memory::fail_nth({}, 0); }

  batch_builder user(std::int64_t id) {
    batch_builder b(users(), write_kind::upsert);
    b.row({{"id", I(id)}, {"name", T("a name that does not fit into a small string")}});
    return b;
  }
  // One whose own code throws, after its row was written.
  batch_builder faulty(std::int64_t id) {
    batch_builder b = user(id);
    idempotency record;
    record.key = "upload " + std::to_string(id);
    record.fold = [](std::string_view, const write_outcome&) -> std::string {
      throw std::runtime_error("a fault of the caller");
    };
    b.batch.remember = record;
    return b;
  }
  net::result<std::uint64_t> begin() {
    return ask<std::uint64_t>(
        [this](net::request_context& context) { return store_->begin_transaction(context); });
  }
  net::result<std::int64_t> end(std::uint64_t transaction, bool commit) {
    return ask<std::int64_t>([this, transaction, commit](net::request_context& context) {
      return store_->end_transaction(context, transaction, commit);
    });
  }
  static void expect_short_of_memory(const net::error& why) {
    EXPECT_EQ(why.code, net::errc::overloaded) << why.text();
    EXPECT_GT(why.retry_after_ms, 0U);
  }
  void expect_whole() {
    memory::fail_nth({}, 0);
    EXPECT_EQ(fates(write(user(1'000'000).batch)), "c");
    EXPECT_TRUE(eventually([this] { return store_->read_figures().healthy; }));
    connection db = open_or_die(file_.path());
    EXPECT_TRUE(check_feed(db, all_, false)->clean());
  }
  net::result<write_outcome> write(write_batch batch) { return store_calls::write(std::move(batch)); }
};

TEST_F(sqlite_store_memory, AWriteThatThrowsFailsAloneAndItsGroupIsWritten) {
  options_.busy_timeout_ms = 20000;
  open_store();
  connection db = open_or_die(file_.path());
  run(db, "BEGIN IMMEDIATE");  // so that all are of one group
  std::array<net::result<write_outcome>, 3> made{net::error(), net::error(), net::error()};
  std::vector<std::future<void>> ended;
  ended.push_back(start_write(user(1).batch, made[0]));
  ended.push_back(start_write(faulty(2).batch, made[1]));
  ended.push_back(start_write(user(3).batch, made[2]));
  ASSERT_TRUE(eventually([&] { return store_->read_figures().write_queue_batches == 3; }));
  run(db, "ROLLBACK");
  for (auto& each : ended) ASSERT_EQ(each.wait_for(net::testing::kTestWait), std::future_status::ready);
  EXPECT_EQ(fates(made[0]), "c");
  EXPECT_EQ(fates(made[2]), "c");
  ASSERT_FALSE(made[1].has_value());
  EXPECT_EQ(made[1].error().code, net::errc::internal);
  EXPECT_EQ(made[1].error().detail, "a fault of the caller");
  EXPECT_EQ(row_of(users(), "2"), "");
  expect_whole();
}

TEST_F(sqlite_store_memory, AWriteThatThrowsEndsItsTransaction) {
  open_store();
  auto transaction = begin();
  ASSERT_TRUE(transaction.has_value());
  batch_builder first = user(1);
  first.batch.transaction = *transaction;
  EXPECT_EQ(fates(write(std::move(first.batch))), "c");
  batch_builder second = faulty(2);
  second.batch.transaction = *transaction;
  auto made = write(std::move(second.batch));
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error().detail, "a fault of the caller");
  EXPECT_EQ(end(*transaction, true).error().code, net::errc::closed);
  EXPECT_EQ(row_of(users(), "1"), "");
  expect_whole();
}

TEST_F(sqlite_store_memory, WhicheverAllocationOfTheWriterFailsAWriteIsThereJustWhenItIsAcknowledged) {
  open_store();
  std::int64_t id = 0;
  int refused = 0;
  for (bool more = true; more; ++id) {
    SCOPED_TRACE(id);
    memory::fail_nth("sqlite-write", static_cast<std::uint64_t>(id) + 1);
    auto made = write(user(id).batch);
    more = memory::nth_failed();
    memory::fail_nth({}, 0);
    if (!made) {
      expect_short_of_memory(made.error());
      ++refused;
    }
    ASSERT_EQ(row_of(users(), std::to_string(id)).empty(), !made.has_value());
    if (made) {
      ASSERT_GE(listener_.last(), made->position);
    }
  }
  EXPECT_GT(refused, 5) << "the test proves nothing";
  expect_whole();
}

TEST_F(sqlite_store_memory, WhicheverAllocationOfTheWriterFailsATransactionIsWholeOrNot) {
  open_store();
  std::int64_t id = 0;
  for (bool more = true; more; ++id) {
    SCOPED_TRACE(id);
    memory::fail_nth("sqlite-write", static_cast<std::uint64_t>(id) + 1);
    bool committed = false;
    if (auto transaction = begin()) {
      batch_builder b = user(id);
      b.batch.transaction = *transaction;
      const bool written = write(std::move(b.batch)).has_value();
      committed = end(*transaction, written).has_value() && written;
    }
    more = memory::nth_failed();
    memory::fail_nth({}, 0);
    ASSERT_EQ(row_of(users(), std::to_string(id)).empty(), !committed);
  }
  EXPECT_GT(id, 5) << "the test proves nothing";
  expect_whole();
}

// A turn that throws is rolled back, so the next one begins before it.
TEST_F(sqlite_store_memory, WhicheverAllocationOfANumberingFailsNoRowIsPassedOver) {
  connection db = open_or_die();  // in memory
  run(db, kTables);
  migrate_or_die(db, all_);
  std::array<char, 16> thread{};
  ASSERT_EQ(pthread_getname_np(pthread_self(), thread.data(), thread.size()), 0);
  std::uint64_t nth = 0;
  for (bool more = true; more;) {
    nth += 1 + nth / 16;  // there are hundreds, and the later ones are much the same
    SCOPED_TRACE(nth);
    run(db,
        "DROP TABLE users; CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT UNIQUE, "
        "team "
        "INTEGER, state TEXT, score REAL, deleted_at TEXT); CREATE INDEX users_team ON users(team);"
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<15) INSERT INTO "
        "users(id,name,team) "
        "SELECT i,'a',i%10 FROM n");
    ASSERT_TRUE(migrate_objects(db, all_, false).has_value());
    row_numbering rows(5);
    memory::fail_nth(thread.data(), nth);
    bool threw = false;
    try {
      while (rows.run(db, all_, {})->of != nullptr) {
      }
    } catch (const std::bad_alloc&) {
      threw = true;
    }
    more = memory::nth_failed();
    memory::fail_nth({}, 0);
    ASSERT_EQ(threw, more);
    for (auto made = rows.run(db, all_, {}); made->of != nullptr; made = rows.run(db, all_, {})) {
    }
    ASSERT_TRUE(check_feed(db, all_, false)->clean());
  }
  EXPECT_GT(nth, 50U) << "the test proves nothing";
}

TEST_F(sqlite_store_memory, WhicheverAllocationOfAReaderFailsTheCallerIsTold) {
  options_.readers = 1;
  open_store();
  create_users(1, 3);
  int refused = 0;
  std::uint64_t nth = 0;
  for (bool more = true; more;) {
    SCOPED_TRACE(++nth);
    memory::fail_nth("sqlite-read", nth);
    auto made = get(users(), {"1", "2"});
    more = memory::nth_failed();
    memory::fail_nth({}, 0);
    if (!made) {
      expect_short_of_memory(made.error());
      ++refused;
    }
    ASSERT_NE(row_of(users(), "3"), "");
  }
  EXPECT_GT(refused, 5) << "the test proves nothing";
}

TEST_F(sqlite_store_memory, WhicheverAllocationOfTheWatcherFailsACommitOfOthersIsToldOf) {
  open_store();
  connection db = open_or_die(file_.path());
  for (std::uint64_t nth = 1; nth <= 60; ++nth) {
    SCOPED_TRACE(nth);
    const std::int64_t before = store_->watermark();
    memory::fail_nth("sqlite-watch", nth);
    run(db, "INSERT INTO users(id, name) VALUES(" + std::to_string(nth) + ", 'a')");
    ASSERT_TRUE(eventually([&] { return store_->watermark() > before; }));
    memory::fail_nth({}, 0);
  }
  expect_whole();
}

}  // namespace syncline::storage::sqlite::testing
