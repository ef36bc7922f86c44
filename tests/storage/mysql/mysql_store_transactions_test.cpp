// Idempotency records, transactions of several batches, and writers that meet.
#include <atomic>
#include <thread>

#include "storage/mysql/mysql_store.h"
#include "tests/storage/mysql/mysql_store_fixture.h"

namespace syncline::storage::mysql {
namespace {

using namespace testing;

class MysqlStoreTransactions : public mysql_store_test {
 protected:
  net::result<std::optional<idempotency>> recall(const std::string& key) {
    return ask<std::optional<idempotency>>(
        [this, key](request_context& context) { return store_->recall(context, key); });
  }
  net::result<std::uint64_t> begin() {
    return ask<std::uint64_t>(
        [this](request_context& context) { return store_->begin_transaction(context); });
  }
  net::result<std::int64_t> end(std::uint64_t id, bool commit) {
    return ask<std::int64_t>(
        [=, this](request_context& context) { return store_->end_transaction(context, id, commit); });
  }
  write_batch user(std::int64_t id, std::string_view name, std::uint64_t transaction = 0) {
    batch_builder b(users(), write_kind::upsert);
    b.row({{"id", I(id)}, {"name", T(name)}});
    b.batch.transaction = transaction;
    return std::move(b.batch);
  }
};

TEST_F(MysqlStoreTransactions, AnIdempotencyKeyIsRememberedWithItsWriteAndRefusedAgain) {
  open_store();
  const auto attempt = [&](std::uint64_t fingerprint, std::int64_t id) {
    batch_builder b(users(), write_kind::create);
    b.row({{"id", I(id)}, {"name", T("a")}});
    b.batch.remember.emplace();
    b.batch.remember->key = "k1";
    b.batch.remember->fingerprint = fingerprint;
    b.batch.remember->complete = true;
    b.batch.remember->saved = "answer";
    return write(b);
  };
  ASSERT_EQ(fates(attempt(0xffff'ffff'ffff'fff0ULL, 1)), "c");
  const auto known = recall("k1");
  ASSERT_TRUE(known.has_value() && known->has_value());
  EXPECT_EQ((*known)->fingerprint, 0xffff'ffff'ffff'fff0ULL);
  EXPECT_EQ((*known)->saved, "answer");
  EXPECT_TRUE((*known)->complete);
  EXPECT_EQ(attempt(0xffff'ffff'ffff'fff0ULL, 2).error().what, "idempotency-key");
  EXPECT_EQ(attempt(1, 2).error().what, "idempotency-key");
  EXPECT_EQ(row_of(users(), "2"), "") << "nothing of a refused one stays";
  EXPECT_FALSE(recall("k2")->has_value());
}

TEST_F(MysqlStoreTransactions, AnUploadsBatchesMoveItsRecordOnAndNeverPassOneAnother) {
  open_store();
  const auto batch = [&](std::int64_t id, std::uint64_t before, std::uint64_t done) {
    write_batch b = user(id, "a");
    b.remember.emplace();
    b.remember->key = "up";
    b.remember->lines_before = before;
    b.remember->lines_done = done;
    b.remember->fold = [](std::string_view saved, const write_outcome& made) {
      return std::string(saved) + (made.rows[0].what == fate::created ? "c" : "x");
    };
    return write(std::move(b));
  };
  EXPECT_EQ(fates(batch(1, 0, 10)), "c");
  EXPECT_EQ(batch(3, 20, 30).error().what, "idempotency-key-moved");
  EXPECT_EQ(fates(batch(2, 10, 20)), "c");
  EXPECT_EQ((*recall("up"))->saved, "cc");
  EXPECT_EQ(row_of(users(), "3"), "");
}

TEST_F(MysqlStoreTransactions, OfTwoFirstRequestsWithOneKeyOnlyOneHappens) {
  open_store();
  std::atomic<int> created{0};
  std::atomic<int> refused{0};
  const auto attempt = [&](std::size_t core) {
    for (int i = 0; i < 20; ++i) {
      batch_builder b(users(), write_kind::create);
      b.row({{"name", T("once")}});
      b.batch.remember.emplace();
      b.batch.remember->key = "pair" + std::to_string(i);
      b.batch.remember->complete = true;
      const auto made = write(std::move(b.batch), {}, core);
      if (made && fates(made) == "c") ++created;
      if (!made && made.error().what == "idempotency-key") ++refused;
    }
  };
  std::thread other([&] { attempt(1); });
  attempt(0);
  other.join();
  EXPECT_EQ(created, 20);
  EXPECT_EQ(refused, 20);
  EXPECT_EQ(value("SELECT COUNT(*) FROM users"), "20");
}

TEST_F(MysqlStoreTransactions, BatchesOfATransactionComeTogetherOrNotAtAll) {
  open_store();
  const auto first = begin();
  ASSERT_TRUE(first.has_value()) << first.error().text();
  EXPECT_EQ(fates(write(user(1, "a", *first))), "c");
  EXPECT_EQ(fates(write(user(1, "b", *first))), "u") << "it sees its own rows";
  batch_builder bad(users(), write_kind::upsert);
  bad.row({{"id", I(5)}, {"name", T("x")}}).row({{"id", I(6)}, {"name", N()}});
  bad.batch.transaction = *first;
  bad.batch.all_or_nothing = true;
  EXPECT_EQ(fates(write(bad)), "sx");
  EXPECT_EQ(row_of(users(), "1"), "") << "nobody else does";
  const auto position = end(*first, true);
  ASSERT_TRUE(position.has_value()) << position.error().text();
  EXPECT_GE(store_->watermark(), *position);
  EXPECT_EQ(value("SELECT GROUP_CONCAT(name) FROM users"), "b");
  const auto second = begin();
  EXPECT_EQ(fates(write(user(2, "c", *second))), "c");
  EXPECT_TRUE(end(*second, false).has_value());
  EXPECT_EQ(row_of(users(), "2"), "");
  EXPECT_EQ(write(user(3, "d", *second)).error().code, net::errc::closed);
  EXPECT_EQ(end(*second, true).error().code, net::errc::closed);
}

TEST_F(MysqlStoreTransactions, AnIdleTransactionIsRolledBackAndItsConnectionComesBack) {
  options_.transaction_idle_ms = 50;
  options_.pool.connections_max = 2;
  open_store();
  const auto idle = begin();
  ASSERT_TRUE(idle.has_value()) << idle.error().text();
  EXPECT_EQ(fates(write(user(1, "a", *idle))), "c");
  // The lock of the row is what the other one waits for.
  EXPECT_EQ(fates(write(user(1, "b"))), "c");
  EXPECT_EQ(write(user(2, "c", *idle)).error().code, net::errc::closed);
}

TEST_F(MysqlStoreTransactions, WritersThatDeadlockAreTriedAgain) {
  options_.lock_wait_timeout_s = 2;
  options_.write_retries_max = 20;
  open_store();
  create_users(1, 2);
  const double before = metric("syncline_mysql_write_retries_total ");
  const auto retries = [before] { return metric("syncline_mysql_write_retries_total ") - before; };
  const auto give_up_at = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  std::atomic<int> failed{0};
  std::atomic<int> written{0};
  // Each writes the two rows in another order, in waves of one row, so they meet in the middle; until some of
  // them did. The new row beside them tells a batch of which something stayed when it was tried again: it
  // would be an old one.
  const auto both = [&](std::int64_t core, std::int64_t first, std::int64_t second) {
    for (int i = 0; i < 30 || (retries() < 3 && std::chrono::steady_clock::now() < give_up_at); ++i) {
      batch_builder b(users(), write_kind::upsert);
      const std::string name = std::to_string(core) + " " + std::to_string(i);
      b.row({{"id", I(first)}, {"name", T(name)}})
          .row({{"id", I(1'000'000 * (core + 1) + i)}, {"name", T(name)}})
          .row({{"id", I(first)}, {"name", T(name + "!")}})
          .row({{"id", I(second)}, {"name", T(name)}});
      const auto made = write(std::move(b.batch), {}, static_cast<std::size_t>(core));
      ++written;
      if (fates(made) != "ucuu") {
        ++failed;
        ADD_FAILURE() << fates(made);
      }
    }
  };
  std::thread other([&] { both(1, 2, 1); });
  both(0, 1, 2);
  other.join();
  EXPECT_EQ(failed, 0);
  EXPECT_GE(retries(), 3) << "they never met";
  EXPECT_EQ(value("SELECT COUNT(*) FROM users WHERE id>=1000000"), std::to_string(written));
  // The last of all wrote both rows: one with its name, the one it writes twice with a mark behind it.
  EXPECT_EQ(value("SELECT COUNT(DISTINCT REPLACE(name,'!','')) FROM users WHERE id IN (1,2)"), "1");
}

TEST_F(MysqlStoreTransactions, ALockThatAnotherProgramHoldsIsWaitedForAndThenTold) {
  options_.lock_wait_timeout_s = 1;
  options_.write_retries_max = 1;
  open_store();
  create_users(1, 1);
  std::string told;
  const mysql_work hold = [&](request_context& context, sql_connection& db) -> task<net::result<void>> {
    auto begin = db.sql(context, "BEGIN");
    static_cast<void>(co_await std::move(begin));
    auto lock = db.sql(context, "SELECT * FROM users WHERE id=1 FOR UPDATE");
    static_cast<void>(co_await std::move(lock));
    std::thread writer([&] { told = fates(write(user(1, "b"))); });
    writer.join();
    co_return net::result<void>();
  };
  ASSERT_TRUE(run_on_mysql(options_, hold).has_value());
  EXPECT_NE(told.find("another transaction holds the rows"), std::string::npos) << told;
  EXPECT_EQ(fates(write(user(1, "c"))), "u") << "its connection is in order again";
}

TEST_F(MysqlStoreTransactions, RowsThatAppearBetweenTheLookAndTheInsertAreUpdated) {
  open_store();
  std::atomic<bool> failed{false};
  // Both create the same new keys at the same time.
  const auto create = [&](std::size_t core) {
    for (std::int64_t round = 0; round < 20; ++round) {
      batch_builder b(users(), write_kind::upsert);
      const std::string name = "by " + std::to_string(core);
      for (std::int64_t i = 0; i < 20; ++i) b.row({{"id", I(round * 20 + i + 1)}, {"name", T(name)}});
      const auto made = write(std::move(b.batch), {}, core);
      if (!made || fates(made).find('x') != std::string::npos) {
        failed = true;
        ADD_FAILURE() << fates(made);
      }
    }
  };
  std::thread other([&] { create(1); });
  create(0);
  other.join();
  EXPECT_FALSE(failed);
  EXPECT_EQ(value("SELECT COUNT(*) FROM users"), "400");
}

}  // namespace
}  // namespace syncline::storage::mysql
