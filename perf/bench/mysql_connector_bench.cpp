// What a primary-key read by Oracle's Connector/C++ costs its thread, for comparison with mysql_read_bench:
// the same table and the same keys, one session, one read after the other, by sql() and by the CRUD words.
// Built where SYNCLINE_MYSQL_CONNECTOR is on (docs/mysql.md). Needs a server (tests/tools/mysql.sh start
// FOLDER; . FOLDER/env) and the table that mysql_read_bench leaves there.
//
// Of an answer only the width is looked at, there as here. A statement is made anew for each read: executed
// twice, which prepares it, connector 8.3 fails with server 9.7 ("Rcv_result: incorrect resume").
#include <benchmark/benchmark.h>
#include <mysqlx/xdevapi.h>

#include <chrono>
#include <string>

#include "perf/bench/mysql_test_server.h"
#include "perf/bench/thread_cpu.h"

namespace {

using namespace syncline::bench;

constexpr int kRows = 1000;
constexpr int kReads = 8000;

enum words : std::int64_t { kSql, kCrud };

mysqlx::Session open() {
  mysqlx::SessionSettings with(mysqlx::SessionOption::SOCKET, environment("SYNCLINE_TEST_MYSQL_SOCKET"),
                               mysqlx::SessionOption::USER, environment("SYNCLINE_TEST_MYSQL_USER"),
                               mysqlx::SessionOption::PWD, environment("SYNCLINE_TEST_MYSQL_PASSWORD"),
                               mysqlx::SessionOption::DB, environment("SYNCLINE_TEST_MYSQL_SCHEMA"));
  return {with};
}

template <class Read>
void measure(benchmark::State& state, Read read) {
  for (int i = 0; i < 400; ++i) read(i * 7919 % kRows);
  thread_cpu used;
  int total = 0;
  for (auto _ : state) {
    const thread_cpu before = thread_cpu::now();
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < kReads; ++i) read(i * 7919 % kRows);
    state.SetIterationTime(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    used.add_since(before);
    total += kReads;
  }
  used.report(state, total);
  state.counters["reads/s"] = benchmark::Counter(kReads, benchmark::Counter::kIsIterationInvariantRate);
}

// To its end: else the next one fails.
template <class Result>
void read_whole(Result result) {
  while (mysqlx::Row row = result.fetchOne()) benchmark::DoNotOptimize(row.colCount());
}

void official(benchmark::State& state) {
  try {
    mysqlx::Session session = open();
    if (state.range(0) == kSql) {
      measure(state, [&](int id) {
        read_whole(
            session.sql("SELECT id, name, email, score, updated_at FROM syncline_read_bench WHERE id = ?")
                .bind(id)
                .execute());
      });
      return;
    }
    mysqlx::Table table = session.getDefaultSchema().getTable("syncline_read_bench");
    measure(state, [&](int id) {
      read_whole(table.select("id", "name", "email", "score", "updated_at")
                     .where("id = :id")
                     .bind("id", id)
                     .execute());
    });
  } catch (const mysqlx::Error& e) {
    state.SkipWithError(e.what());
  }
}
BENCHMARK(official)->ArgName("crud")->Arg(kSql)->Arg(kCrud)->UseManualTime()->Iterations(3)->Unit(
    benchmark::kMillisecond);

}  // namespace
