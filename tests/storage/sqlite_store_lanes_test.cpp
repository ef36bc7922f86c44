// How batches of different work share the one writer.
#include <deque>

#include "storage/sqlite/write_queue.h"
#include "tests/storage/sqlite_store_fixture.h"

namespace syncline::storage::sqlite::testing {

class sqlite_store_lanes : public store_test {
 protected:
  struct running {
    net::result<write_outcome> outcome = net::error();
    std::future<void> ended;
    [[nodiscard]] bool done() const {
      return ended.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
    }
  };
  // Begins a write of `rows` users from `first` on.
  std::unique_ptr<running> begin(net::work_class work, std::int64_t first, std::int64_t rows) {
    auto b = std::make_shared<batch_builder>(users(), write_kind::upsert);
    for (std::int64_t i = first; i < first + rows; ++i) b->row({{"id", I(i)}, {"name", T("a name")}});
    auto out = std::make_unique<running>();
    out->ended =
        net::testing::start_task(cores_.at(0), [this, b, work, into = &out->outcome]() -> net::task<void> {
          net::request_context context(cores_.at(0), work);
          auto writing = store_->write(context, std::move(b->batch));
          *into = co_await std::move(writing);
        });
    return out;
  }
  void finish(running& one) {
    ASSERT_EQ(one.ended.wait_for(net::testing::kTestWait), std::future_status::ready);
    EXPECT_TRUE(one.outcome.has_value()) << one.outcome.error().text();
  }
};

TEST_F(sqlite_store_lanes, AnInteractiveWriteGoesBeforeQueuedBulk) {
  // Nothing ends a slice of bulk but the interactive write.
  options_.group_commit_max_ms = 1000;
  open_store();
  constexpr std::int64_t kBatches = 60;
  std::vector<std::unique_ptr<running>> bulk;
  for (std::int64_t i = 0; i < kBatches; ++i) bulk.push_back(begin(net::work_class::bulk, 1 + i * 500, 500));
  ASSERT_TRUE(eventually([&] { return store_->read_figures().write_queue_batches > kBatches / 2; }));
  auto one = begin(net::work_class::interactive, 1'000'000, 1);
  finish(*one);
  EXPECT_FALSE(bulk.back()->done()) << "it waited for the whole queue";
  for (auto& each : bulk) finish(*each);
}

TEST_F(sqlite_store_lanes, BulkIsNotStarvedByInteractiveWrites) {
  open_store();
  std::int64_t next = 1'000'000;
  std::deque<std::unique_ptr<running>> interactive;
  const auto refill = [&] {
    while (interactive.size() < 8) interactive.push_back(begin(net::work_class::interactive, next++, 1));
  };
  refill();
  auto bulk = begin(net::work_class::bulk, 1, 100);
  // Eight interactive writes wait all the time; bulk gets its turn among them.
  int served = 0;
  for (; served < 5000 && !bulk->done(); ++served) {
    refill();
    finish(*interactive.front());
    interactive.pop_front();
  }
  EXPECT_TRUE(bulk->done()) << served;
  finish(*bulk);
  for (auto& each : interactive) finish(*each);
}

// Its caller may still be waiting: the timer of a core is a tick coarser than the queue's clock.
TEST_F(sqlite_store_lanes, AWriteTakenTooLateHasAnAnswer) {
  net::testing::run_on(cores_.at(0), [&] {
    net::request_context context(cores_.at(0));
    context.set_deadline(std::chrono::steady_clock::now());
    batch_builder b(users(), write_kind::upsert);
    b.row({{"id", I(1)}, {"name", T("a")}});
    const auto call = std::make_shared<write_call>(context, std::move(b.batch));
    write_queue queue(100);
    EXPECT_TRUE(queue.push(call).has_value());
    EXPECT_EQ(queue.take(write_queue::lane::interactive), nullptr);
    EXPECT_EQ(queue.rows(), 0U);
    EXPECT_TRUE(call->answer.has_value() && call->answer->has_error());
  });
}

TEST_F(sqlite_store_lanes, ABatchOfAnUploadIsRefusedWhenTheOneBeforeIsMissing) {
  open_store();
  const auto put = [&](std::uint64_t before, std::uint64_t done) {
    batch_builder b(users(), write_kind::upsert);
    b.row({{"id", I(static_cast<std::int64_t>(done))}, {"name", T("a")}});
    idempotency record;
    record.key = "upload";
    record.lines_before = before;
    record.lines_done = done;
    b.batch.remember = record;
    return write(b);
  };
  EXPECT_EQ(fates(put(0, 1)), "c");
  EXPECT_EQ(fates(put(1, 2)), "c");
  auto gap = put(3, 4);
  ASSERT_FALSE(gap.has_value());
  EXPECT_EQ(gap.error().code, net::errc::conflict);
  EXPECT_EQ(gap.error().what, "idempotency-key-moved");
  EXPECT_EQ(row_of(users(), "4"), "");
  EXPECT_FALSE(put(0, 5).has_value()) << "a second upload under the same key began";
  EXPECT_EQ(fates(put(2, 3)), "c");
}

// Chores that ask to be run again, as the numbering of a swapped table, and groups never end.
TEST_F(sqlite_store_lanes, ATransactionGetsItsTurnAmongGroupsAndChores) {
  net::testing::run_on(cores_.at(0), [&] {
    net::request_context context(cores_.at(0));
    write_queue queue(1000);
    ASSERT_TRUE(queue.push(std::make_shared<begin_call>(context)));
    std::string turns;
    while (turns.size() < 12) {
      if (queue.rows() < 3) {
        ASSERT_TRUE(queue.push(std::make_shared<write_call>(context, write_batch())));
      }
      ASSERT_TRUE(queue.push_chore([](connection&) {}));
      switch (queue.wait(false)) {
        case write_queue::work::group:
          turns += 'g';
          (void)queue.take(write_queue::lane::interactive);
          break;
        case write_queue::work::chore:
          turns += 'c';
          break;
        default:
          turns += 't';
          ASSERT_TRUE(queue.push(queue.take_begin()));
      }
      while (queue.take_chore()) {
      }
    }
    EXPECT_EQ(turns, "gctgctgctgct");
  });
}

}  // namespace syncline::storage::sqlite::testing
