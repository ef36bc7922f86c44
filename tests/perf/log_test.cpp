#include "perf/log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "perf/metrics.h"

namespace syncline::perf {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

// Each test logs into a file of its own folder and stops the drain before it looks.
class Log : public testing::Test {
 protected:
  Log() {
    std::string pattern = (std::filesystem::temp_directory_path() / "syncline-log-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::system_error(errno, std::generic_category());
    folder_ = pattern;
  }
  ~Log() override {
    log_stop();
    log_set_level(log_level::info);
    std::filesystem::remove_all(folder_);
  }

  [[nodiscard]] std::string file(const char* name = "log") const { return (folder_ / name).string(); }

  void start(log_level level = log_level::info, std::uint32_t flush_interval_ms = 1) {
    log_start({.path = file(), .level = level, .flush_interval_ms = flush_interval_ms});
  }

  static std::vector<std::string> lines_of(const std::string& path) {
    std::ifstream in(path);
    std::vector<std::string> out;
    for (std::string line; std::getline(in, line);) out.push_back(line);
    return out;
  }

  std::vector<std::string> stopped_lines() {
    log_stop();
    return lines_of(file());
  }

  static std::uint64_t dropped_total() {
    return metrics::add_counter("syncline_log_dropped_total", "").value();
  }

  std::filesystem::path folder_;
};

template <class Condition>
bool eventually(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

TEST_F(Log, WritesOneLogfmtLineWithTimeLevelMessageAndFields) {
  start();
  log_warn("two words",
           {{"n", 17}, {"ok", true}, {"name", "a b"}, {"ratio", 0.5}, {"text", std::string("x")}});
  const auto lines = stopped_lines();
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_THAT(lines[0], testing::MatchesRegex(
                            "ts=[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z level=warn "
                            "msg=\"two words\" n=17 ok=true name=\"a b\" ratio=0\\.5 text=x"));
}

TEST_F(Log, ForeignTextCannotForgeALine) {
  start();
  log_info("request\nts=forged level=error msg=\"gotcha\"", {{"path", "/a\r\nlevel=error msg=forged"}});
  const auto lines = stopped_lines();
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_THAT(lines[0], HasSubstr(R"(msg="request\nts=forged level=error msg=\"gotcha\"")"));
  EXPECT_THAT(lines[0], EndsWith(R"(path="/a\r\nlevel=error msg=forged")"));
}

TEST_F(Log, LinesBelowTheLevelAreNotWritten) {
  start(log_level::warn);
  log_info("quiet");
  log_warn("loud");
  log_set_level(log_level::off);
  log_error("off");
  log(log_level::off, "never");
  const auto lines = stopped_lines();
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_THAT(lines[0], HasSubstr("level=warn msg=\"loud\""));
}

TEST_F(Log, LinesLoggedBeforeTheStartAreKept) {
  log_info("early");
  start();
  log_info("late");
  const auto lines = stopped_lines();
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_THAT(lines[0], EndsWith("msg=\"early\""));
}

TEST_F(Log, LinesOfEndedThreadsAreKept) {
  start(log_level::info, 1000);
  for (int i = 0; i < 5; ++i) std::thread([i] { log_info("from a thread", {{"i", i}}); }).join();
  EXPECT_EQ(stopped_lines().size(), 5U);
}

TEST_F(Log, LinesOfAllThreadsComeOutInOrderOfTime) {
  start(log_level::info, 20);
  constexpr int kThreads = 4;
  constexpr int kLines = 300;
  std::vector<std::thread> threads;
  std::atomic<int> ticket{0};
  std::mutex turn;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kLines; ++i) {
        const std::lock_guard hold(turn);  // so that the order of the lines is known
        log_info("tick", {{"ticket", ticket.fetch_add(1)}});
      }
    });
  }
  for (std::thread& t : threads) t.join();
  const auto lines = stopped_lines();
  ASSERT_EQ(lines.size(), static_cast<std::size_t>(kThreads * kLines));
  for (std::size_t i = 0; i < lines.size(); ++i) {
    ASSERT_THAT(lines[i], EndsWith(fmt::format(" ticket={}", i)));
  }
}

TEST_F(Log, FullRingDropsLinesCountsThemAndSaysSo) {
  const std::uint64_t before = dropped_total();
  const std::string big(2000, 'x');
  constexpr std::uint64_t kLines = 500;  // about 1 MB into 256 KiB with nobody draining
  for (std::uint64_t i = 0; i < kLines; ++i) log_info("flood", {{"big", big}});
  const std::uint64_t dropped = dropped_total() - before;
  EXPECT_GT(dropped, 0U);
  start();
  const auto lines = stopped_lines();
  ASSERT_EQ(lines.size(), kLines - dropped + 1);
  EXPECT_THAT(lines.back(),
              EndsWith(fmt::format("level=warn msg=\"log lines were dropped\" dropped={}", dropped)));
}

TEST_F(Log, LongTextIsCutAtACharacterAndMarked) {
  start();
  std::string text = "a";  // shifts the two-byte characters so that the cut falls inside one
  for (int i = 0; i < 5000; ++i) text += "\xc3\xbc";
  log_info("long", {{"text", text}});
  const auto lines = stopped_lines();
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_THAT(lines[0], EndsWith("\xc3\xbc...(6930 bytes more)\""));
  EXPECT_EQ(lines[0].find("ufffd"), std::string::npos);
}

TEST_F(Log, ReopenGoesOnInANewFileAfterRotation) {
  start();
  log_info("one");
  ASSERT_TRUE(eventually([&] { return lines_of(file()).size() == 1; }));
  std::filesystem::rename(file(), file("log.1"));
  log_info("two");
  log_reopen();
  ASSERT_TRUE(eventually([&] { return std::filesystem::exists(file()); }));
  log_info("three");
  log_stop();
  EXPECT_EQ(lines_of(file("log.1")).size() + lines_of(file()).size(), 3U);
  EXPECT_THAT(lines_of(file()).back(), EndsWith("msg=\"three\""));
}

TEST_F(Log, SecondStartChangesLevelAndDestination) {
  start(log_level::error);
  log_start({.path = file("other"), .level = log_level::debug, .flush_interval_ms = 1});
  log_debug("now visible");
  log_stop();
  EXPECT_EQ(lines_of(file("other")).size(), 1U);
}

TEST_F(Log, UnopenableFileIsAnErrorWhileStarting) {
  EXPECT_THROW(log_start({.path = file("no/such/folder")}), std::system_error);
}

TEST_F(Log, DestinationThatFailsLosesLinesAndNothingElse) {
  const std::uint64_t before = dropped_total();
  log_start({.path = "/dev/full", .flush_interval_ms = 1});
  log_info("lost");
  ASSERT_TRUE(eventually([&] { return dropped_total() > before; }));
  start();  // the disk has room again
  log_info("kept");
  const auto lines = stopped_lines();
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_THAT(lines[0] + lines[1], HasSubstr("dropped=1"));
  EXPECT_THAT(lines[0] + lines[1], HasSubstr("msg=\"kept\""));
}

TEST_F(Log, PipeWhoseReaderIsGoneOrStuckDoesNotStopTheLogger) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const std::string path = fmt::format("/proc/self/fd/{}", ends[1]);
  const std::uint64_t before = dropped_total();
  log_start({.path = path, .flush_interval_ms = 1});
  const std::string big(2000, 'x');
  for (int i = 0; i < 100; ++i) log_info("fills the pipe", {{"big", big}});
  EXPECT_TRUE(eventually([&] { return dropped_total() > before; }))
      << "nobody reads: lines are lost in bounded time";
  const std::uint64_t stuck = dropped_total();
  ::close(ends[0]);
  ::close(ends[1]);
  log_info("into a closed pipe");  // no SIGPIPE either
  EXPECT_TRUE(eventually([&] { return dropped_total() > stuck; }));
  log_stop();
}

TEST(LogLevel, NamesAreParsedExactly) {
  log_level level = log_level::info;
  EXPECT_TRUE(parse_log_level("trace", level));
  EXPECT_EQ(level, log_level::trace);
  EXPECT_TRUE(parse_log_level("off", level));
  EXPECT_EQ(level, log_level::off);
  EXPECT_FALSE(parse_log_level("INFO", level));
  EXPECT_FALSE(parse_log_level("", level));
  EXPECT_EQ(level, log_level::off);
}

}  // namespace
}  // namespace syncline::perf
