// The store on MySQL: an upload of 26,000 users of 12 columns, and point reads at a concurrency of 1 to 2,000
// on a pool of 10 connections, each beside what the same server gives to bare connections in the same run.
// Needs a server (tests/tools/mysql.sh start FOLDER; . FOLDER/env):
//   cmake --preset bench && ninja -C build/bench mysql_store_bench && build/bench/mysql_store_bench
//
// `bare` uploads send ready INSERTs of 250 rows and a COMMIT each over one connection, into a table without
// triggers; `bare` reads are loops of prepared statements on 10 connections. Compare within one run: the
// server shares the machine.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "net/core/core.h"
#include "net/core/event.h"
#include "perf/bench/mysql_test_server.h"
#include "storage/mysql/blocking_run.h"
#include "storage/mysql/literal.h"
#include "storage/mysql/mysql_store.h"
#include "storage/mysql/native_connection.h"
#include "storage/mysql/session_setup.h"
#include "storage/mysql/text_rows.h"

namespace {

using namespace syncline;
using namespace syncline::bench;
using namespace syncline::storage;
using namespace syncline::storage::mysql;

constexpr std::int64_t kUsers = 26'000;
constexpr std::int64_t kBatchRows = 250;
constexpr int kInFlight = 8;
constexpr int kReads = 20'000;

class nobody : public feed_listener {
 public:
  void changed(const change_notice_ptr&) noexcept override {}
};

const std::vector<std::string> kColumns{"id",    "name",    "email", "nick",   "team",       "state",
                                        "score", "created", "bio",   "visits", "deleted_at", "active"};

std::string table(const std::string& name) {
  return "CREATE TABLE " + name +
         "(id BIGINT PRIMARY KEY, name VARCHAR(80) NOT NULL, email VARCHAR(120) UNIQUE, nick VARCHAR(40), "
         "team BIGINT, state JSON, score DOUBLE, created DATETIME, bio VARCHAR(500), visits BIGINT, "
         "deleted_at DATETIME, active TINYINT(1), KEY by_team(team))";
}

class world {
 public:
  world() : cores_(net::core_group_options{2, false}) {
    options_.primary.socket_path = environment("SYNCLINE_TEST_MYSQL_SOCKET");
    options_.primary.user = environment("SYNCLINE_TEST_MYSQL_USER");
    options_.primary.password = environment("SYNCLINE_TEST_MYSQL_PASSWORD");
    options_.migrate_on_start = true;
    schema_ = "syncline_store_bench_" + std::to_string(::getpid());
    sql("CREATE DATABASE " + schema_);
    options_.primary.schema = schema_;
    sql(table("users"));
    sql(table("plain"));
    resource users;
    users.name = users.table = "users";
    const std::vector<storage::column_type> types{
        storage::column_type::int64,   storage::column_type::string,    storage::column_type::string,
        storage::column_type::string,  storage::column_type::int64,     storage::column_type::json,
        storage::column_type::float64, storage::column_type::timestamp, storage::column_type::string,
        storage::column_type::int64,   storage::column_type::timestamp, storage::column_type::boolean};
    for (std::size_t i = 0; i < types.size(); ++i) {
      storage::column c;
      c.name = kColumns[i];
      c.type = types[i];
      users.columns.push_back(std::move(c));
    }
    users.key = {0};
    users.scopes.push_back({"team", 4});
    all_.add(std::move(users));
    auto opened = open_mysql_store(options_, all_, cores_);
    if (!opened) throw std::runtime_error(opened.error().text());
    store_ = std::move(*opened);
    store_->set_listener(&listener_);
    cores_.start();
  }
  ~world() {
    store_->stop();
    cores_.stop();
    store_.reset();
    options_.primary.schema.clear();
    sql("DROP DATABASE " + schema_);
  }
  void sql(const std::string& text) {
    const mysql_work work = [&](net::request_context& context,
                                sql_connection& db) -> net::task<net::result<void>> {
      auto asking = db.sql(context, text);
      const net::result<result_rows> done = co_await std::move(asking);
      if (!done) co_return done.error();
      co_return net::result<void>();
    };
    if (auto done = run_on_mysql(options_, work); !done) throw std::runtime_error(done.error().text());
  }
  // Until the feed has everything that is committed.
  void wait_for_feed() {
    const mysql_work work = [&](net::request_context& context,
                                sql_connection& db) -> net::task<net::result<void>> {
      for (;;) {
        auto asking = query(context, db, "SELECT EXISTS(SELECT 1 FROM syncline_pending)");
        const net::result<text_rows> rows = co_await std::move(asking);
        if (!rows) co_return rows.error();
        if (rows->front().integer(0) == 0) co_return net::result<void>();
      }
    };
    if (auto done = run_on_mysql(options_, work); !done) throw std::runtime_error(done.error().text());
  }

  net::core_group cores_;
  catalog all_;
  nobody listener_;
  mysql_options options_;
  std::string schema_;
  std::unique_ptr<store> store_;
};

world& shared_world() {
  static world only;
  return only;
}

void add_user(write_batch& to, std::int64_t id, int version) {
  const auto text = [&](const std::string& s) { return cell::of_text(to.arena.copy(s)); };
  to.cells.push_back(cell::of_int(id));
  to.cells.push_back(text(fmt::format("User Number {}", id)));
  to.cells.push_back(text(fmt::format("user{}@example.org", id)));
  to.cells.push_back(text(fmt::format("nick{}", id % 977)));
  to.cells.push_back(cell::of_int(id % 50));
  to.cells.push_back(text(fmt::format(R"({{"level":{},"badges":["a","b"],"theme":"dark"}})", id % 7)));
  to.cells.push_back(cell::of_real(static_cast<double>(id) / 4));
  to.cells.push_back(text("2026-11-20T12:00:00Z"));
  to.cells.push_back(
      text(fmt::format("About user {} in version {}, a few words as people write them.", id, version)));
  to.cells.push_back(cell::of_int(id * 3));
  to.cells.push_back(cell::of_null());
  to.cells.push_back(cell::of_int(1));
  ++to.row_count;
}

// Sends batches until there are none left, as one of kInFlight.
net::task<void> upload_some(world& in, net::core& on, std::atomic<std::int64_t>& next, int version,
                            std::atomic<std::int64_t>& fault) {
  for (;;) {
    const std::int64_t from = next.fetch_add(kBatchRows);
    if (from >= kUsers) co_return;
    net::request_context context(on, net::work_class::bulk);
    write_batch batch;
    batch.of = &in.all_.at(0);
    for (std::int64_t i = 0; i < kBatchRows; ++i) add_user(batch, from + i + 1, version);
    auto writing = in.store_->write(context, std::move(batch));
    const auto made = co_await std::move(writing);
    if (!made) {
      fmt::print(stderr, "{}\n", made.error().text());
      fault += kBatchRows;
      continue;
    }
    for (const row_result& r : made->rows) fault += r.what == fate::rejected ? 1 : 0;
  }
}

// Runs `body(core, index)` `count` times at once and waits for all.
template <class Body>
void run_all(net::core_group& cores, int count, Body body) {
  std::atomic<int> left{count};
  std::promise<void> ended;
  auto wrapper = [&](net::core& on, int index) -> net::task<void> {
    auto running = body(on, index);
    co_await std::move(running);
    if (--left == 0) ended.set_value();
  };
  for (int i = 0; i < count; ++i) {
    net::core& on = cores.at(static_cast<std::size_t>(i) % cores.size());
    net::spawn(on, wrapper(on, i));
  }
  ended.get_future().wait();
}

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// 0: every row new; 1: every row changed; 2: nothing changes.
void upload(benchmark::State& state) {
  world& in = shared_world();
  static int version = 0;
  std::atomic<std::int64_t> fault{0};
  double cpu_s = 0;
  for (auto _ : state) {
    if (state.range(0) == 0) in.sql("DELETE FROM users");
    in.wait_for_feed();
    if (state.range(0) < 2) ++version;
    std::atomic<std::int64_t> next{0};
    const double cpu_before = server_cpu_s();
    const auto begin = std::chrono::steady_clock::now();
    run_all(in.cores_, kInFlight,
            [&](net::core& on, int) { return upload_some(in, on, next, version, fault); });
    state.SetIterationTime(seconds_since(begin));
    cpu_s += server_cpu_s() - cpu_before;
  }
  state.counters["server_cpu_s"] = benchmark::Counter(cpu_s, benchmark::Counter::kAvgIterations);
  state.counters["rows_refused"] = static_cast<double>(fault.load());
}
BENCHMARK(upload)->Arg(0)->Arg(1)->Arg(2)->UseManualTime()->Iterations(3)->Unit(benchmark::kMillisecond);

void upload_bare(benchmark::State& state) {
  world& in = shared_world();
  std::vector<std::string> texts;
  for (std::int64_t from = 0; from < kUsers; from += kBatchRows) {
    write_batch batch;
    for (std::int64_t i = 0; i < kBatchRows; ++i) add_user(batch, from + i + 1, 0);
    std::string text = "INSERT INTO plain VALUES ";
    for (std::size_t i = 0; i < batch.cells.size(); ++i) {
      text += i % kColumns.size() == 0 ? (i == 0 ? "(" : ",(") : ",";
      if (i % kColumns.size() == 7) {
        text += "'2026-11-20 12:00:00'";
      } else {
        append_literal(batch.cells[i], text);
      }
      if (i % kColumns.size() + 1 == kColumns.size()) text += ")";
    }
    texts.push_back(std::move(text));
  }
  double cpu_s = 0;
  for (auto _ : state) {
    in.sql("TRUNCATE plain");
    const double cpu_before = server_cpu_s();
    const auto begin = std::chrono::steady_clock::now();
    const mysql_work work = [&](net::request_context& context,
                                sql_connection& db) -> net::task<net::result<void>> {
      for (const std::string& each : texts) {
        auto sending = db.sql(context, each);
        const net::result<result_rows> done = co_await std::move(sending);
        if (!done) co_return done.error();
      }
      co_return net::result<void>();
    };
    if (auto done = run_on_mysql(in.options_, work); !done) throw std::runtime_error(done.error().text());
    state.SetIterationTime(seconds_since(begin));
    cpu_s += server_cpu_s() - cpu_before;
  }
  state.counters["server_cpu_s"] = benchmark::Counter(cpu_s, benchmark::Counter::kAvgIterations);
}
BENCHMARK(upload_bare)->UseManualTime()->Iterations(3)->Unit(benchmark::kMillisecond);

net::task<void> read_some(world& in, net::core& on, std::atomic<int>& left, std::atomic<int>& fault) {
  const projection all = projection::all(in.all_.at(0));
  for (int turn = left.fetch_sub(1); turn > 0; turn = left.fetch_sub(1)) {
    net::request_context context(on);
    std::vector<std::string> key{std::to_string(1 + turn * 7919LL % kUsers)};
    auto reading = in.store_->get(context, in.all_.at(0), all, std::move(key));
    const auto made = co_await std::move(reading);
    if (made && made->slices.size() == 1 && made->slices[0].found) continue;
    if (fault++ == 0) fmt::print(stderr, "{}\n", made ? "not found" : made.error().text());
    co_await net::yield_core();
  }
}

void reads(benchmark::State& state) {
  world& in = shared_world();
  std::atomic<int> fault{0};
  for (auto _ : state) {
    std::atomic<int> left{kReads};
    const auto begin = std::chrono::steady_clock::now();
    run_all(in.cores_, static_cast<int>(state.range(0)),
            [&](net::core& on, int) { return read_some(in, on, left, fault); });
    state.SetIterationTime(seconds_since(begin));
  }
  state.counters["errors"] = fault.load();
  state.counters["reads_per_s"] = benchmark::Counter(
      static_cast<double>(kReads) * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}
BENCHMARK(reads)->Arg(1)->Arg(10)->Arg(100)->Arg(500)->Arg(2000)->UseManualTime()->Iterations(2)->Unit(
    benchmark::kMillisecond);

net::task<void> read_bare(world& in, net::core& on, std::atomic<int>& left, std::atomic<int>& fault) {
  net::request_context context(on);
  auto how = store_session(in.options_, in.options_.primary);
  auto opening = native_connection::open(context, *how);
  auto made = co_await std::move(opening);
  if (!made) {
    ++fault;
    co_return;
  }
  const std::unique_ptr<sql_connection> db = std::move(*made);
  std::string text = fmt::format("SELECT {} FROM users WHERE id=?", fmt::join(kColumns, ","));
  for (int turn = left.fetch_sub(1); turn > 0; turn = left.fetch_sub(1)) {
    const argument key = argument::of_int(1 + turn * 7919LL % kUsers);
    auto reading = db->execute(context, text, std::span(&key, 1));
    const auto found = co_await std::move(reading);
    if (!found || found->rows.size() != 1) ++fault;
  }
}

void reads_bare(benchmark::State& state) {
  world& in = shared_world();
  std::atomic<int> fault{0};
  for (auto _ : state) {
    std::atomic<int> left{kReads};
    const auto begin = std::chrono::steady_clock::now();
    run_all(in.cores_, 10, [&](net::core& on, int) { return read_bare(in, on, left, fault); });
    state.SetIterationTime(seconds_since(begin));
  }
  state.counters["errors"] = fault.load();
  state.counters["reads_per_s"] = benchmark::Counter(
      static_cast<double>(kReads) * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}
BENCHMARK(reads_bare)->UseManualTime()->Iterations(2)->Unit(benchmark::kMillisecond);

}  // namespace
