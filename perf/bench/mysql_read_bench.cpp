// What a primary-key read over the X Protocol costs the client: processor time of its thread for each read,
// one after the other and 16 under way at once. Needs a server (tests/tools/mysql.sh start FOLDER; .
// FOLDER/env):
//   cmake --preset bench && ninja -C build/bench mysql_read_bench && build/bench/mysql_read_bench
//
// The core's own thread is measured (CLOCK_THREAD_CPUTIME_ID, system time included), not Google Benchmark's.
#include <benchmark/benchmark.h>
#include <time.h>

#include <chrono>
#include <cstdlib>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "net/core/core.h"
#include "storage/mysql/session.h"

namespace {

using namespace syncline;
using namespace syncline::storage::mysql;

constexpr int kRows = 1000;
constexpr const char* kRead =
    "SELECT id, name, email, score, updated_at FROM syncline_read_bench WHERE id = ?";

std::string environment(const char* name) {
  const char* const value = std::getenv(name);
  if (value == nullptr) throw std::runtime_error(std::string(name) + " is not set: see tests/tools/mysql.sh");
  return value;
}

double thread_cpu_us() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

std::shared_ptr<session_options> options(int transport) {
  auto out = std::make_shared<session_options>();
  const std::string where = environment("SYNCLINE_TEST_MYSQL");
  out->host = where.substr(0, where.rfind(':'));
  out->port = static_cast<std::uint16_t>(std::stoi(where.substr(where.rfind(':') + 1)));
  out->user = environment("SYNCLINE_TEST_MYSQL_USER");
  out->password = environment("SYNCLINE_TEST_MYSQL_PASSWORD");
  out->schema = environment("SYNCLINE_TEST_MYSQL_SCHEMA");
  if (transport == 0) out->tls.mode = tls_mode::disabled;
  if (transport == 2) out->socket_path = environment("SYNCLINE_TEST_MYSQL_SOCKET");
  return out;
}

void must(const net::result<result_rows>& got) {
  if (got.has_error()) throw std::runtime_error(got.error().text());
}

net::task<void> fill(net::request_context& context, session& with) {
  must(co_await with.sql(context, "DROP TABLE IF EXISTS syncline_read_bench"));
  must(co_await with.sql(context,
                         "CREATE TABLE syncline_read_bench (id BIGINT PRIMARY KEY, name VARCHAR(80), email "
                         "VARCHAR(120), score DECIMAL(10,2), updated_at DATETIME(6))"));
  std::string rows = "INSERT INTO syncline_read_bench VALUES ";
  for (int i = 0; i < kRows; ++i) {
    if (i != 0) rows.append(",");
    rows.append("(").append(std::to_string(i)).append(",'Ada Lovelace','ada@example.org',1.25,NOW(6))");
  }
  must(co_await with.sql(context, rows));
}

net::task<void> read_all(net::request_context& context, session& with, int reads, int depth) {
  std::vector<answer> sent;
  int started = 0;
  std::size_t fields = 0;
  for (int ended = 0; ended < reads; ended += depth) {
    sent.clear();
    for (int i = 0; i < depth; ++i) {
      const argument key[] = {argument::of_int(started++ * 7919 % kRows)};
      net::result<answer> next = with.start_prepared(kRead, key);
      if (next.has_error()) throw std::runtime_error(next.error().text());
      sent.push_back(std::move(*next));
    }
    for (answer& each : sent) {
      for (step got = each.try_next(); got != step::done; got = each.try_next()) {
        if (got == step::row) fields += each.row().size();
        if (got == step::failed) throw std::runtime_error(each.failure().text());
        if (got != step::wait) continue;
        const net::result<void> woken = co_await each.wait(context);
        if (woken.has_error()) throw std::runtime_error(woken.error().text());
      }
    }
  }
  benchmark::DoNotOptimize(fields);
}

void reads(benchmark::State& state) {
  const int transport = static_cast<int>(state.range(0));
  const int depth = static_cast<int>(state.range(1));
  constexpr int kReads = 8000;
  net::core on(0, false);
  on.start();
  double cpu_us = 0;
  std::uint64_t total = 0;
  for (auto _ : state) {
    std::promise<void> ended;
    auto body = [&]() -> net::task<void> {
      try {
        net::request_context context(on);
        auto made = co_await session::open(context, options(transport));
        if (made.has_error()) throw std::runtime_error(made.error().text());
        const std::unique_ptr<session> with = std::move(*made);
        co_await fill(context, *with);
        co_await read_all(context, *with, 400, depth);
        const double before = thread_cpu_us();
        const auto begin = std::chrono::steady_clock::now();
        co_await read_all(context, *with, kReads, depth);
        state.SetIterationTime(
            std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
        cpu_us += thread_cpu_us() - before;
        total += kReads;
        ended.set_value();
      } catch (...) {
        ended.set_exception(std::current_exception());
      }
    };
    net::spawn(on, body());
    try {
      ended.get_future().get();
    } catch (const std::exception& e) {
      state.SkipWithError(e.what());
      break;
    }
  }
  on.stop();
  on.join();
  if (total == 0) return;
  state.counters["client_cpu_us_per_read"] = cpu_us / static_cast<double>(total);
  state.counters["reads/s"] = benchmark::Counter(kReads, benchmark::Counter::kIsIterationInvariantRate);
}

BENCHMARK(reads)
    ->ArgNames({"transport", "depth"})
    ->ArgsProduct({{0, 1, 2}, {1, 16}})
    ->UseManualTime()
    ->Iterations(3)
    ->Unit(benchmark::kMillisecond);

}  // namespace
