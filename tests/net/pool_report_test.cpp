// Who holds connections, and when the log says so.
#include <unistd.h>

#include <filesystem>
#include <fstream>
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

TEST(PoolReport, OneLogLineASecondSaysWhoHoldsConnectionsWhenCallersAreRefused) {
  const std::filesystem::path file =
      std::filesystem::temp_directory_path() / ("pool_log_" + std::to_string(::getpid()));
  perf::log_options log;
  log.path = file.string();
  perf::log_start(log);
  {
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
  }
  perf::log_stop();
  std::ifstream in(file);
  std::string line;
  std::vector<std::string> lines;
  while (std::getline(in, line)) {
    // Lines of other tests of this process may come out here as well.
    if (line.find("are refused\" pool=logged ") != std::string::npos) lines.push_back(line);
  }
  std::filesystem::remove(file);
  ASSERT_EQ(lines.size(), 2U) << "1,001 refusals in two seconds";
  EXPECT_NE(lines[0].find("holders=\"bulk - 0 ms\""), std::string::npos) << lines[0];
  EXPECT_NE(lines[1].find("refused=1000"), std::string::npos) << lines[1];
}

}  // namespace
}  // namespace syncline::net
