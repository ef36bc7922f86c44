// A spike on a pool whose server is far away: fifty callers at once, five idle connections, connects that
// take 150 ms and statements that take 2.
#include <cstdio>

#include "storage/mysql/server_pools.h"
#include "tests/storage/mysql/faulty_proxy.h"
#include "tests/storage/mysql/mysql_fixture.h"

namespace syncline::storage::mysql {
namespace {

using testing::faulty_proxy;
using testing::in_ms;
using testing::request_context;
using testing::task;

constexpr int kWarm = 5, kSpike = 50;

class MysqlPoolSpike : public testing::mysql_test {
 protected:
  task<void> ask(server_pools& pools, int& answered) {
    request_context context(cores_.at(0));
    context.set_deadline(in_ms(20'000));
    auto acquiring = pools.acquire(context, net::lease_kind::exclusive);
    net::result<db_lease> lease = co_await std::move(acquiring);
    if (!lease) co_return;
    auto asking = (*lease)->sql(context, "DO SLEEP(0.002)");
    const net::result<result_rows> done = co_await std::move(asking);
    if (done) ++answered;
  }
  // All of them begin in one turn of the core.
  int ask_at_once(server_pools& pools, int callers) {
    int answered = 0;
    std::vector<std::future<void>> ended;
    std::promise<void> begun;
    cores_.at(0).post([&] {
      for (int i = 0; i < callers; ++i)
        ended.push_back(net::testing::start_task(cores_.at(0), [&] { return ask(pools, answered); }));
      begun.set_value();
    });
    begun.get_future().wait();
    for (std::future<void>& each : ended) each.wait();
    return answered;
  }
  net::core_group cores_{net::core_group_options{1, false}};
};

TEST_F(MysqlPoolSpike, FiftyCallersOnFiveIdleConnectionsOpenHardlyAnyMore) {
  faulty_proxy proxy(host_, port_);
  proxy.delay_connects(150);
  auto through = tcp_options();
  through->host = "127.0.0.1";
  through->port = proxy.port();
  net::pool_options options;
  options.name = "spike";
  options.connections_max = kSpike;
  options.connections_min = kWarm;
  server_pools pools(cores_, options, through, 1);
  cores_.start();
  EXPECT_EQ(ask_at_once(pools, 1), 1);
  ASSERT_TRUE(net::testing::eventually([&] { return pools.count().open == kWarm; }));
  for (int i = 0; i < 200; ++i) EXPECT_EQ(ask_at_once(pools, 1), 1);  // so that times are known
  const int before = proxy.accepted();
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(ask_at_once(pools, kSpike), kSpike);
  const auto took = std::chrono::steady_clock::now() - begun;
  std::printf("spike: %d connections opened beside %d, all answered after %.1f ms\n",
              proxy.accepted() - before, before, std::chrono::duration<double, std::milli>(took).count());
  // Opened by nobody's need: a pool that opens one for each waiter ends with 50.
  EXPECT_LE(proxy.accepted(), 2 * kWarm);
  pools.stop([](std::size_t) {});
  cores_.stop();
}

}  // namespace
}  // namespace syncline::storage::mysql
