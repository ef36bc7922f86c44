// How fast the feed follows on MySQL: how long 26,000 rows that one statement committed take to be in the
// feed, new ones and ones that replace an entry, and how long a single commit of a foreign session takes to
// reach the listener, idle and beside 64 writers. Needs a server (tests/tools/mysql.sh start FOLDER; .
// FOLDER/env):
//   cmake --preset bench && ninja -C build/bench mysql_feed_bench && build/bench/mysql_feed_bench
#include <benchmark/benchmark.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "net/core/core.h"
#include "net/core/event.h"
#include "perf/bench/mysql_test_server.h"
#include "storage/mysql/literal.h"
#include "storage/mysql/native_connection.h"
#include "storage/mysql/sequencer.h"
#include "storage/mysql/text_rows.h"

namespace {

using namespace syncline;
using namespace syncline::bench;
using namespace syncline::storage;
using namespace syncline::storage::mysql;
using steady = std::chrono::steady_clock;

constexpr int kRows = 26'000;
constexpr int kWriters = 64;
constexpr int kCommits = 300;

// Remembers when a key was told.
class listener final : public feed_listener {
 public:
  void changed(const change_notice_ptr& notice) noexcept override {
    const auto now = steady::now();
    const std::lock_guard lock(mutex_);
    for (const auto& item : notice->items)
      if (item.key == awaited_) told_ = now;
  }
  void await(std::string key) {
    const std::lock_guard lock(mutex_);
    awaited_ = std::move(key);
    told_ = {};
  }
  [[nodiscard]] steady::time_point told() const {
    const std::lock_guard lock(mutex_);
    return told_;
  }

 private:
  mutable std::mutex mutex_;
  std::string awaited_;
  steady::time_point told_{};
};

// A schema with a table and a sequencer, as a node has them.
class node {
 public:
  node() : core_(0, false) {
    session_ = std::make_shared<session_options>();
    session_->socket_path = environment("SYNCLINE_TEST_MYSQL_SOCKET");
    session_->user = environment("SYNCLINE_TEST_MYSQL_USER");
    session_->password = environment("SYNCLINE_TEST_MYSQL_PASSWORD");
    session_->setup = session_setup(5);
    core_.start();
    db_ = open();
    sql("DROP DATABASE IF EXISTS syncline_feed_bench");
    sql("CREATE DATABASE syncline_feed_bench");
    session_->schema = "syncline_feed_bench";
    close(db_);
    db_ = open();
    sql("CREATE TABLE users (id BIGINT PRIMARY KEY, name VARCHAR(100), v BIGINT)");
    resource users;
    users.name = users.table = "users";
    for (const char* name : {"id", "name", "v"}) users.columns.emplace_back().name = name;
    users.columns[0].type = users.columns[2].type = storage::column_type::int64;
    users.key = {0};
    users.scopes = {{"user", 0}};
    all_.add(users);
    run([this](net::request_context& context) -> net::task<void> {
      auto migrating = migrate(context, *db_, all_, false, {});
      if (!co_await std::move(migrating)) throw std::runtime_error("migrate");
    });
    feed_ = std::make_unique<sequencer>(core_, mysql_options{}, all_, [this](net::request_context& context) {
      return native_connection::open(context, session_);
    });
    feed_->set_listener(&heard);
    feed_->start_at(0, 0, {{1, 1}});
    feed_->start();
    settle();
  }
  ~node() {
    feed_.reset();
    sql("DROP DATABASE syncline_feed_bench");
    close(db_);
    core_.stop();
    core_.join();
  }
  node(const node&) = delete;
  node& operator=(const node&) = delete;

  void run(std::function<net::task<void>(net::request_context&)> body) {
    std::promise<void> ended;
    auto wrapper = [&]() -> net::task<void> {
      net::request_context context(core_);
      co_await body(context);
      ended.set_value();
    };
    const std::function<net::task<void>()> kept = wrapper;
    net::spawn(core_, kept());
    ended.get_future().wait();
  }
  std::unique_ptr<sql_connection> open() {
    std::unique_ptr<sql_connection> out;
    run([&](net::request_context& context) -> net::task<void> {
      auto opening = native_connection::open(context, session_);
      auto made = co_await std::move(opening);
      if (!made) throw std::runtime_error(made.error().text());
      out = std::move(*made);
    });
    return out;
  }
  void close(std::unique_ptr<sql_connection>& which) {
    run([&](net::request_context&) -> net::task<void> {
      which.reset();
      co_return;
    });
  }
  void sql(const std::string& text) {
    run([&](net::request_context& context) -> net::task<void> {
      auto running = mysql::run(context, *db_, text);
      const auto done = co_await std::move(running);
      if (!done) throw std::runtime_error(done.error().text());
    });
  }
  void settle() {
    run([this](net::request_context& context) -> net::task<void> {
      const auto done = co_await feed_->settle(context);
      if (!done) throw std::runtime_error(done.error().text());
    });
  }
  // Sessions that write without a pause, on a core of their own, until `stop`.
  void write_beside(net::core& on, std::atomic<bool>& stop, std::atomic<int>& running) {
    auto writes = [this, &on, &stop, &running](int number) -> net::task<void> {
      net::request_context context(on);
      auto opening = native_connection::open(context, session_);
      auto db = co_await std::move(opening);
      std::mt19937 rng(static_cast<unsigned>(number));
      while (!stop && db) {
        auto writing =
            mysql::run(context, **db, "UPDATE users SET v=v+1 WHERE id=" + std::to_string(1 + rng() % kRows));
        static_cast<void>(co_await std::move(writing));
        static_cast<void>(co_await net::sleep_until(context, steady::now() + std::chrono::milliseconds(10)));
      }
      --running;
    };
    const std::function<net::task<void>(int)> kept = writes;
    writers_ = kept;
    for (int i = 0; i < kWriters; ++i) net::spawn(on, writers_(i));
  }

  listener heard;

 private:
  net::core core_;
  std::shared_ptr<session_options> session_;
  std::unique_ptr<sql_connection> db_;
  catalog all_;
  std::unique_ptr<sequencer> feed_;
  std::function<net::task<void>(int)> writers_;
};

constexpr const char* kFill =
    "INSERT INTO users SELECT n, CONCAT('name ',n), 0 FROM (WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL "
    "SELECT n+1 FROM s "
    "WHERE n<26000) SELECT n FROM s) AS numbers";

void backlog(benchmark::State& state, bool replaces) {
  double cpu_s = 0;
  for (auto _ : state) {
    state.PauseTiming();
    {
      node with;
      with.sql("SET SESSION cte_max_recursion_depth=1000000");
      with.sql(kFill);
      if (replaces) {
        with.settle();
        with.sql("UPDATE users SET v=v+1");
      }
      const double before = server_cpu_s();
      state.ResumeTiming();
      with.settle();
      state.PauseTiming();
      cpu_s += server_cpu_s() - before;
    }
    state.ResumeTiming();
  }
  state.counters["server_cpu_s"] = benchmark::Counter(cpu_s, benchmark::Counter::kAvgIterations);
}

void latency(benchmark::State& state, bool busy) {
  for (auto _ : state) {
    node with;
    with.sql("SET SESSION cte_max_recursion_depth=1000000");
    with.sql(kFill);
    with.settle();
    net::core beside(1, false);
    beside.start();
    std::atomic<bool> stop{false};
    std::atomic<int> running{busy ? kWriters : 0};
    if (busy) with.write_beside(beside, stop, running);
    std::vector<double> ms;
    for (int i = 0; i < kCommits; ++i) {
      const std::string key = std::to_string(1'000'000 + i);
      with.heard.await(key);
      with.sql("INSERT INTO users VALUES (" + key + ",'x',0)");
      const auto committed = steady::now();
      while (with.heard.told() == steady::time_point{})
        std::this_thread::sleep_for(std::chrono::microseconds(100));
      ms.push_back(
          std::max(0.0, std::chrono::duration<double, std::milli>(with.heard.told() - committed).count()));
      std::this_thread::sleep_for(std::chrono::milliseconds(7));
    }
    stop = true;
    while (running != 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    beside.stop();
    beside.join();
    std::sort(ms.begin(), ms.end());
    state.counters["p50_ms"] = ms[ms.size() / 2];
    state.counters["p99_ms"] = ms[ms.size() * 99 / 100];
    state.counters["max_ms"] = ms.back();
  }
}

void backlog_of_new_rows(benchmark::State& state) {
  backlog(state, false);
}
void backlog_that_replaces(benchmark::State& state) {
  backlog(state, true);
}
void commit_to_listener_idle(benchmark::State& state) {
  latency(state, false);
}
void commit_to_listener_64_writers(benchmark::State& state) {
  latency(state, true);
}
BENCHMARK(backlog_of_new_rows)->Iterations(3)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(backlog_that_replaces)->Iterations(3)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(commit_to_listener_idle)->Iterations(1)->Unit(benchmark::kSecond)->UseRealTime();
BENCHMARK(commit_to_listener_64_writers)->Iterations(1)->Unit(benchmark::kSecond)->UseRealTime();

}  // namespace
