#include "server/mysql_settings.h"

#include <cstdlib>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/config.h"
#include "storage/mysql/mysql_options.h"
#include "tests/source_folder.h"
#include "tests/temp_directory.h"

namespace syncline::server {
namespace {

namespace mysql = storage::mysql;
using syncline::testing::temp_directory;
using ::testing::HasSubstr;

mysql_settings usable() {
  mysql_settings out;
  out.user = "app";
  out.schema = "shop";
  return out;
}

TEST(MysqlSettings, ConnectionsAreTenOrOneACoreUnlessSet) {
  mysql_settings given = usable();
  EXPECT_EQ(connections_for(given, 2), 10U);
  EXPECT_EQ(connections_for(given, 64), 64U);
  given.connections_min = 20;
  EXPECT_EQ(connections_for(given, 2), 20U);
  given.connections_max = 3;
  EXPECT_EQ(connections_for(given, 64), 3U) << "a way to live with a server that takes no more";
}

config_sources file(std::string name) {
  config_sources out;
  out.file = std::move(name);
  return out;
}

config_sources overridden(std::vector<std::string> overrides) {
  config_sources out;
  out.overrides = std::move(overrides);
  return out;
}

// Empty for settings that load.
std::string fault_in(const config_sources& sources) {
  try {
    (void)load_config(sources);
  } catch (const config_error& wrong) {
    return wrong.what();
  }
  return {};
}

TEST(MysqlSettings, BecomeOptionsOfTheStore) {
  mysql_settings given = usable();
  given.tls_mode = "verify_identity";
  given.login = "plain";
  given.compression = "preferred";
  given.replicas = "db2, db3:33061 ,[::1]:33062";
  given.connections_max = 7;
  given.silence_timeout_ms = 4321;
  given.reserved_bulk_percent = 33;
  given.socket = "/run/x.sock";
  const auto made = mysql_options_of(given);
  ASSERT_TRUE(made.has_value()) << made.error().text();
  EXPECT_EQ(made->primary.tls.mode, net::tls_mode::verify_identity);
  EXPECT_EQ(made->primary.login, mysql::authentication::plain);
  EXPECT_EQ(made->primary.compression, mysql::compression_mode::preferred);
  EXPECT_EQ(made->primary.socket_path, "/run/x.sock");
  EXPECT_EQ(made->pool.connections_max, 7U);
  EXPECT_EQ(made->primary.limits.silence_timeout_ms, 4321U);
  EXPECT_EQ(made->pool.reserved_percent[static_cast<std::size_t>(net::work_class::bulk)], 33U);
  ASSERT_EQ(made->replicas.size(), 3U);
  EXPECT_EQ(made->replicas[0].host, "db2");
  EXPECT_EQ(made->replicas[0].port, 33060);
  EXPECT_EQ(made->replicas[0].limits.silence_timeout_ms, 4321U);
  EXPECT_EQ(made->replicas[0].socket_path, "");
  EXPECT_EQ(made->replicas[1].port, 33061);
  EXPECT_EQ(made->replicas[2].host, "::1");
  EXPECT_EQ(made->replicas[2].port, 33062);
}

TEST(MysqlSettings, WhatCannotBeUsedIsNamed) {
  for (const auto& [change, text] : std::vector<std::pair<std::function<void(mysql_settings&)>, std::string>>{
           {[](mysql_settings& s) { s.user.clear(); }, "user"},
           {[](mysql_settings& s) { s.schema.clear(); }, "schema"},
           {[](mysql_settings& s) { s.replicas = "db2:0"; }, "db2:0"},
           {[](mysql_settings& s) { s.replicas = "db2:70000"; }, "db2:70000"},
           {[](mysql_settings& s) { s.replicas = "a,,b"; }, "replicas"},
           {[](mysql_settings& s) { s.replicas = "[::1"; }, "[::1"},
           {[](mysql_settings& s) { s.password_file = "/nowhere/at/all"; }, "password_file"}}) {
    mysql_settings given = usable();
    change(given);
    const auto made = mysql_options_of(given);
    ASSERT_FALSE(made.has_value()) << text;
    EXPECT_THAT(made.error().text(), HasSubstr(text));
  }
}

TEST(MysqlSettings, APasswordFileGoesBeforeThePasswordAndLosesItsLineBreak) {
  const temp_directory folder;
  mysql_settings given = usable();
  given.password = "other";
  given.password_file = folder.write("password", "s3 cret\n");
  EXPECT_EQ(mysql_options_of(given).value().primary.password, "s3 cret");
  given.password_file = folder.write("long", std::string(10'000, 'x'));
  EXPECT_FALSE(mysql_options_of(given).has_value());
}

TEST(MysqlSettings, AUrlNamesASchema) {
  auto made = mysql_settings_of_url("mysql://app:p%40ss@db.example:33061/shop");
  ASSERT_TRUE(made.has_value()) << made.error().text();
  EXPECT_EQ(made->user, "app");
  EXPECT_EQ(made->password, "p@ss");
  EXPECT_EQ(made->host, "db.example");
  EXPECT_EQ(made->port, 33061);
  EXPECT_EQ(made->schema, "shop");
  made = mysql_settings_of_url("mysql://app:@/shop?socket=/run/mysqld/mysqlx.sock");
  ASSERT_TRUE(made.has_value()) << made.error().text();
  EXPECT_EQ(made->socket, "/run/mysqld/mysqlx.sock");
  EXPECT_EQ(made->password, "");
  made = mysql_settings_of_url("mysql://app:x@[::1]/shop");
  ASSERT_TRUE(made.has_value());
  EXPECT_EQ(made->host, "::1");
  EXPECT_EQ(made->port, 33060);
  for (const char* bad : {"mysql://", "mysql://app@host", "mysql://host/shop", "mysql://@host/shop",
                          "mysql://app@host/", "mysql://app@/shop", "mysql://app@host:x/shop",
                          "mysql://app@host/shop?ssl=1", "mysql://a%zz@host/shop", "http://app@host/shop"})
    EXPECT_FALSE(mysql_settings_of_url(bad).has_value()) << bad;
}

TEST(MysqlSettings, TheEngineNeedsItsAccountAndSchema) {
  EXPECT_THAT(fault_in(overridden({"storage.engine=mysql"})), HasSubstr("storage.mysql.user: is empty"));
  EXPECT_THAT(fault_in(overridden({"storage.engine=mysql", "storage.mysql.user=a"})),
              HasSubstr("storage.mysql.schema: is empty"));
  EXPECT_EQ(fault_in(overridden({"storage.engine=mysql", "storage.mysql.user=a", "storage.mysql.schema=b"})),
            "");
  EXPECT_THAT(fault_in(overridden({"storage.engine=oracle"})), HasSubstr("sqlite, mysql"));
  EXPECT_THAT(fault_in(overridden({"storage.mysql.reserved_bulk_percent=50"})), HasSubstr("120 %"));
  EXPECT_THAT(fault_in(overridden({"storage.mysql.silence_timeout_ms=99"})), HasSubstr("silence_timeout_ms"));
  EXPECT_THAT(fault_in(overridden({"storage.mysql.silence_timeout_ms=5000"})),
              HasSubstr("no longer than storage.mysql.lock_wait_timeout_s"));
}

TEST(ConfigInclude, AFileStandsOnAnother) {
  const temp_directory folder;
  folder.write("base.json", R"({ "http": { "port": 1, "backlog": 9 },
    "resources": { "a": { "table": "a", "key": "id", "columns": { "id": "int64" } } } })");
  const std::string top = folder.write(
      "top.json", R"({ "include": "base.json", "http": { "port": 2 }, "drain_deadline_ms": 3 })");
  const config got = load_config(file(top));
  EXPECT_EQ(got.http.port, 2);
  EXPECT_EQ(got.http.backlog, 9);
  EXPECT_EQ(got.drain_deadline_ms, 3U);
  EXPECT_EQ(got.resources.size(), 1U);
  EXPECT_EQ(got.file, top);
}

TEST(ConfigInclude, WhatCannotBeIncludedIsToldWithItsPlace) {
  const temp_directory folder;
  folder.write("base.json",
               R"({ "resources": { "a": { "table": "a", "key": "id", "columns": { "id": "int64" } } } })");
  folder.write("second.json", R"({ "include": "base.json" })");
  EXPECT_THAT(fault_in(file(folder.write("twice.json", R"({ "include": "second.json" })"))),
              HasSubstr("second.json:1: include: an included file may include no other"));
  EXPECT_THAT(fault_in(file(folder.write("none.json", R"({ "include": "nowhere.json" })"))),
              HasSubstr("nowhere.json:1: cannot be opened"));
  EXPECT_THAT(fault_in(file(folder.write("both.json", R"({ "include": "base.json",
                         "resources": { "b": { "table": "b", "key": "id", "columns": { "id": "int64" } } } })"))),
              HasSubstr("both.json:2: resources: the included file declares some as well"));
  EXPECT_THROW((void)parse_config(R"({ "include": "base.json" })", "f.json"), config_error);
}

TEST(MysqlSettings, TheConfigThatShipsIsUsable) {
  const config got = load_config(file(syncline::testing::source_folder() + "/configs/mysql.json"));
  EXPECT_EQ(got.engine, "mysql");
  EXPECT_GT(got.resources.size(), 5U);
  EXPECT_TRUE(mysql_options_of(got.mysql).has_value());
}

}  // namespace
}  // namespace syncline::server
