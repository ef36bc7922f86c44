// More requests than the connections to MySQL can serve: they wait, and who cannot be served in time is told
// so.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <list>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "tests/e2e/model_database.h"
#include "tests/e2e/small_server.h"

namespace syncline::e2e {
namespace {

using ::testing::HasSubstr;

constexpr const char* kHeldNotes = R"({
    "notes": {"table": "notes", "key": "id", "columns": {"id": "int64", "note": "string"}, "write": {"bulk": true}}
  })";
constexpr int kCallers = 200;
constexpr int kConnections = 2;

class MysqlOverload : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = mysql_->missing(); !why.empty()) GTEST_SKIP() << why;
    mysql_->make_tables();
    sql_ = mysql_->open();
    ASSERT_TRUE(sql_->run("CREATE TABLE notes(id BIGINT PRIMARY KEY, note VARCHAR(50))"));
    server_.config = server_.directory.write(
        "notes.json", fmt::format(R"({{"cores": {{"count": 1}}, "storage": {}, "resources": {}}})",
                                  mysql_->storage_json(), kHeldNotes));
    server_.process = std::make_unique<server_process>(
        server_.config, with_settings({fmt::format("storage.mysql.connections_max={}", kConnections),
                                       "storage.mysql.waiters_max=20", "storage.mysql.pipeline_limit=4",
                                       "rest.request_timeout_ms=2000"}));
    std::string rows;
    for (int i = 1; i <= kCallers; ++i) rows += fmt::format("{{\"id\":{},\"note\":\"n\"}}\n", i);
    ASSERT_EQ(upload(server_.port(), "/v1/notes/bulk", rows).count("created"), kCallers);
  }
  // At once, of rows that no cache is asked for; answers by status.
  std::map<int, std::vector<answer>> ask(int count) {
    std::list<http_client> callers;
    for (int i = 1; i <= count; ++i) {
      callers.emplace_back(server_.port());
      callers.back().send_raw(fmt::format("GET /v1/notes/{}?refresh=1 HTTP/1.1\r\nHost: a\r\n\r\n", i));
    }
    std::map<int, std::vector<answer>> out;
    for (http_client& each : callers) {
      answer got = each.read_answer();
      out[got.status].push_back(std::move(got));
    }
    return out;
  }
  double refused(const std::string& reason) const {
    return server_.metric(fmt::format(
        R"(syncline_pool_refused_total{{class="interactive",pool="mysql",reason="{}"}})", reason));
  }

  std::unique_ptr<model_database> mysql_ = mysql_model();
  std::unique_ptr<model_connection> sql_;
  test_server server_;
};

TEST_F(MysqlOverload, WhoCannotBeServedIsToldAtOnceAndAllAreServedAfterwards) {
  // Nobody reads the table while this is held.
  ASSERT_TRUE(sql_->run("LOCK TABLES notes WRITE"));
  const auto held = ask(kCallers);
  ASSERT_TRUE(sql_->run("UNLOCK TABLES"));
  std::size_t told = 0;
  for (const auto& [status, answers] : held) {
    EXPECT_TRUE(status == 503 || status == 504) << status << answers.front().body;
    if (status == 503) told = answers.size();
  }
  // As many as connections times those that share one are under way, twenty wait.
  EXPECT_GE(told, kCallers - kConnections * 4 - 20U);
  for (const answer& each : held.at(503)) {
    EXPECT_EQ(problem_type(each), "overloaded") << each.body;
    EXPECT_NE(each.header("retry-after"), "");
  }
  for (const answer& each : held.at(504)) EXPECT_EQ(problem_type(each), "timed-out") << each.body;
  EXPECT_GE(refused("full") + refused("deadline") + refused("shed"), told);
  EXPECT_THAT(server_.process->log(), HasSubstr("waiters for a connection are refused"));
  EXPECT_THAT(server_.process->log(), HasSubstr("holders=\"interactive"));

  EXPECT_TRUE(eventually([&] {
    const auto free = ask(20);
    return free.size() == 1 && free.begin()->first == 200;
  }));
  EXPECT_TRUE(eventually([&] {
    return server_.metric(R"(syncline_pool_waiting{class="interactive",pool="mysql"})") == 0 &&
           server_.metric(R"(syncline_pool_connections{pool="mysql",state="busy"})") == 0;
  }));
  const double open = server_.metric(R"(syncline_pool_connections{pool="mysql",state="idle"})");
  EXPECT_GE(open, 1);
  EXPECT_LE(open, kConnections);
}

}  // namespace
}  // namespace syncline::e2e
