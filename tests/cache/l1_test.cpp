#include "cache/l1.h"

#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "net/core/core.h"
#include "net/core/event.h"
#include "tests/net/run_task.h"

namespace syncline::cache {
namespace {

using net::core;
using net::core_group;
using net::errc;
using net::error;
using net::request_context;
using net::result;
using net::task;
using net::testing::eventually;
using net::testing::kTestWait;
using net::testing::run_task;
using net::testing::start_task;
using values_result = result<std::vector<value_ptr>>;

value_ptr make_value(std::string body, std::int64_t position) {
  auto out = std::make_shared<value>();
  out->body = std::move(body);
  out->etag = "\"" + out->body + "\"";
  out->position = position;
  return out;
}

// A small database behind a loader. A load reads everything at once, then waits behind the gate: so the test
// decides what happens between reading and filling.
class gated_loader : public batch_loader {
 public:
  task<values_result> load(request_context& context, std::vector<std::string> keys) override {
    bool wait = false;
    int turn = 0;
    values_result read = snapshot(keys, wait, turn);
    while (wait && !context.cancelled() && !context.expired()) {
      const auto soon = std::chrono::steady_clock::now() + std::chrono::milliseconds(1);
      static_cast<void>(co_await net::sleep_until(context, soon));
      const std::lock_guard lock(mutex_);
      wait = opened_ == turn;
    }
    co_return read;
  }

  void put(const std::string& key, std::string body, std::int64_t position) {
    const std::lock_guard lock(mutex_);
    rows_[key] = make_value(std::move(body), position);
  }
  void fail_with(std::optional<error> failure) {
    const std::lock_guard lock(mutex_);
    failure_ = std::move(failure);
  }
  void close() {
    const std::lock_guard lock(mutex_);
    is_open_ = false;
  }
  void open() {
    const std::lock_guard lock(mutex_);
    is_open_ = true;
    ++opened_;
  }
  [[nodiscard]] std::vector<std::vector<std::string>> batches() {
    const std::lock_guard lock(mutex_);
    return batches_;
  }

 private:
  values_result snapshot(const std::vector<std::string>& keys, bool& wait, int& turn) {
    const std::lock_guard lock(mutex_);
    batches_.push_back(keys);
    wait = !is_open_;
    turn = opened_;
    if (failure_) return *failure_;
    std::vector<value_ptr> out;
    for (const std::string& key : keys) {
      const auto row = rows_.find(key);
      out.push_back(row == rows_.end() ? nullptr : row->second);
    }
    return out;
  }

  std::mutex mutex_;
  std::map<std::string, value_ptr> rows_;
  std::vector<std::vector<std::string>> batches_;
  std::optional<error> failure_;
  bool is_open_ = true;
  int opened_ = 0;
};

class L1Test : public ::testing::Test {
 protected:
  void SetUp() override { cores_.start(); }
  // Loads end before the loader does.
  void TearDown() override { cores_.stop(); }
  core& on(std::size_t i = 0) { return cores_.at(i); }

  // get_many() of one caller, from the test's thread.
  struct asked {
    std::unique_ptr<request_context> context;
    values_result got = error(errc::internal, "no answer yet");
    std::future<void> ended;
    [[nodiscard]] bool ready() const {
      return ended.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
    }
    values_result& answer() {
      EXPECT_EQ(ended.wait_for(kTestWait), std::future_status::ready);
      return got;
    }
    std::string body(std::size_t i = 0) {
      values_result& all = answer();
      if (all.has_error()) return "error: " + all.error().text();
      return (*all)[i] == nullptr ? "none" : (*all)[i]->body;
    }
  };
  std::shared_ptr<asked> ask(std::size_t on_core, std::vector<std::string> keys,
                             net::steady_time deadline = net::steady_time::max()) {
    auto out = std::make_shared<asked>();
    out->context = std::make_unique<request_context>(on(on_core));
    out->context->set_deadline(deadline);
    out->ended = start_task(on(on_core), [this, out = out.get(), keys]() -> task<void> {
      std::vector<std::string> wanted = keys;
      out->got = co_await cache_.get_many(*out->context, std::move(wanted), loader_);
    });
    return out;
  }
  void cancel(const std::shared_ptr<asked>& one) {
    one->context->on().post([one] { one->context->cancel(); });
  }
  bool misses_reach(std::uint64_t n) {
    return eventually([&] { return cache_.read_figures().misses >= n; });
  }
  bool batches_reach(std::size_t n) {
    return eventually([&] { return loader_.batches().size() >= n; });
  }

  gated_loader loader_;
  l1 cache_{l1_options{.bytes_max = 1024 * 1024, .stripes = 4}};
  core_group cores_{{.cores = 3, .pin = false}};
};

TEST_F(L1Test, WhatWasLoadedIsFound) {
  loader_.put("users/1", "one", 5);
  EXPECT_EQ(cache_.find("users/1"), nullptr);
  EXPECT_EQ(ask(0, {"users/1"})->body(), "one");
  const value_ptr found = cache_.find("users/1");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->body, "one");
  EXPECT_EQ(found->position, 5);
  EXPECT_EQ(ask(1, {"users/1"})->body(), "one");
  EXPECT_EQ(loader_.batches().size(), 1U);
}

TEST_F(L1Test, AnswersComeInOrderAndOneBatchAsksForJustTheMissingKeys) {
  for (const char* key : {"a", "b", "c", "d", "e"}) loader_.put(key, std::string("row ") + key, 1);
  EXPECT_EQ(ask(0, {"b", "d"})->body(1), "row d");
  loader_.close();
  const auto loading = ask(0, {"c"});
  ASSERT_TRUE(batches_reach(2));
  const auto all = ask(1, {"a", "b", "c", "d", "e", "a"});
  ASSERT_TRUE(batches_reach(3));
  loader_.open();
  for (std::size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(all->body(i), std::string("row ") + "abcdea"[i]);
  }
  EXPECT_EQ(loading->body(), "row c");
  const auto batches = loader_.batches();
  ASSERT_EQ(batches.size(), 3U);
  EXPECT_EQ(batches[2], (std::vector<std::string>{"a", "e"})) << "b and d were stored, c was being loaded";
}

TEST_F(L1Test, NoKeysIsNoLoad) {
  EXPECT_TRUE(ask(0, {})->answer()->empty());
  EXPECT_TRUE(loader_.batches().empty());
}

TEST_F(L1Test, OneLoadPerKeyHoweverManyCallersOfAllCoresAsk) {
  loader_.put("hot", "value", 1);
  loader_.close();
  std::vector<std::shared_ptr<asked>> all;
  for (std::size_t i = 0; i < 300; ++i) all.push_back(ask(i % 3, {"hot"}));
  ASSERT_TRUE(misses_reach(300));
  loader_.open();
  for (const auto& each : all) EXPECT_EQ(each->body(), "value");
  EXPECT_EQ(loader_.batches().size(), 1U);
  EXPECT_EQ(cache_.read_figures().loads, 1U);
}

TEST_F(L1Test, TheLoadSurvivesTheCallerThatBeganIt) {
  loader_.put("k", "value", 1);
  loader_.close();
  const auto first = ask(0, {"k"});
  ASSERT_TRUE(batches_reach(1));
  const auto second = ask(1, {"k"});
  ASSERT_TRUE(misses_reach(2));
  cancel(first);
  EXPECT_EQ(first->answer().error().code, errc::cancelled);
  EXPECT_FALSE(second->ready());
  loader_.open();
  EXPECT_EQ(second->body(), "value");
  EXPECT_NE(cache_.find("k"), nullptr);
  EXPECT_EQ(loader_.batches().size(), 1U);
}

TEST_F(L1Test, TheLoadIsKeptEvenIfNobodyWaitsAnyMore) {
  loader_.put("k", "value", 1);
  loader_.close();
  const auto only = ask(0, {"k"});
  ASSERT_TRUE(batches_reach(1));
  cancel(only);
  static_cast<void>(only->answer());
  loader_.open();
  EXPECT_TRUE(eventually([&] { return cache_.find("k") != nullptr; }));
}

TEST_F(L1Test, EachWaiterHasItsOwnDeadline) {
  loader_.put("k", "value", 1);
  loader_.close();
  const auto patient = ask(0, {"k"});
  ASSERT_TRUE(batches_reach(1));
  const auto hurried = ask(0, {"k"}, std::chrono::steady_clock::now() + std::chrono::milliseconds(30));
  EXPECT_EQ(hurried->answer().error().code, errc::timed_out);
  EXPECT_FALSE(patient->ready());
  loader_.open();
  EXPECT_EQ(patient->body(), "value");
}

// The naive cache stores the old value after the invalidation, and keeps it.
TEST_F(L1Test, AFillOvertakenByAnInvalidationIsNotStored) {
  loader_.put("k", "old", 1);
  loader_.close();
  const auto before = ask(0, {"k"});
  ASSERT_TRUE(batches_reach(1));  // it has read "old"
  loader_.put("k", "new", 2);
  cache_.invalidate("k", 2);
  loader_.open();
  EXPECT_EQ(before->body(), "old") << "who asked before the change may see it";
  EXPECT_EQ(cache_.find("k"), nullptr);
  EXPECT_EQ(cache_.read_figures().refused_fills, 1U);
  EXPECT_EQ(ask(0, {"k"})->body(), "new");
}

// The naive single flight lets a caller join a load that read before the change.
TEST_F(L1Test, WhoAsksAfterAnInvalidationDoesNotJoinTheOlderLoad) {
  loader_.put("k", "old", 1);
  loader_.close();
  const auto before = ask(0, {"k"});
  ASSERT_TRUE(batches_reach(1));
  loader_.put("k", "new", 2);
  cache_.invalidate("k", 2);
  const auto after = ask(1, {"k"});
  ASSERT_TRUE(batches_reach(2));
  const auto joined = ask(2, {"k"});
  ASSERT_TRUE(misses_reach(3));
  loader_.open();
  EXPECT_EQ(before->body(), "old");
  EXPECT_EQ(after->body(), "new");
  EXPECT_EQ(joined->body(), "new");
  EXPECT_EQ(loader_.batches().size(), 2U);
  EXPECT_EQ(cache_.find("k")->body, "new");
}

// The detached load lands last; the naive cache lets it overwrite what is newer.
TEST_F(L1Test, ADetachedLoadThatLandsLateDoesNotOverwriteTheNewerValue) {
  loader_.put("k", "old", 1);
  gated_loader slow;
  slow.put("k", "old", 1);
  slow.close();
  request_context context(on(0));
  values_result late = error(errc::internal, "no answer yet");
  auto ended = start_task(on(0), [&]() -> task<void> {
    std::vector<std::string> keys{"k"};
    late = co_await cache_.get_many(context, std::move(keys), slow);
  });
  ASSERT_TRUE(eventually([&] { return slow.batches().size() == 1; }));
  loader_.put("k", "new", 2);
  cache_.invalidate("k", 2);
  EXPECT_EQ(ask(1, {"k"})->body(), "new");
  slow.open();
  ASSERT_EQ(ended.wait_for(kTestWait), std::future_status::ready);
  EXPECT_EQ((*late)[0]->body, "old");
  EXPECT_EQ(cache_.find("k")->body, "new");
}

// A load begun after the invalidation reads from a copy that lags.
TEST_F(L1Test, AValueOlderThanTheInvalidationIsNeitherStoredNorTold) {
  loader_.put("k", "lagging", 5);
  cache_.invalidate("k", 10);
  EXPECT_EQ(ask(0, {"k"})->body(), "none");
  EXPECT_EQ(loader_.batches().size(), 2U) << "it is tried once more";
  EXPECT_EQ(cache_.find("k"), nullptr);
  EXPECT_EQ(cache_.read_figures().refused_fills, 2U);
  loader_.put("k", "caught up", 10);
  EXPECT_EQ(ask(0, {"k"})->body(), "caught up");
  EXPECT_NE(cache_.find("k"), nullptr);
}

TEST_F(L1Test, OnlyTheKeysThatWereTooOldAreLoadedAgain) {
  loader_.put("a", "row a", 5);
  loader_.put("b", "lagging", 5);
  loader_.close();
  cache_.invalidate("b", 7);
  const auto both = ask(0, {"a", "b"});
  ASSERT_TRUE(batches_reach(1));
  loader_.put("b", "row b", 7);
  loader_.open();
  EXPECT_EQ(both->body(0), "row a");
  EXPECT_EQ(both->body(1), "row b");
  EXPECT_EQ(loader_.batches().back(), (std::vector<std::string>{"b"}));
}

TEST_F(L1Test, InvalidateDropsTheOlderEntryAndKeepsTheNewer) {
  loader_.put("k", "value", 5);
  EXPECT_EQ(ask(0, {"k"})->body(), "value");
  cache_.invalidate("k", 5);
  EXPECT_NE(cache_.find("k"), nullptr) << "it was read at the position of the change";
  cache_.invalidate("other", 6);
  EXPECT_NE(cache_.find("k"), nullptr);
  cache_.invalidate("k", 6);
  EXPECT_EQ(cache_.find("k"), nullptr);
  EXPECT_EQ(cache_.read_figures().bytes, 0U);
}

TEST_F(L1Test, ClearDropsEverythingAndDetachesEveryLoad) {
  for (int i = 0; i < 50; ++i) loader_.put("k" + std::to_string(i), "value", 1);
  std::vector<std::string> keys;
  for (int i = 0; i < 50; ++i) keys.push_back("k" + std::to_string(i));
  static_cast<void>(ask(0, keys)->answer());
  loader_.put("late", "old", 1);
  loader_.close();
  const auto late = ask(0, {"late"});
  ASSERT_TRUE(batches_reach(2));
  cache_.clear(2);
  EXPECT_EQ(cache_.read_figures().entries, 0U);
  EXPECT_EQ(cache_.read_figures().bytes, 0U);
  loader_.open();
  EXPECT_EQ(late->body(), "old");
  EXPECT_EQ(cache_.find("late"), nullptr);
  EXPECT_EQ(ask(0, {"k1"})->body(), "none") << "position 1 is older than everything's invalidation";
  loader_.put("k1", "fresh", 2);
  EXPECT_EQ(ask(0, {"k1"})->body(), "fresh");
}

TEST_F(L1Test, ClearMayGoBackWithADatabaseThatWasPutBack) {
  cache_.invalidate("k", 9);
  cache_.clear(5);
  loader_.put("k", "restored", 5);
  EXPECT_EQ(ask(0, {"k"})->body(), "restored");
  EXPECT_NE(cache_.find("k"), nullptr);
}

TEST_F(L1Test, AnErrorGoesToAllWhoWaitAndIsNotKept) {
  loader_.put("k", "value", 1);
  loader_.fail_with(error(errc::down, "the database does not answer"));
  loader_.close();
  const auto first = ask(0, {"k"});
  ASSERT_TRUE(batches_reach(1));
  const auto second = ask(1, {"k"});
  ASSERT_TRUE(misses_reach(2));
  loader_.fail_with(std::nullopt);
  loader_.open();
  EXPECT_EQ(first->answer().error().code, errc::down);
  EXPECT_EQ(second->answer().error().code, errc::down);
  EXPECT_EQ(ask(2, {"k"})->body(), "value");
}

TEST_F(L1Test, ANegativeValueIsStoredAndAFailedKeyIsNot) {
  auto gone = std::make_shared<value>();
  gone->found = false;
  struct fixed_loader : batch_loader {
    std::vector<value_ptr> answers;
    task<values_result> load(request_context&, std::vector<std::string>) override { co_return answers; }
  } fixed;
  fixed.answers = {gone, nullptr};
  request_context context(on());
  run_task(on(), [&]() -> task<void> {
    std::vector<std::string> keys{"gone", "failed"};
    const auto got = co_await cache_.get_many(context, std::move(keys), fixed);
    EXPECT_TRUE(got.has_value());
    EXPECT_FALSE((*got)[0]->found);
    EXPECT_EQ((*got)[1], nullptr);
  });
  EXPECT_NE(cache_.find("gone"), nullptr);
  EXPECT_EQ(cache_.find("failed"), nullptr);
}

TEST_F(L1Test, ALoaderThatThrowsOrMiscountsFailsItsCallersAndBlocksNoKey) {
  struct bad_loader : batch_loader {
    bool throws = true;
    task<values_result> load(request_context&, std::vector<std::string>) override {
      co_await net::yield_core();
      if (throws) throw std::runtime_error("a bug");
      co_return std::vector<value_ptr>{};
    }
  } bad;
  for (const bool throws : {true, false}) {
    bad.throws = throws;
    request_context context(on());
    run_task(on(), [&]() -> task<void> {
      std::vector<std::string> keys{"k"};
      const auto got = co_await cache_.get_many(context, std::move(keys), bad);
      EXPECT_TRUE(got.has_error());
    });
  }
  loader_.put("k", "value", 1);
  EXPECT_EQ(ask(0, {"k"})->body(), "value");
}

TEST_F(L1Test, AWaiterOfAnotherCoreIsToldWhenTheLoadingCoreEnds) {
  loader_.put("k", "value", 1);
  loader_.close();
  const auto first = ask(0, {"k"});
  ASSERT_TRUE(batches_reach(1));
  const auto second = ask(1, {"k"});
  ASSERT_TRUE(misses_reach(2));
  on(0).stop();
  on(0).join();
  EXPECT_EQ(second->answer().error().code, errc::overloaded);
  loader_.open();
  EXPECT_EQ(ask(1, {"k"})->body(), "value") << "the key is free";
  static_cast<void>(first);
}

TEST_F(L1Test, ACancelledCallerBeginsNothing) {
  request_context context(on());
  context.cancel();
  run_task(on(), [&]() -> task<void> {
    std::vector<std::string> keys{"k"};
    const auto got = co_await cache_.get_many(context, std::move(keys), loader_);
    EXPECT_EQ(got.error().code, errc::cancelled);
  });
  EXPECT_TRUE(loader_.batches().empty());
}

// A loader that makes values of the size the key says ("17:300" is 300 bytes).
struct sizing_loader : batch_loader {
  task<values_result> load(request_context&, std::vector<std::string> keys) override {
    std::vector<value_ptr> out;
    for (const std::string& key : keys) {
      auto made = std::make_shared<value>();
      made->body.assign(std::stoul(key.substr(key.find(':') + 1)), 'x');
      out.push_back(std::move(made));
    }
    co_return out;
  }
};

class L1BoundTest : public L1Test {
 protected:
  void get(l1& from, std::vector<std::string> keys) {
    run_task(on(), [&]() -> task<void> {
      request_context context(on());
      std::vector<std::string> wanted = keys;
      EXPECT_TRUE((co_await from.get_many(context, std::move(wanted), sizes_)).has_value());
    });
  }
  sizing_loader sizes_;
};

TEST_F(L1BoundTest, BytesStayBelowTheirBoundWhateverTheSizes) {
  constexpr std::size_t kMax = 200'000;
  l1 small({.bytes_max = kMax, .stripes = 8});
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::string> keys;
    for (int i = 0; i < 20; ++i) {
      const auto size = random() % 10 == 0 ? random() % 40'000 : random() % 1000;
      keys.push_back(std::to_string(random() % 2000) + ":" + std::to_string(size));
    }
    get(small, std::move(keys));
    ASSERT_LE(small.read_figures().bytes, kMax);
  }
  const auto after = small.read_figures();
  EXPECT_GT(after.evictions, 0U);
  EXPECT_GT(after.bytes, kMax / 2) << "a bound, not a void";
}

TEST_F(L1BoundTest, AValueOfMoreThanAStripesShareFitsAndOneOfAThirdOfTheCacheDoesNot) {
  l1 small({.bytes_max = 400'000, .stripes = 16});
  get(small, {"large:60000"});
  EXPECT_NE(small.find("large:60000"), nullptr);
  get(small, {"huge:140000"});
  EXPECT_EQ(small.find("huge:140000"), nullptr);
  EXPECT_NE(small.find("large:60000"), nullptr) << "and pushes nothing out";
}

// An LRU of the same size keeps nothing of the hot set after such a scan.
TEST_F(L1BoundTest, AScanDoesNotFlushTheHotSet) {
  l1 small({.bytes_max = 100'000, .stripes = 1});
  std::vector<std::string> hot;
  for (int i = 0; i < 50; ++i) hot.push_back("hot" + std::to_string(i) + ":300");
  for (int round = 0; round < 4; ++round) get(small, hot);
  for (int i = 0; i < 2000; ++i) get(small, {"scan" + std::to_string(i) + ":300"});
  EXPECT_GT(small.read_figures().evictions, 1000U);
  std::size_t kept = 0;
  for (const std::string& key : hot) kept += small.find(key) != nullptr ? 1U : 0U;
  EXPECT_GE(kept, 45U);
}

// What is asked for again soon after it left enters the main queue at once, so a new hot set gets in. (A
// plain FIFO keeps none.)
TEST_F(L1BoundTest, KeysThatComeBackAreKept) {
  l1 small({.bytes_max = 100'000, .stripes = 1});
  int scanned = 0;
  const auto scan = [&](int keys) {
    for (const int until = scanned + keys; scanned < until; ++scanned) {
      get(small, {"scan" + std::to_string(scanned) + ":300"});
    }
  };
  std::vector<std::string> back;
  for (int i = 0; i < 20; ++i) back.push_back("back" + std::to_string(i) + ":300");
  scan(400);
  get(small, back);
  scan(250);
  for (const std::string& key : back) ASSERT_EQ(small.find(key), nullptr);
  get(small, back);
  scan(250);
  std::size_t kept = 0;
  for (const std::string& key : back) kept += small.find(key) != nullptr ? 1U : 0U;
  EXPECT_GE(kept, 4U);
}

}  // namespace
}  // namespace syncline::cache
