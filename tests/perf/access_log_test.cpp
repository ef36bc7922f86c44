#include "perf/access_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "perf/log.h"
#include "perf/metrics.h"

namespace syncline::perf {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

class AccessLog : public testing::Test {
 protected:
  AccessLog() {
    std::string pattern = (std::filesystem::temp_directory_path() / "syncline-access-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::system_error(errno, std::generic_category());
    folder_ = pattern;
  }
  ~AccessLog() override {
    log_stop();
    log_start({.path = (folder_ / "log").string()});  // the access log off again
    log_stop();
    std::filesystem::remove_all(folder_);
  }
  void start(bool access = true, log_level level = log_level::warn) {
    log_start({.path = (folder_ / "log").string(), .level = level, .access = access, .flush_interval_ms = 1});
  }
  std::vector<std::string> stopped_lines() {
    log_stop();
    std::ifstream in(folder_ / "log");
    std::vector<std::string> out;
    for (std::string line; std::getline(in, line);) out.push_back(line);
    return out;
  }
  static access_entry entry(std::string_view target) {
    return {.when = std::chrono::steady_clock::now(),
            .method = "GET",
            .target = target,
            .route = "GET /v1/{resource}/{key}",
            .peer = "127.0.0.1",
            .request_id = "abc",
            .bytes = 500,
            .us = 12,
            .status = 200};
  }

 private:
  std::filesystem::path folder_;
};

TEST_F(AccessLog, WritesALineInTheFormOfAllOthers) {
  start();
  const std::int64_t before = std::chrono::system_clock::now().time_since_epoch() / std::chrono::seconds(1);
  log_access(entry("/v1/users/17?fields=id"));
  const auto lines = stopped_lines();
  const std::int64_t after = std::chrono::system_clock::now().time_since_epoch() / std::chrono::seconds(1);
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_THAT(lines[0], testing::MatchesRegex(
                            "ts=[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z level=info "
                            "msg=\"request\" method=GET target=\"/v1/users/17\\?fields=id\" "
                            "route=\"GET /v1/\\{resource\\}/\\{key\\}\" status=200 bytes=500 us=12 "
                            "peer=127\\.0\\.0\\.1 request_id=abc"));
  std::tm t{};
  ASSERT_NE(::strptime(lines[0].c_str() + 3, "%Y-%m-%dT%H:%M:%S", &t), nullptr);
  EXPECT_GE(::timegm(&t), before - 1);
  EXPECT_LE(::timegm(&t), after + 1);
}

TEST_F(AccessLog, IsThereWhenAskedForOrAtLevelDebug) {
  start(false, log_level::info);
  EXPECT_FALSE(access_log_enabled());
  log_set_level(log_level::debug);
  EXPECT_TRUE(access_log_enabled());
  log_set_level(log_level::error);
  EXPECT_FALSE(access_log_enabled());
  start(true, log_level::error);
  EXPECT_TRUE(access_log_enabled());
}

TEST_F(AccessLog, ForeignTextCannotForgeALine) {
  start();
  access_entry e = entry("/a b=\"c\"\x1b[2J\xff");
  e.request_id = "x=\"y";
  e.method = "";
  e.route = "";
  log_access(e);
  const auto lines = stopped_lines();
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_THAT(lines[0], HasSubstr(R"(method="" target="/a b=\"c\"\u001b[2J\ufffd" route="" status)"));
  EXPECT_THAT(lines[0], EndsWith(R"(request_id="x=\"y")"));
}

TEST_F(AccessLog, ALongTargetIsCutAndSaysSo) {
  start();
  log_access(entry("/" + std::string(255, 'a')));
  log_access(entry("/" + std::string(2000, 'b')));
  const auto lines = stopped_lines();
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_THAT(lines[0], HasSubstr("target=/" + std::string(255, 'a') + " route"));
  EXPECT_THAT(lines[1], HasSubstr("target=\"/" + std::string(kAccessTextBytesMax - 1, 'b') +
                                  "...(977 bytes more)\" route"));
}

TEST_F(AccessLog, EveryRecordSurvivesTheEndOfTheRingsMemory) {
  start();
  // Sizes that are no divisor of the ring's, a few times around it.
  std::size_t sent = 0;
  const std::uint64_t dropped_before = metrics::add_counter("syncline_log_dropped_total", "").value();
  for (std::size_t i = 0; i < 8000; ++i) {
    log_access(entry("/" + std::to_string(i) + std::string(i % 97, 'x')));
    ++sent;
    if (i % 500 == 499) std::this_thread::sleep_for(std::chrono::milliseconds(5));  // lets the drain keep up
  }
  const std::uint64_t dropped =
      metrics::add_counter("syncline_log_dropped_total", "").value() - dropped_before;
  std::size_t whole = 0;
  for (const std::string& line : stopped_lines()) {
    if (line.find("dropped=") != std::string::npos) continue;
    EXPECT_THAT(line, EndsWith("status=200 bytes=500 us=12 peer=127.0.0.1 request_id=abc"));
    ++whole;
  }
  EXPECT_EQ(whole + dropped, sent);
  EXPECT_GT(whole, 3000U);
}

TEST_F(AccessLog, LinesOfBothKindsAndAllThreadsComeOutInOrder) {
  start(true, log_level::info);
  constexpr int kTurns = 200;
  std::atomic<int> turn{0};
  const auto take_turns = [&](int which) {
    for (int i = 0; i < kTurns; ++i) {
      while (turn.load() % 2 != which) std::this_thread::yield();
      const int now = turn.load();
      if (now % 4 < 2) {
        log_access(entry("/" + std::to_string(now)));
      } else {
        log_info("tick", {{"target", "/" + std::to_string(now)}});
      }
      turn.fetch_add(1);
    }
  };
  std::thread other([&] { take_turns(1); });
  take_turns(0);
  other.join();
  const auto lines = stopped_lines();
  ASSERT_EQ(lines.size(), std::size_t{2} * kTurns);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    ASSERT_THAT(lines[i] + " ", HasSubstr(" target=/" + std::to_string(i) + " "));
  }
}

TEST_F(AccessLog, AFullRingDropsLinesAndCountsThem) {
  const auto dropped = [] { return metrics::add_counter("syncline_log_dropped_total", "").value(); };
  start();
  log_stop();  // nobody drains
  const std::uint64_t before = dropped();
  for (int i = 0; i < 4000; ++i) log_access(entry("/v1/users/17"));
  EXPECT_GT(dropped(), before);
}

}  // namespace
}  // namespace syncline::perf
