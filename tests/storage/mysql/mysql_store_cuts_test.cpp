// What is left of a batch of several rows and of a transaction when their connection is cut at each step.
//
// Cuts are counted in bytes of the server's answers or of what it is told. Two undisturbed runs before each
// one open and prepare what a run needs, so that the cuts, spread over the bytes of a third, meet each step.
#include <functional>
#include <thread>

#include "tests/storage/mysql/mysql_faults_fixture.h"

namespace syncline::storage::mysql {
namespace {

using namespace testing;

constexpr long kCuts = 50;
constexpr std::int64_t kRows = 5;

class MysqlStoreCuts : public mysql_faults_test, public ::testing::WithParamInterface<faulty_proxy::side> {
 protected:
  void open() {
    options_.pool.backoff_max_ms = 50;
    options_.pool.connections_max = 1;
    open_through_proxy();
    options_.primary = direct_.primary;  // the test itself asks beside the proxy
  }
  // True when everything worked; each call makes rows of its own.
  using run = std::function<bool()>;
  void warm_up(const run& work) {
    EXPECT_TRUE(eventually([&] { return work() && work(); }));
  }
  // Bytes that the side says for it, without what happened to be said besides.
  long bytes_of(const run& work) {
    warm_up(work);
    long least = 1L << 40;
    for (int i = 0; i < 5; ++i) {
      const long before = said();
      EXPECT_TRUE(work());
      least = std::min(least, said() - before);
    }
    return least;
  }
  [[nodiscard]] long said() const {
    return GetParam() == faulty_proxy::side::server ? proxy_->forwarded() : proxy_->sent();
  }
  // After so many bytes all connections are cut; new ones are let through. False: nothing was cut.
  bool cut_after(long bytes, const run& work) {
    std::atomic<bool> done{false};
    proxy_->after(bytes, faulty_proxy::end::close, GetParam());
    std::thread restores([&] {
      EXPECT_TRUE(eventually([&] { return proxy_->struck() || done; }));
      proxy_->restore();
    });
    static_cast<void>(work());
    done = true;
    restores.join();
    return proxy_->struck();
  }
  static bool in_doubt(const net::error& why) {
    return why.text().find("may or may not have happened") != std::string::npos;
  }
  static bool stored(const net::error& why) { return why.text().find("is committed") != std::string::npos; }
  // Unless the answer leaves it open it says which it is.
  static void expect_clear(const net::error& why, bool there, long cut) {
    EXPECT_TRUE(why.code == errc::down || why.code == errc::closed) << cut << ": " << why.text();
    EXPECT_TRUE(in_doubt(why) || stored(why) == there) << cut << ": " << why.text();
  }
  // Where the cut of a step is. A COMMIT, or its answer, is about as long as the distance of two of them:
  // should none have met it there are further rounds, a little beside the first.
  static long place_of(long step, long whole) { return 1 + step % kCuts * whole / kCuts + step / kCuts * 13; }
  static bool goes_on(long step, bool met) { return step < kCuts || (!met && step < 6 * kCuts); }
  static double doubts() { return metric("syncline_mysql_commits_in_doubt_total "); }

  // Two rows are there already, the others are new.
  net::result<write_outcome> write_five() {
    first_ += kRows;
    sql("INSERT INTO users(id,name) VALUES(" + std::to_string(first_) + ",'old'),(" +
        std::to_string(first_ + 3) + ",'old')");
    batch_builder b(users(), write_kind::upsert);
    for (std::int64_t i = 0; i < kRows; ++i) b.row({{"id", I(first_ + i)}, {"name", T("new")}});
    if (keyed_) {
      b.batch.remember.emplace();
      b.batch.remember->key = "cut" + std::to_string(first_);
      b.batch.remember->complete = true;
    }
    return write(b);
  }
  // A row of each of two tables.
  net::result<std::int64_t> transact() {
    ++first_;
    const auto begun =
        ask<std::uint64_t>([this](request_context& context) { return store_->begin_transaction(context); });
    if (!begun) return begun.error();
    write_batch one = user(first_, "in it");
    one.transaction = *begun;
    const std::string first = fates(write(std::move(one)));
    batch_builder two(notes(), write_kind::upsert);
    two.row({{"owner", T("o")}, {"n", I(first_)}, {"body", T("in it")}});
    two.batch.transaction = *begun;
    const std::string second = fates(write(two));
    auto ended = ask<std::int64_t>(
        [this, id = *begun](request_context& context) { return store_->end_transaction(context, id, true); });
    EXPECT_TRUE(!ended || (first == "c" && second == "c")) << first << ", " << second;
    return ended;
  }

  std::int64_t first_ = 100;
  bool keyed_ = false;
};

TEST_P(MysqlStoreCuts, OfABatchAllRowsAreThereOrNone) {
  open();
  net::result<write_outcome> made = net::error();
  const run work = [&] {
    made = write_five();
    return made.has_value();
  };
  const long whole = bytes_of(work);
  const double before = doubts();
  int acknowledged = 0;
  int cuts = 0;
  for (long step = 0; goes_on(step, doubts() > before); ++step) {
    const long cut = place_of(step, whole);
    keyed_ = step % 4 == 0;
    warm_up(work);
    cuts += cut_after(cut, work) ? 1 : 0;
    const std::string there = value("SELECT GROUP_CONCAT(name ORDER BY id) FROM users WHERE id BETWEEN " +
                                    std::to_string(first_) + " AND " + std::to_string(first_ + kRows - 1));
    const bool all = there == "new,new,new,new,new";
    EXPECT_TRUE(all || there == "old,old") << cut << ": " << there;
    if (made) {
      EXPECT_EQ(fates(made), "uccuc") << cut;
      EXPECT_TRUE(all) << cut;
      ++acknowledged;
    } else {
      expect_clear(made.error(), all, cut);
    }
  }
  EXPECT_GT(cuts, kCuts / 2);
  EXPECT_GT(acknowledged, 0);
  EXPECT_GE(doubts(), before + 1) << "no cut met a COMMIT, of " << whole << " bytes";
  EXPECT_TRUE(nothing_is_leaked());
  expect_every_connection_to_be_had();
}

TEST_P(MysqlStoreCuts, OfATransactionAllBatchesAreThereOrNone) {
  open();
  net::result<std::int64_t> made = net::error();
  const run work = [&] {
    made = transact();
    return made.has_value();
  };
  const long whole = bytes_of(work);
  const double before = doubts();
  int acknowledged = 0;
  int in_doubt_said = 0;
  int cuts = 0;
  for (long step = 0; goes_on(step, doubts() > before); ++step) {
    const long cut = place_of(step, whole);
    warm_up(work);
    cuts += cut_after(cut, work) ? 1 : 0;
    const std::string id = std::to_string(first_);
    const std::string there = value("SELECT (SELECT COUNT(*) FROM users WHERE id=" + id +
                                    ") + (SELECT COUNT(*) FROM notes WHERE n=" + id + ")");
    EXPECT_TRUE(there == "0" || there == "2") << cut << ": " << there;
    if (made) {
      EXPECT_EQ(there, "2") << cut;
      ++acknowledged;
    } else {
      expect_clear(made.error(), there != "0", cut);
      in_doubt_said += in_doubt(made.error()) ? 1 : 0;
    }
  }
  EXPECT_GT(cuts, kCuts / 2);
  EXPECT_GT(acknowledged, 0);
  EXPECT_GE(in_doubt_said, 1) << "no cut met a COMMIT, of " << whole << " bytes";
  EXPECT_EQ(doubts(), before + in_doubt_said);
  EXPECT_TRUE(nothing_is_leaked());
  expect_every_connection_to_be_had();
}

INSTANTIATE_TEST_SUITE_P(By, MysqlStoreCuts,
                         ::testing::Values(faulty_proxy::side::server, faulty_proxy::side::client),
                         [](const auto& of) {
                           return std::string(of.param == faulty_proxy::side::server ? "Answers"
                                                                                     : "Requests");
                         });

}  // namespace
}  // namespace syncline::storage::mysql
