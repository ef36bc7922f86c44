// How long L1 answers with a value, by a clock that the test moves.
#include <atomic>

#include <gtest/gtest.h>

#include "cache/l1.h"
#include "net/core/core.h"
#include "tests/net/run_task.h"

namespace syncline::cache {
namespace {

using net::request_context;
using net::result;
using net::task;

struct counting_loader : batch_loader {
  task<result<std::vector<value_ptr>>> load(request_context&, std::vector<std::string> keys) override {
    auto made = std::make_shared<value>();
    made->body = std::to_string(++loads);
    made->ttl_s = ttl_s;
    co_return std::vector<value_ptr>(keys.size(), made);
  }
  std::atomic<int> loads{0};
  std::atomic<std::uint32_t> ttl_s{10};
};

class L1TimeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    on_.start();
    cache_.set_time(1000);
  }
  void TearDown() override {
    on_.stop();
    on_.join();
  }
  std::string read() {
    std::string out;
    net::testing::run_task(on_, [&]() -> task<void> {
      request_context context(on_);
      std::vector<std::string> keys{"key"};
      auto got = co_await cache_.get_many(context, std::move(keys), loader_);
      if (got.has_value()) out = (*got)[0]->body;
    });
    return out;
  }
  counting_loader loader_;
  l1 cache_{{.bytes_max = 1024 * 1024, .stripes = 1}};
  net::core on_{0, false};
};

TEST_F(L1TimeTest, AValueIsAnsweredWithForItsTime) {
  EXPECT_EQ(read(), "1");
  cache_.set_time(1010);
  EXPECT_NE(cache_.find("key"), nullptr);
  EXPECT_EQ(read(), "1");
  cache_.set_time(1011);
  EXPECT_EQ(cache_.find("key"), nullptr);
  EXPECT_EQ(read(), "2");
  EXPECT_EQ(read(), "2");
  EXPECT_EQ(cache_.read_figures().expired, 1U);
}

TEST_F(L1TimeTest, WhatExpiredGivesItsRoomBack) {
  (void)read();
  const l1::figures before = cache_.read_figures();
  for (std::uint32_t turn = 1; turn <= 100; ++turn) {
    cache_.set_time(1000 + turn * 11);
    EXPECT_EQ(read(), std::to_string(turn + 1));
  }
  EXPECT_EQ(cache_.read_figures().entries, 1U);
  EXPECT_LT(cache_.read_figures().bytes, before.bytes + 16);  // the body grew by a digit or two
  EXPECT_EQ(cache_.read_figures().evictions, 0U);
}

TEST_F(L1TimeTest, AValueWithoutTimeIsNotKept) {
  loader_.ttl_s = 0;
  EXPECT_EQ(read(), "1");
  EXPECT_EQ(cache_.find("key"), nullptr);
  EXPECT_EQ(read(), "2");
  EXPECT_EQ(cache_.read_figures().bytes, 0U);
}

TEST_F(L1TimeTest, AValueWithoutEndStays) {
  loader_.ttl_s = kNoEnd;
  EXPECT_EQ(read(), "1");
  cache_.set_time(kNoEnd - 1);
  EXPECT_EQ(read(), "1");
  loader_.ttl_s = kNoEnd - 5;  // past the end of the clock
  cache_.invalidate("key", 1);
  EXPECT_EQ(cache_.find("key"), nullptr);
}

}  // namespace
}  // namespace syncline::cache
