#include "server/cache_clock.h"

#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/net/run_task.h"

namespace syncline::server {
namespace {

struct short_lived : cache::batch_loader {
  net::task<net::result<std::vector<cache::value_ptr>>> load(net::request_context&,
                                                             std::vector<std::string> keys) override {
    auto made = std::make_shared<cache::value>();
    made->ttl_s = 1;
    co_return std::vector<cache::value_ptr>(keys.size(), made);
  }
};

TEST(CacheClock, TheTimeOfACachePasses) {
  net::core_group cores({.cores = 1, .pin = false});
  cache::l1 l1({.bytes_max = 1024 * 1024, .stripes = 1});
  cache_clock clock(cores.at(0), l1);
  short_lived loader;
  cores.start();
  clock.start();
  net::testing::run_task(cores.at(0), [&]() -> net::task<void> {
    net::request_context context(cores.at(0));
    std::vector<std::string> keys{"key"};
    EXPECT_TRUE((co_await l1.get_many(context, std::move(keys), loader)).has_value());
  });
  EXPECT_EQ(l1.read_figures().entries, 1U);  // stored, whatever the time
  EXPECT_TRUE(net::testing::eventually([&] { return l1.find("key") == nullptr; }));
  cores.stop();
}

}  // namespace
}  // namespace syncline::server
