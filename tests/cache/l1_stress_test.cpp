// The promise of L1 under load, against a model, on several cores; run it under TSan.
#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "cache/l1.h"
#include "net/core/core.h"
#include "net/core/event.h"
#include "tests/net/run_task.h"

namespace syncline::cache {
namespace {

using net::core;
using net::core_group;
using net::request_context;
using net::result;
using net::task;
using net::testing::eventually;

// Writers change rows and then invalidate; readers on all cores note, before each call, which invalidations
// have returned. What they get must not be older. The loader dawdles between reading and answering, so fills
// are overtaken all the time.
class row_model : public batch_loader {
 public:
  static constexpr std::size_t kKeys = 12;

  static std::string key_of(std::size_t i) { return "row" + std::to_string(i); }

  std::int64_t change(std::size_t i) {
    const std::lock_guard lock(mutex_);
    changed_at_[i] = ++position_;
    return position_;
  }
  task<result<std::vector<value_ptr>>> load(request_context& context,
                                            std::vector<std::string> keys) override {
    std::vector<value_ptr> out;
    unsigned dawdle = 0;
    {
      const std::lock_guard lock(mutex_);
      for (const std::string& key : keys) {
        const std::size_t i = std::stoul(key.substr(3));
        auto made = std::make_shared<value>();
        made->body = std::to_string(changed_at_[i]);
        made->position = position_;
        out.push_back(std::move(made));
      }
      dawdle = static_cast<unsigned>(random_() % 8);
    }
    if (dawdle == 7) {
      const auto soon = std::chrono::steady_clock::now() + std::chrono::milliseconds(1);
      static_cast<void>(co_await net::sleep_until(context, soon));
    }
    for (unsigned i = 0; i < dawdle; ++i) co_await net::yield_core();
    co_return out;
  }
  std::array<std::atomic<std::int64_t>, kKeys> invalidated{};

 private:
  std::mutex mutex_;
  std::array<std::int64_t, kKeys> changed_at_{};
  std::int64_t position_ = 1;
  std::mt19937 random_{42};
};

// Not inlined: g++ 12 then takes the frame's allocation and deallocation for a mismatched pair.
[[gnu::noinline]] task<void> read_rows(core& on, l1& cache, row_model& rows, std::atomic<bool>& stop,
                                       std::atomic<int>& stale, std::atomic<std::uint64_t>& reads,
                                       unsigned seed) {
  std::minstd_rand random(seed + 1);
  request_context context(on);
  while (!stop.load(std::memory_order_relaxed)) {
    std::vector<std::string> keys;
    std::vector<std::int64_t> least;
    for (std::size_t n = 1 + random() % 3; n > 0; --n) {
      const std::size_t i = random() % row_model::kKeys;
      keys.push_back(row_model::key_of(i));
      least.push_back(rows.invalidated[i].load(std::memory_order_acquire));
    }
    if (random() % 4 == 0) {
      const value_ptr found = cache.find(keys[0]);
      if (found != nullptr && std::stoll(found->body) < least[0]) ++stale;
    }
    const auto got = co_await cache.get_many(context, std::move(keys), rows);
    if (got.has_error()) {
      ++stale;
      continue;
    }
    for (std::size_t i = 0; i < least.size(); ++i) {
      if ((*got)[i] == nullptr || std::stoll((*got)[i]->body) < least[i]) ++stale;
    }
    reads.fetch_add(1, std::memory_order_relaxed);
    if (random() % 8 == 0) co_await net::yield_core();
  }
}

TEST(L1Stress, NoReaderSeesAValueOlderThanAnInvalidationThatReturnedBeforeItAsked) {
  row_model rows;
  // Room for about half of the rows, so that entries are evicted as well.
  l1 cache({.bytes_max = 6 * 500, .stripes = 2});
  core_group cores({.cores = 3, .pin = false});
  cores.start();
  std::atomic<bool> stop{false};
  std::atomic<int> stale{0};
  std::atomic<std::uint64_t> reads{0};
  for (unsigned i = 0; i < 24; ++i) {
    core& on = cores.at(i % cores.size());
    net::spawn(on, read_rows(on, cache, rows, stop, stale, reads, i));
  }
  std::vector<std::thread> writers;
  for (unsigned w = 0; w < 2; ++w) {
    writers.emplace_back([&, w] {
      std::mt19937 random(1000 + w);
      for (int n = 0; n < 3000; ++n) {
        const std::size_t i = random() % row_model::kKeys;
        const std::int64_t position = rows.change(i);
        cache.invalidate(row_model::key_of(i), position);
        std::int64_t before = rows.invalidated[i].load();
        while (before < position && !rows.invalidated[i].compare_exchange_weak(before, position)) {
        }
        if (n % 16 == 0) std::this_thread::sleep_for(std::chrono::microseconds(300));
      }
    });
  }
  for (std::thread& each : writers) each.join();
  stop.store(true);
  EXPECT_TRUE(eventually([&] {
    std::uint64_t left = 0;
    for (std::size_t i = 0; i < cores.size(); ++i) left += cores.at(i).tasks_in_flight();
    return left == 0;
  }));
  cores.stop();
  EXPECT_EQ(stale.load(), 0);
  EXPECT_GT(reads.load(), 100U);
  const auto seen = cache.read_figures();
  EXPECT_GT(seen.refused_fills, 0U) << "no fill was overtaken: the test proves nothing";
  EXPECT_LE(seen.bytes, 6U * 500U);
}

}  // namespace
}  // namespace syncline::cache
