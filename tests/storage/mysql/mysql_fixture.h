// Tests against a real MySQL: where it is, sessions with it, tasks on a core.
//
// tests/tools/mysql.sh starts one and says what to export; without it these tests are skipped with that
// reason.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "net/core/core.h"
#include "storage/mysql/column_value.h"
#include "storage/mysql/session.h"
#include "tests/net/run_task.h"
#include "tests/source_folder.h"

namespace syncline::storage::mysql::testing {

using net::errc;
using net::request_context;
using net::task;
using net::testing::eventually;
using net::testing::run_task;

inline std::string environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

// `what` ("start", "stop", "kill") is done to the server that all tests use: its tests run alone, see
// tests/CMakeLists.txt.
inline void server_tool(const std::string& what) {
  const std::string command = "'" + syncline::testing::source_folder() + "/tests/tools/mysql.sh' " + what +
                              " '" + environment("SYNCLINE_TEST_MYSQL_FOLDER") + "' >/dev/null 2>&1";
  ASSERT_EQ(std::system(command.c_str()), 0) << what;
}

inline pid_t server_pid() {
  std::ifstream file(environment("SYNCLINE_TEST_MYSQL_FOLDER") + "/mysqld.pid");
  pid_t out = 0;
  file >> out;
  return out;
}

inline net::steady_time in_ms(int ms) {
  return std::chrono::steady_clock::now() + std::chrono::milliseconds(ms);
}

class mysql_test : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string where = environment("SYNCLINE_TEST_MYSQL");
    if (where.empty()) GTEST_SKIP() << "no MySQL (SYNCLINE_TEST_MYSQL is not set; see tests/tools/mysql.sh)";
    const std::size_t colon = where.rfind(':');
    host_ = where.substr(0, colon);
    port_ = static_cast<std::uint16_t>(std::stoi(where.substr(colon + 1)));
    socket_ = environment("SYNCLINE_TEST_MYSQL_SOCKET");
    ca_file_ = environment("SYNCLINE_TEST_MYSQL_CA");
    on_.start();
  }

  // By TCP with TLS.
  [[nodiscard]] std::shared_ptr<session_options> tcp_options() const {
    auto out = std::make_shared<session_options>();
    out->host = host_;
    out->port = port_;
    out->user = environment("SYNCLINE_TEST_MYSQL_USER");
    out->password = environment("SYNCLINE_TEST_MYSQL_PASSWORD");
    out->schema = environment("SYNCLINE_TEST_MYSQL_SCHEMA");
    out->connect_timeout_ms = 20'000;
    // The same tests, packed (tests/CMakeLists.txt runs them so as well).
    if (!environment("SYNCLINE_TEST_MYSQL_COMPRESSED").empty()) out->compression = compression_mode::required;
    return out;
  }
  [[nodiscard]] std::shared_ptr<session_options> unix_options() const {
    auto out = tcp_options();
    out->socket_path = socket_;
    return out;
  }

  // A name nobody else uses, for tables and accounts of one test.
  [[nodiscard]] static std::string unique(const std::string& stem) {
    static int next = 0;
    return stem + "_" + std::to_string(::getpid()) + "_" + std::to_string(next++);
  }

  // Opens a session; the test fails when that is not possible.
  [[nodiscard]] static task<std::unique_ptr<session>> opened(request_context& context,
                                                             std::shared_ptr<const session_options> options) {
    net::result<std::unique_ptr<session>> made = co_await session::open(context, std::move(options));
    if (made.has_error()) {
      ADD_FAILURE() << made.error().text();
      throw std::runtime_error(made.error().text());
    }
    co_return std::move(*made);
  }
  // The text of the only field of the only row, or the error.
  [[nodiscard]] static task<std::string> one(request_context& context, session& with, std::string text) {
    net::result<result_rows> got = co_await with.sql(context, text);
    if (got.has_error()) co_return got.error().text();
    if (got->rows.size() != 1 || got->rows[0].size() != 1) co_return "not one field";
    text_arena arena;
    const net::result<cell> value = decode_value(got->columns[0], got->rows[0][0], arena);
    if (value.has_error()) co_return value.error().text();
    switch (value->k) {
      case cell::kind::integer:
        co_return std::to_string(value->integer);
      case cell::kind::real:
        co_return std::to_string(value->real);
      case cell::kind::null:
      case cell::kind::absent:
        co_return "null";
      default:
        co_return std::string(value->text);
    }
  }
  static task<void> must(request_context& context, session& with, std::string text) {
    net::result<result_rows> got = co_await with.sql(context, text);
    EXPECT_TRUE(got.has_value()) << text << ": " << got.error().text();
  }

  void run(std::function<task<void>()> body) { run_task(on_, std::move(body)); }

  net::core on_{0, false};
  std::string host_, socket_, ca_file_;
  std::uint16_t port_ = 0;
};

}  // namespace syncline::storage::mysql::testing
