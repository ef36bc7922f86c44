#include "perf/metrics.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "perf/metric_slots.h"

namespace syncline::perf {
namespace {

// The scraped lines whose metric name begins with `prefix`, HELP and TYPE included. The registry is the
// process's, so every test uses names of its own.
std::string scraped(std::string_view prefix) {
  std::istringstream all(metrics::scrape());
  std::string out;
  for (std::string line; std::getline(all, line);) {
    std::string_view name = line;
    for (const std::string_view comment : {"# HELP ", "# TYPE "}) {
      if (name.starts_with(comment)) name.remove_prefix(comment.size());
    }
    if (name.starts_with(prefix)) out += line + '\n';
  }
  return out;
}

TEST(Metrics, CounterIsScrapedWithHelpAndTypeOnce) {
  const counter get = metrics::add_counter("t_requests_total", "Requests.", {{"method", "GET"}});
  const counter put = metrics::add_counter("t_requests_total", "Requests.", {{"method", "PUT"}});
  get.add();
  get.add(41);
  put.add(7);
  EXPECT_EQ(scraped("t_requests_total"),
            "# HELP t_requests_total Requests.\n"
            "# TYPE t_requests_total counter\n"
            "t_requests_total{method=\"GET\"} 42\n"
            "t_requests_total{method=\"PUT\"} 7\n");
}

TEST(Metrics, SameNameAndLabelsInAnyOrderIsTheSameCounter) {
  const counter a = metrics::add_counter("t_same_total", "x", {{"a", "1"}, {"b", "2"}});
  const counter b = metrics::add_counter("t_same_total", "x", {{"b", "2"}, {"a", "1"}});
  a.add(1);
  b.add(2);
  EXPECT_EQ(a.value(), 3U);
}

TEST(Metrics, DefaultMadeCounterAndHistogramAreSinks) {
  counter().add(5);
  histogram().record_us(5);
  EXPECT_EQ(counter().value(), 0U);
  EXPECT_EQ(histogram().count(), 0U);
}

TEST(Metrics, HelpAndLabelValuesAreEscaped) {
  metrics::add_counter("t_escaped_total", "a\\b\n\"c\"", {{"path", "a\\b\n\"c\""}}).add();
  EXPECT_EQ(scraped("t_escaped_total"),
            "# HELP t_escaped_total a\\\\b\\n\"c\"\n"
            "# TYPE t_escaped_total counter\n"
            "t_escaped_total{path=\"a\\\\b\\n\\\"c\\\"\"} 1\n");
}

TEST(Metrics, HistogramIsCumulativeAndInSeconds) {
  const histogram h = metrics::add_histogram("t_seconds", "Time.", {{"route", "r"}});
  h.record_us(10);          // the limit belongs to its bucket
  h.record_us(11);          // next bucket
  h.record_us(60'000'000);  // above all
  EXPECT_EQ(h.count(), 3U);
  const std::string text = scraped("t_seconds");
  EXPECT_TRUE(
      text.starts_with("# HELP t_seconds Time.\n# TYPE t_seconds histogram\n"
                       "t_seconds_bucket{route=\"r\",le=\"0.00001\"} 1\n"
                       "t_seconds_bucket{route=\"r\",le=\"0.00002\"} 2\n"
                       "t_seconds_bucket{route=\"r\",le=\"0.00005\"} 2\n"))
      << text;
  EXPECT_TRUE(
      text.ends_with("t_seconds_bucket{route=\"r\",le=\"50\"} 2\n"
                     "t_seconds_bucket{route=\"r\",le=\"+Inf\"} 3\n"
                     "t_seconds_sum{route=\"r\"} 60.000021\n"
                     "t_seconds_count{route=\"r\"} 3\n"))
      << text;
}

TEST(Metrics, HistogramWithoutLabelsHasOnlyLe) {
  metrics::add_histogram("t_bare_seconds", "Time.").record_us(1);
  EXPECT_NE(scraped("t_bare_seconds").find("t_bare_seconds_bucket{le=\"0.00001\"} 1\n"), std::string::npos);
  EXPECT_NE(scraped("t_bare_seconds").find("t_bare_seconds_count 1\n"), std::string::npos);
}

TEST(Metrics, CountsOfEndedThreadsAreKept) {
  const counter c = metrics::add_counter("t_ended_total", "x");
  for (int i = 0; i < 4; ++i) std::thread([&] { c.add(10); }).join();
  EXPECT_EQ(c.value(), 40U);
}

TEST(Metrics, NothingIsLostOrDoubledWhileThreadsComeAndGo) {
  const counter c = metrics::add_counter("t_churn_total", "x");
  constexpr std::uint64_t kThreads = 64;
  constexpr std::uint64_t kAdds = 1000;
  std::atomic<bool> done{false};
  std::uint64_t backward_steps = 0;
  std::thread reader([&] {
    std::uint64_t last = 0;
    while (!done.load()) {
      const std::uint64_t now = c.value();
      if (now < last) ++backward_steps;
      last = now;
    }
  });
  for (std::uint64_t i = 0; i < kThreads; i += 4) {
    std::vector<std::thread> some;
    for (int k = 0; k < 4; ++k) {
      some.emplace_back([&] {
        for (std::uint64_t n = 0; n < kAdds; ++n) c.add();
      });
    }
    for (std::thread& t : some) t.join();
  }
  done = true;
  reader.join();
  EXPECT_EQ(c.value(), kThreads * kAdds);
  EXPECT_EQ(backward_steps, 0U) << "a thread's exit must move its counts in one step";
}

TEST(Metrics, AddsFromLateThreadDestructorsAreCounted) {
  static const counter c = metrics::add_counter("t_late_total", "x");
  struct late {
    ~late() { c.add(5); }
    int touched = 0;
  };
  std::thread([] {
    static thread_local late at_exit;  // made before the slots' own guard, so destroyed after it
    at_exit.touched = 1;
    c.add(1);
  }).join();
  EXPECT_EQ(c.value(), 6U);
}

TEST(Metrics, GaugeGoesUpAndDown) {
  gauge& g = metrics::add_gauge("t_gauge", "x");
  g.set(5);
  metrics::add_gauge("t_gauge", "x").add(-7);
  EXPECT_NE(scraped("t_gauge").find("t_gauge -2\n"), std::string::npos);
}

TEST(Metrics, CallbacksOfOneSeriesAreAddedUpUntilRemoved) {
  const std::uint64_t a = metrics::add_gauge_callback("t_cores", "x", {}, [] { return 1.5; });
  const std::uint64_t b = metrics::add_gauge_callback("t_cores", "x", {}, [] { return 2.0; });
  EXPECT_NE(scraped("t_cores").find("t_cores 3.5\n"), std::string::npos);
  metrics::remove_gauge_callback(a);
  EXPECT_NE(scraped("t_cores").find("t_cores 2\n"), std::string::npos);
  metrics::remove_gauge_callback(b);
  EXPECT_EQ(scraped("t_cores"), "") << "a family without series is not shown";
}

TEST(Metrics, ThrowingCallbackReadsAsNaNAndSparesTheOthers) {
  const std::uint64_t bad =
      metrics::add_gauge_callback("t_bad", "x", {}, []() -> double { throw std::runtime_error("no"); });
  metrics::add_counter("t_good_total", "x").add();
  EXPECT_NE(scraped("t_bad").find("t_bad NaN\n"), std::string::npos);
  EXPECT_NE(scraped("t_good_total").find("t_good_total 1\n"), std::string::npos);
  metrics::remove_gauge_callback(bad);
}

TEST(Metrics, RemovedCallbackIsNeverCalledAgain) {
  for (int round = 0; round < 50; ++round) {
    auto alive = std::make_unique<std::atomic<int>>(1);
    const std::uint64_t handle = metrics::add_gauge_callback(
        "t_lifetime", "x", {}, [p = alive.get()] { return static_cast<double>(p->load()); });
    std::thread scraper([] { static_cast<void>(metrics::scrape()); });
    metrics::remove_gauge_callback(handle);
    alive.reset();  // ASan and TSan see a scrape that still reads it
    scraper.join();
  }
}

TEST(Metrics, IllegalNamesAndChangedTypesAreRefused) {
  EXPECT_THROW(metrics::add_counter("1abc", "x"), std::invalid_argument);
  EXPECT_THROW(metrics::add_counter("a b", "x"), std::invalid_argument);
  EXPECT_THROW(metrics::add_counter("t_ok_total", "x", {{"a:b", "1"}}), std::invalid_argument);
  EXPECT_THROW(metrics::add_counter("t_ok_total", "x", {{"a", "1"}, {"a", "2"}}), std::invalid_argument);
  EXPECT_THROW(metrics::add_histogram("t_le_seconds", "x", {{"le", "1"}}), std::invalid_argument);
  metrics::add_counter("t_typed_total", "x");
  EXPECT_THROW(metrics::add_gauge("t_typed_total", "x"), std::invalid_argument);
}

TEST(Metrics, FamiliesAreSortedByName) {
  metrics::add_counter("t_sort_b_total", "x").add();
  metrics::add_counter("t_sort_a_total", "x").add();
  const std::string text = scraped("t_sort_");
  EXPECT_LT(text.find("t_sort_a_total"), text.find("t_sort_b_total"));
}

// In a process of its own, since it uses up every slot.
TEST(MetricsDeathTest, RegisteringMoreThanTheSlotsThrows) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        int made = 0;
        try {
          for (;; ++made) metrics::add_counter("t_many_total", "x", {{"n", std::to_string(made)}});
        } catch (const std::length_error&) {
          std::_Exit(made > 3000 && made <= static_cast<int>(kSlotsMax) ? 0 : 1);
        }
      },
      testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace syncline::perf
