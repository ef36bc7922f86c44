// What a primary-key read over the X Protocol costs the client: processor time of its thread for each read,
// one after the other and 16 under way at once. Needs a server (tests/tools/mysql.sh start FOLDER; .
// FOLDER/env):
//   cmake --preset bench && ninja -C build/bench mysql_read_bench && build/bench/mysql_read_bench
//
// The core's own thread is measured (getrusage, user and system apart), not Google Benchmark's. `bare` is the
// floor: a blocking socket that sends ready-made frames and looks at nothing but where answers end. Most of
// what is left is the kernel's price for sleeping and waking, which differs tenfold between machines: compare
// within one run.
#include <benchmark/benchmark.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <x_protocol.pb.h>

#include <chrono>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "net/core/core.h"
#include "perf/bench/mysql_test_server.h"
#include "perf/bench/thread_cpu.h"
#include "storage/mysql/message.h"
#include "storage/mysql/session.h"

namespace {

using namespace syncline;
using namespace syncline::bench;
using namespace syncline::storage::mysql;

constexpr int kRows = 1000;
constexpr int kReads = 8000;
constexpr const char* kRead =
    "SELECT id, name, email, score, updated_at FROM syncline_read_bench WHERE id = ?";

std::shared_ptr<session_options> options(int transport) {
  auto out = std::make_shared<session_options>();
  const std::string where = environment("SYNCLINE_TEST_MYSQL");
  out->host = where.substr(0, where.rfind(':'));
  out->port = static_cast<std::uint16_t>(std::stoi(where.substr(where.rfind(':') + 1)));
  out->user = environment("SYNCLINE_TEST_MYSQL_USER");
  out->password = environment("SYNCLINE_TEST_MYSQL_PASSWORD");
  out->schema = environment("SYNCLINE_TEST_MYSQL_SCHEMA");
  if (transport == 0) out->tls.mode = net::tls_mode::disabled;
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
  net::core on(0, false);
  on.start();
  thread_cpu used;
  int total = 0;
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
        const thread_cpu before = thread_cpu::now();
        const auto begin = std::chrono::steady_clock::now();
        co_await read_all(context, *with, kReads, depth);
        state.SetIterationTime(
            std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
        used.add_since(before);
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
  used.report(state, total);
  state.counters["reads/s"] = benchmark::Counter(kReads, benchmark::Counter::kIsIterationInvariantRate);
}

// A blocking client of the unix socket without any comfort.
class bare_client {
 public:
  bare_client() : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un there{};
    there.sun_family = AF_UNIX;
    const std::string path = environment("SYNCLINE_TEST_MYSQL_SOCKET");
    path.copy(there.sun_path, sizeof there.sun_path - 1);
    if (::connect(socket_, reinterpret_cast<const sockaddr*>(&there), sizeof there) != 0)
      throw std::runtime_error("no connection");
    wire::AuthenticateStart start;
    start.set_mechanism("PLAIN");
    start.set_auth_data(environment("SYNCLINE_TEST_MYSQL_SCHEMA") + std::string(1, '\0') +
                        environment("SYNCLINE_TEST_MYSQL_USER") + std::string(1, '\0') +
                        environment("SYNCLINE_TEST_MYSQL_PASSWORD"));
    exchange(client_message::authenticate_start, start, server_message::authenticate_ok);
    wire::Prepare prepare;
    prepare.set_statement_id(1);
    prepare.mutable_statement()->set_type(wire::Prepare::Statement::SQL);
    prepare.mutable_statement()->mutable_sql()->set_statement(kRead);
    exchange(client_message::prepare, prepare, server_message::ok);
  }
  ~bare_client() { ::close(socket_); }
  bare_client(const bare_client&) = delete;
  bare_client& operator=(const bare_client&) = delete;

  void read(int key, int depth) {
    net::byte_buffer out;
    for (int i = 0; i < depth; ++i) {
      wire::PrepareExecute execute;
      execute.set_statement_id(1);
      execute.set_compact_metadata(true);
      wire::Any& value = *execute.add_arguments();
      value.set_type(wire::Any::SCALAR);
      value.mutable_scalar()->set_type(wire::Scalar::SIGNED);
      value.mutable_scalar()->set_signed_value((key + i) * 7919 % kRows);
      if (append_frame(out, client_message::prepare_execute, execute, 100'000).has_error())
        throw std::runtime_error("no frame");
    }
    send(out);
    for (int i = 0; i < depth; ++i) wait_for(server_message::statement_ok);
  }

 private:
  void send(net::byte_buffer& out) {
    if (::send(socket_, out.data(), out.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(out.size()))
      throw std::runtime_error("not sent");
  }
  template <class Message>
  void exchange(client_message type, const Message& body, server_message wanted) {
    net::byte_buffer out;
    if (append_frame(out, type, body, 100'000).has_error()) throw std::runtime_error("no frame");
    send(out);
    wait_for(wanted);
  }
  void wait_for(server_message wanted) {
    for (;;) {
      frame next;
      while (read_frame(in_.view(), 100'000, next) == frame_state::whole) {
        in_.consume(next.bytes());
        if (next.type == server_message::error) throw std::runtime_error("refused");
        if (next.type == wanted) return;
      }
      const ssize_t n = ::recv(socket_, in_.prepare(16'384), 16'384, 0);
      if (n <= 0) throw std::runtime_error("closed");
      in_.commit(static_cast<std::size_t>(n));
    }
  }
  int socket_;
  net::byte_buffer in_;
};

void bare(benchmark::State& state) {
  const int depth = static_cast<int>(state.range(1));
  thread_cpu used;
  int total = 0;
  for (auto _ : state) {
    try {
      bare_client client;
      client.read(0, depth);
      const thread_cpu before = thread_cpu::now();
      const auto begin = std::chrono::steady_clock::now();
      for (int i = 0; i < kReads; i += depth) client.read(i, depth);
      state.SetIterationTime(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
      used.add_since(before);
      total += kReads;
    } catch (const std::exception& e) {
      state.SkipWithError(e.what());
      break;
    }
  }
  if (total == 0) return;
  used.report(state, total);
  state.counters["reads/s"] = benchmark::Counter(kReads, benchmark::Counter::kIsIterationInvariantRate);
}

BENCHMARK(reads)
    ->ArgNames({"transport", "depth"})
    ->ArgsProduct({{0, 1, 2}, {1, 16}})
    ->UseManualTime()
    ->Iterations(3)
    ->Unit(benchmark::kMillisecond);

// After `reads`, which makes the table.
BENCHMARK(bare)
    ->ArgNames({"transport", "depth"})
    ->ArgsProduct({{2}, {1, 16}})
    ->UseManualTime()
    ->Iterations(3)
    ->Unit(benchmark::kMillisecond);

}  // namespace
