// What the tests of the MySQL schema share: a database of the test's own with a connection in it, resources
// in a line, and what triggers noted as texts.
#pragma once

#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "storage/mysql/literal.h"
#include "storage/mysql/native_connection.h"
#include "storage/mysql/schema.h"
#include "storage/mysql/text_rows.h"
#include "tests/storage/mysql/mysql_fixture.h"
#include "tests/storage/sample_tables.h"

namespace syncline::storage::mysql::testing {

using storage::testing::lines;
using storage::testing::make_resource;

class mysql_schema_test : public mysql_test {
 protected:
  void SetUp() override {
    mysql_test::SetUp();
    if (IsSkipped()) return;
    schema_ = unique("syncline_t");
    db_ = open_connection(unix_options());
    sql("CREATE DATABASE " + schema_);
    sql("USE " + schema_);
  }
  void TearDown() override {
    if (db_ == nullptr) return;
    sql("DROP DATABASE IF EXISTS " + schema_);
    close(db_);
  }

  // With the store's session settings and, once it was made, this test's schema.
  [[nodiscard]] std::shared_ptr<session_options> here() const {
    auto out = unix_options();
    out->schema = schema_;
    out->setup = session_setup(5);
    return out;
  }
  [[nodiscard]] std::unique_ptr<sql_connection> open_connection(std::shared_ptr<session_options> options) {
    if (options->setup.empty()) options->setup = session_setup(5);
    std::unique_ptr<sql_connection> out;
    run([&]() -> task<void> {
      request_context context(on_);
      net::result<std::unique_ptr<sql_connection>> made = co_await native_connection::open(context, options);
      EXPECT_TRUE(made.has_value()) << made.error().text();
      if (made) out = std::move(*made);
    });
    if (out == nullptr) throw std::runtime_error("no connection");
    return out;
  }
  // Sessions belong to their core.
  void close(std::unique_ptr<sql_connection>& which) {
    net::testing::run_on(on_, [&] { which.reset(); });
  }

  // Runs a task of the code under test and gives its result.
  template <class T>
  net::result<T> get(std::function<task<net::result<T>>(request_context&)> make) {
    std::optional<net::result<T>> out;
    run([&]() -> task<void> {
      request_context context(on_);
      auto made = make(context);
      out.emplace(co_await std::move(made));
    });
    return std::move(*out);
  }

  // Rows as "a|b|NULL".
  lines sql(const std::string& text, sql_connection* with = nullptr) {
    lines out;
    net::result<text_rows> got = get<text_rows>(
        [&](request_context& context) { return query(context, with == nullptr ? *db_ : *with, text); });
    EXPECT_TRUE(got.has_value()) << text << "\n" << (got ? "" : got.error().text());
    if (!got) return out;
    for (const text_row& row : *got) {
      std::string line;
      for (std::size_t i = 0; i < row.size(); ++i)
        line += (i == 0 ? "" : "|") + (row.null(i) ? std::string("NULL") : row.text(i));
      out.push_back(std::move(line));
    }
    return out;
  }
  std::string one_field(const std::string& text) {
    const lines got = sql(text);
    return got.size() == 1 ? got.front() : "not one row";
  }

  // Ids of the connections to this test's schema but ours. Not from information_schema.PROCESSLIST: to read
  // it beside sessions that end crashes MySQL 9.7.4 (a null pointer), and with it the tests of all.
  lines other_connections() {
    return sql(
        "SELECT processlist_id FROM performance_schema.threads WHERE processlist_db=DATABASE() AND "
        "processlist_id<>CONNECTION_ID()");
  }

  migrate_report migrated(catalog& all, bool dry_run = false) {
    net::result<migrate_report> report = get<migrate_report>(
        [&](request_context& context) { return migrate(context, *db_, all, dry_run, {}); });
    if (!report) throw std::runtime_error(report.error().text());  // nothing else would make sense
    return std::move(*report);
  }
  net::error refused(catalog& all) {
    net::result<void> fitted =
        get<void>([&](request_context& context) { return fit_to_schema(context, *db_, all); });
    EXPECT_FALSE(fitted.has_value());
    return fitted ? net::error() : fitted.error();
  }
  lines missing(const catalog& all) {
    net::result<lines> out =
        get<lines>([&](request_context& context) { return missing_objects(context, *db_, all); });
    EXPECT_TRUE(out.has_value()) << out.error().text();
    return out ? *out : lines{};
  }

  // What triggers have noted since the last call: "users [user:1] 1" and " gone" where they say so.
  lines noted() {
    lines out =
        sql("SELECT CONCAT(r.name,' [',p.scope,'] ',p.`key`,IF(p.gone,' gone','')) FROM syncline_pending AS "
            "p JOIN "
            "syncline_resource AS r ON r.id=p.resource ORDER BY p.id");
    sql("DELETE FROM syncline_pending");
    return out;
  }
  lines noted_by(const std::string& statement) {
    noted();
    sql(statement);
    return noted();
  }
  lines feed() {
    return sql(
        "SELECT CONCAT(r.name,' [',f.scope,'] ',f.`key`,IF(f.gone_at IS NULL,'',' gone')) FROM syncline_feed "
        "AS f "
        "JOIN syncline_resource AS r ON r.id=f.resource ORDER BY f.seq");
  }

  std::string schema_;
  std::unique_ptr<sql_connection> db_;
};

}  // namespace syncline::storage::mysql::testing
