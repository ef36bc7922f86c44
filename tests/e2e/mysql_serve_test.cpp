// The shipped configs/mysql.json on the demo's tables, step by step as docs/mysql.md has it, over TCP and
// TLS.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "tests/e2e/model_database.h"
#include "tests/e2e/small_server.h"
#include "tests/source_folder.h"
#include "tests/temp_directory.h"

namespace syncline::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// A copy, since a server's log is beside its config.
std::string shipped(const std::string& folder) {
  std::string out = syncline::testing::read_text(folder + "/mysql.json");
  const std::string include = "\"demo/syncline.json\"";
  const std::size_t at = out.find(include);
  if (at == std::string::npos) throw std::runtime_error("configs/mysql.json includes something else");
  return out.replace(at, include.size(), fmt::format("\"{}/demo/syncline.json\"", folder));
}

class MysqlServe : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = mysql_->missing(); !why.empty()) GTEST_SKIP() << why;
    mysql_->make_tables();
    sql_ = mysql_->open();
    ASSERT_TRUE(sql_->run(syncline::testing::read_text(config_folder_ + "/demo/schema.mysql.sql")));
    schema_ = sql_->rows("SELECT DATABASE()").front();
    account_ = schema_ + "_tls";
    ASSERT_TRUE(
        sql_->run(fmt::format("CREATE USER {0} IDENTIFIED BY 'only for tests' REQUIRE SSL;\n"
                              "GRANT ALL ON {1}.* TO {0}",
                              account_, schema_)));
    ::setenv("SYNCLINE_STORAGE__MYSQL__PASSWORD", "only for tests", 1);
  }
  void TearDown() override {
    process_.reset();
    if (sql_) sql_->run("DROP USER " + account_);
  }

  [[nodiscard]] static std::string port() {
    const std::string where = ::getenv("SYNCLINE_TEST_MYSQL");
    return where.substr(where.rfind(':') + 1);
  }
  [[nodiscard]] std::vector<std::string> settings(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> out{
        "storage.mysql.port=" + port(), "storage.mysql.schema=" + schema_, "storage.mysql.user=" + account_,
        "storage.mysql.tls_mode=verify_identity",
        std::string("storage.mysql.tls_ca_file=") + ::getenv("SYNCLINE_TEST_MYSQL_CA")};
    out.insert(out.end(), more.begin(), more.end());
    return with_settings(out);
  }
  [[nodiscard]] command_result run(std::vector<std::string> arguments,
                                   const std::vector<std::string>& more = {}) const {
    arguments.insert(arguments.end(), {"--config", config_});
    const auto all = settings(more);
    arguments.insert(arguments.end(), all.begin(), all.end());
    return run_syncline(arguments);
  }
  [[nodiscard]] command_result serve_refused(std::vector<std::string> more) const {
    more.insert(more.end(), {"http.port=0", "admin.port=0"});
    return run({"serve"}, more);
  }
  // What of ours is in the schema.
  [[nodiscard]] std::vector<std::string> ours() const {
    return sql_->rows(
        "SELECT table_name FROM information_schema.tables WHERE table_schema=DATABASE() AND table_name LIKE "
        "'syncline%' UNION ALL SELECT trigger_name FROM information_schema.triggers WHERE "
        "trigger_schema=DATABASE() UNION ALL SELECT index_name FROM information_schema.statistics WHERE "
        "table_schema=DATABASE() AND index_name LIKE 'syncline%'");
  }

  const std::string config_folder_ = testing::source_folder() + "/configs";
  const temp_directory directory_;
  const std::string config_ = directory_.write("mysql.json", shipped(config_folder_));
  std::unique_ptr<model_database> mysql_ = mysql_model();
  std::unique_ptr<model_connection> sql_;
  std::string schema_, account_;
  std::unique_ptr<server_process> process_;
};

TEST_F(MysqlServe, ASchemaIsIntrospected) {
  const auto written = run_syncline(
      {"introspect", "--db", fmt::format("mysql://{}@127.0.0.1:{}/{}", account_, port(), schema_)});
  ASSERT_EQ(written.exit_code, 0) << written.output;
  // Comments say what a person may add.
  const auto object = boost::json::parse(written.output, {}, {.allow_comments = true}).as_object();
  EXPECT_EQ(object.at("storage").at("engine").as_string(), "mysql");
  const auto& resources = object.at("resources").as_object();
  for (const char* const table : {"users", "user_states", "blocks", "follows", "categories", "campaigns"})
    EXPECT_TRUE(resources.contains(table)) << table;
  EXPECT_EQ(boost::json::serialize(resources.at("blocks").at("key")), R"(["user_id","target_id"])");
  EXPECT_EQ(resources.at("users").at("columns").at("score").as_string(), "float64");
  // It is a config as it is.
  const temp_directory directory;
  const std::string config = directory.write("shop.json", written.output);
  EXPECT_EQ(run_syncline({"check-config", "--config", config}).exit_code, 0);
  const auto dry = run_syncline({"migrate", "--config", config, "--dry-run"});
  EXPECT_EQ(dry.exit_code, 0) << dry.output;
  EXPECT_THAT(dry.output, HasSubstr("ON `campaigns`"));
  EXPECT_EQ(ours(), std::vector<std::string>());
}

TEST_F(MysqlServe, MigrateMakesWhatItSaysOnceAndRemoveTakesItAway) {
  const auto dry = run({"migrate", "--dry-run"});
  EXPECT_EQ(dry.exit_code, 0) << dry.output;
  EXPECT_THAT(dry.output, HasSubstr("CREATE TABLE IF NOT EXISTS syncline_feed"));
  EXPECT_THAT(dry.output, HasSubstr("AFTER DELETE ON `donations`"));
  EXPECT_EQ(ours(), std::vector<std::string>()) << "a dry run changed the schema";
  const auto refused = serve_refused({"storage.mysql.migrate_on_start=false"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.output, HasSubstr("migrate"));

  ASSERT_TRUE(sql_->run("INSERT INTO categories (id, name) VALUES (1,'Health'),(2,'Water')"));
  const auto made = run({"migrate"});
  ASSERT_EQ(made.exit_code, 0) << made.output;
  EXPECT_THAT(made.output, HasSubstr("categories: 2 rows numbered"));
  for (const std::string& each : ours()) {
    EXPECT_THAT(dry.output, HasSubstr(each));
  }
  const auto again = run({"migrate"});
  EXPECT_EQ(again.exit_code, 0) << again.output;
  EXPECT_THAT(again.output, HasSubstr("0 statements run, 0 rows numbered"));
  EXPECT_EQ(run({"check-feed"}).exit_code, 0);

  EXPECT_EQ(run({"migrate", "--remove"}).exit_code, 0);
  EXPECT_EQ(ours(), std::vector<std::string>());
  EXPECT_EQ(sql_->rows("SELECT COUNT(*) FROM categories"), std::vector<std::string>{"2"});
}

TEST_F(MysqlServe, RowsSearchMergesUploadsAndTheFeed) {
  process_ = std::make_unique<server_process>(config_, settings());
  const std::uint16_t at = process_->port();
  EXPECT_EQ(upload(at, "/v1/users/bulk", R"({"id":1,"name":"Ada Lovelace","email":"ada@example.org"}
{"id":2,"name":"Grace Hopper","email":"grace@example.org","state":{"plan":"pro"}}
{"id":3,"name":"Edsger","score":"none"}
)")
                .count("created"),
            2);
  EXPECT_EQ(
      upload(at, "/v1/user_states/bulk", "{\"user_id\":1,\"online\":true,\"unread\":7}\n").count("created"),
      1);
  EXPECT_EQ(upload(at, "/v1/follows/bulk", "{\"user_id\":1,\"target_id\":2}\n").count("created"), 1);

  EXPECT_THAT(fetch(at, "GET", "/v1/users?q=hopper").body, HasSubstr("\"id\":2"));
  EXPECT_THAT(fetch(at, "GET", "/v1/users?q=hopper").body, Not(HasSubstr("\"id\":1")));
  const auto profile = json_object(fetch(at, "GET", "/v1/users/1/profile").body);
  EXPECT_EQ(profile.at("user").at("name").as_string(), "Ada Lovelace");
  EXPECT_EQ(profile.at("state").at("unread").to_number<int>(), 7);
  EXPECT_EQ(profile.at("follows").as_array().size(), 1U);
  const auto both = json_object(fetch(at, "GET", "/v1/users?ids=1,2,9&merge=profile").body);
  EXPECT_EQ(both.at("rows").as_array().size(), 2U);
  EXPECT_EQ(both.at("missing").as_array().size(), 1U);

  // Everything that concerns a user, then what others do.
  http_client stream(at);
  ASSERT_EQ(stream.open_stream("/v1/sync?scope=user:1&live=1"), 200);
  synced_copy copy;
  read_until_up_to_date(stream, &copy);
  EXPECT_EQ(copy.rows().size(), 3U);  // user, state, follow
  ASSERT_TRUE(sql_->run("UPDATE users SET city='London' WHERE id=1"));
  EXPECT_THAT(next_news(stream).value_or(""), HasSubstr("\"London\""));
  EXPECT_EQ(
      fetch(at, "PATCH", "/v1/users/1", R"({"city":"Paris"})", {"Content-Type: application/merge-patch+json"})
          .status,
      200);
  std::string news;
  do {
    news = next_news(stream).value_or("\"Paris\" did not come");
  } while (news.find("\"Paris\"") == std::string::npos);
  EXPECT_THAT(news, HasSubstr(R"("op":"put")"));
  EXPECT_EQ(fetch(at, "DELETE", "/v1/users/1", "").status, 204);
  EXPECT_EQ(fetch(at, "GET", "/v1/users/1").status, 404);

  process_->signal(SIGTERM);
  EXPECT_EQ(process_->wait_for_exit(20'000), 0) << process_->log();
  EXPECT_EQ(run({"check-feed"}).exit_code, 0);
}

TEST_F(MysqlServe, AServerThatIsNotTheOneNamedIsRefused) {
  ASSERT_EQ(run({"migrate"}).exit_code, 0);
  // Its certificate names 127.0.0.1.
  const auto other = serve_refused({"storage.mysql.host=localhost"});
  EXPECT_EQ(other.exit_code, 1);
  EXPECT_THAT(other.output, HasSubstr("hostname mismatch"));
  const auto stranger = serve_refused({"storage.mysql.tls_ca_file=/etc/ssl/certs/ca-certificates.crt"});
  EXPECT_EQ(stranger.exit_code, 1);
  EXPECT_THAT(stranger.output, HasSubstr("certificate"));
  // The account must have TLS.
  const auto plain = serve_refused({"storage.mysql.tls_mode=disabled"});
  EXPECT_EQ(plain.exit_code, 1);
  EXPECT_THAT(plain.output, Not(HasSubstr("only for tests")));
}

}  // namespace
}  // namespace syncline::e2e
