// Connections are spread over the cores by their number, whatever the kernel's hash does with them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <list>
#include <map>
#include <string>

#include "tests/net/scripted_server.h"

namespace syncline::net::http {
namespace {

struct telling_handler final : handler {
  tried try_answer(exchange& x) override {
    const std::string id = std::to_string(x.context().on().id());
    x.answer(response_head{200, "text/plain", {}, false}, id);
    return tried::answered;
  }
  task<void> answer(exchange&) override { co_return; }
};

struct Spread : testing::over_each_form {
  Spread() : cores({.cores = 2, .pin = false}), options(quick_options()), serves(cores, handles, options) {
    cores.start();
    if (serves.start().has_error()) throw std::runtime_error("cannot start");
  }
  struct connected {
    testing::raw_client client;
    std::string core;
  };
  void connect(int count) {
    for (int i = 0; i < count; ++i) {
      testing::raw_client c = options.address.starts_with("unix:")
                                  ? testing::raw_client(options.address.substr(5))
                                  : testing::raw_client(serves.port());
      if (options.tls.enabled()) c.start_tls();
      std::string core = c.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").body;
      open.push_back({std::move(c), std::move(core)});
    }
  }
  [[nodiscard]] int on(const std::string& core) const {
    return static_cast<int>(std::ranges::count(open, core, &connected::core));
  }

  telling_handler handles;
  core_group cores;
  server_options options;
  server serves;
  std::list<connected> open;
};
INSTANTIATE_TEST_SUITE_P(Over, Spread,
                         ::testing::Values(testing::form::tcp, testing::form::unix_socket,
                                           testing::form::tls),
                         testing::form_name);

TEST_P(Spread, BothCoresGetTheirShare) {
  connect(100);
  ASSERT_EQ(on("0") + on("1"), 100);
  EXPECT_LE(std::abs(on("0") - on("1")), 16) << on("0");
}

// What the hash never mends: one core's connections have ended, and new ones are still halved.
TEST_P(Spread, ACoreThatLostItsConnectionsGetsTheNewOnes) {
  connect(80);
  std::erase_if(open, [](const connected& c) { return c.core == "0"; });
  const auto left = static_cast<std::uint64_t>(open.size());
  ASSERT_TRUE(testing::eventually([&] { return serves.connections() == left; }));
  connect(static_cast<int>(left));
  EXPECT_LE(std::abs(on("0") - on("1")), 16) << on("0");
}

TEST_P(Spread, AConnectionOnItsWayIsServedOrClosedByADrain) {
  connect(30);
  std::erase_if(open, [](const connected& c) { return c.core == "1"; });
  std::list<testing::raw_client> late;
  for (int i = 0; i < 40; ++i) {
    if (options.address.starts_with("unix:")) {
      late.emplace_back(options.address.substr(5));
    } else {
      late.emplace_back(serves.port());
    }
  }
  open.clear();
  EXPECT_TRUE(serves.drain(20'000));
  EXPECT_EQ(serves.connections(), 0U);
}

}  // namespace
}  // namespace syncline::net::http
