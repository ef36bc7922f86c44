// Who holds connections, and when the log says so.
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "perf/log.h"
#include "tests/net/pool_by_hand.h"

namespace syncline::net {
namespace {

using std::chrono::milliseconds;
using testing::by_hand_options;
using testing::pool_by_hand;

TEST(PoolReport, SaysWhoHoldsConnectionsLongestFirst) {
  pool_by_hand pool(by_hand_options());
  pool.warm(2);
  auto hold = [&](std::string_view who, work_class work) -> pool_waiter& {
    pool.waiters.push_back(std::make_unique<pool_waiter>());
    pool_waiter& made = *pool.waiters.back();
    made.holder = who;
    made.work = work;
    EXPECT_EQ(pool.core[0]->state.ask(made, pool.now), pool_state::verdict::granted);
    return made;
  };
  pool_waiter& upload = hold("upload-7", work_class::bulk);
  pool.pass(milliseconds(1500));
  pool_waiter& read = hold("req-42", work_class::interactive);
  pool.pass(milliseconds(30));
  EXPECT_EQ(pool.core[0]->state.holders(pool.now), "bulk upload-7 1530 ms, interactive req-42 30 ms");
  pool.release(upload);
  pool.release(read);
}

// What the log said of one pool while `run` ran.
std::vector<std::string> lines_of(std::string_view pool, const std::function<void()>& run) {
  const std::filesystem::path file =
      std::filesystem::temp_directory_path() / ("pool_log_" + std::to_string(::getpid()));
  perf::log_options log;
  log.path = file.string();
  perf::log_start(log);
  run();
  perf::log_stop();
  std::ifstream in(file);
  const std::string mark = " pool=" + std::string(pool) + " ";
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) {
    // Lines of other tests of this process may come out here as well.
    if (line.find(mark) != std::string::npos) lines.push_back(line);
  }
  std::filesystem::remove(file);
  return lines;
}

TEST(PoolReport, OneLogLineASecondSaysWhoHoldsConnectionsWhenCallersAreRefused) {
  const std::vector<std::string> lines = lines_of("logged", [] {
    pool_options options = by_hand_options();
    options.name = "logged";
    options.connections_max = 1;
    options.waiters_max = 1;
    pool_by_hand full(options);
    full.warm(1);
    pool_waiter& holder = full.ask(0, work_class::bulk);
    full.ask();
    for (int i = 0; i < 1000; ++i) full.ask();
    full.pass(milliseconds(options.report_interval_ms));
    full.ask();
    full.core[0]->state.stop(full.now);
    full.release(holder);
  });
  ASSERT_EQ(lines.size(), 2U) << "1,001 refusals in two seconds";
  EXPECT_NE(lines[0].find("holders=\"bulk - 0 ms\""), std::string::npos) << lines[0];
  EXPECT_NE(lines[1].find("refused=1000"), std::string::npos) << lines[1];
}

TEST(PoolReport, TheLogSaysWhyConnectsFailWhenThatBeginsAndWhenTheReasonChanges) {
  const std::vector<std::string> lines = lines_of("refused", [] {
    pool_options options = by_hand_options();
    options.name = "refused";
    pool_by_hand pool(options);
    const error denied(errc::down, "MySQL refuses this account",
                       "1045 (28000): Access denied for user 'app'@'db'" + std::string(10'000, '!'));
    const error gone(errc::down, "nobody listens", "10.0.0.1:33060");
    pool_waiter& first = pool.ask();
    pool.fail_open(0, denied);
    EXPECT_EQ(first.why, "MySQL refuses this account") << "the account is for the log alone";
    const auto fail_probes = [&](int count, const error& why) {
      while (count > 0) {
        pool.pass(pool_state::kTick);
        pool.core[0]->state.tick(pool.now);
        if (pool.core[0]->opening.empty()) continue;
        pool.fail_open(0, why);
        --count;
      }
    };
    fail_probes(20, denied);
    fail_probes(20, gone);
    EXPECT_EQ(pool.ask().why, "nobody listens");
  });
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_NE(lines[0].find("Access denied for user 'app'@'db'"), std::string::npos) << lines[0];
  EXPECT_NE(lines[0].find("code=down"), std::string::npos) << lines[0];
  EXPECT_LT(lines[0].size(), 700U);
  EXPECT_NE(lines[1].find("10.0.0.1:33060"), std::string::npos) << lines[1];
}

TEST(PoolReport, AServerThatComesAndGoesIsALineASecond) {
  const std::vector<std::string> lines = lines_of("flickers", [] {
    pool_options options = by_hand_options();
    options.name = "flickers";
    options.backoff_first_ms = options.backoff_max_ms = 2;
    pool_by_hand pool(options);
    for (int i = 0; i < 15; ++i) {  // 3 s
      pool_waiter& refused = pool.ask();
      pool.fail_open();
      EXPECT_TRUE(refused.refused);
      pool.pass(pool_state::kTick);
      pool.core[0]->state.tick(pool.now);
      pool.finish_open();
      pool_waiter& served = pool.ask();
      pool.release(served, true);
      pool.pass(pool_state::kTick);
    }
  });
  EXPECT_EQ(lines.size(), 3U) << "15 outages";
}

}  // namespace
}  // namespace syncline::net
