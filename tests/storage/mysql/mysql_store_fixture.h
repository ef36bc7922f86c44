// What the tests of the store on MySQL share: a schema of their own with tables, cores to call from, and
// calls that wait.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "perf/metrics.h"
#include "storage/mysql/blocking_run.h"
#include "storage/mysql/mysql_store.h"
#include "storage/row_json.h"
#include "tests/storage/mysql/mysql_fixture.h"
#include "tests/storage/store_calls.h"

namespace syncline::storage::mysql::testing {

using storage::testing::batch_builder;
using storage::testing::I;
using storage::testing::make_resource;
using storage::testing::N;
using storage::testing::recording_listener;
using storage::testing::T;

inline const std::vector<std::string>& store_tables() {
  static const std::vector<std::string> kTables{
      "CREATE TABLE users(id BIGINT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(200) NOT NULL, email "
      "VARCHAR(200) UNIQUE, team BIGINT, state JSON DEFAULT (JSON_OBJECT()), score DOUBLE DEFAULT 1.5, "
      "deleted_at DATETIME, KEY by_team(team), FULLTEXT KEY words(name,email), CONSTRAINT score_min CHECK "
      "(score >= 0))",
      "CREATE TABLE notes(owner VARCHAR(100) NOT NULL, n BIGINT NOT NULL, body MEDIUMTEXT, PRIMARY "
      "KEY(owner, "
      "n))",
      "CREATE TABLE tags(tag VARCHAR(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci PRIMARY KEY, uses "
      "BIGINT)",
      "CREATE TABLE links(id BIGINT PRIMARY KEY AUTO_INCREMENT, user_id BIGINT NOT NULL, KEY(user_id), "
      "CONSTRAINT of_user FOREIGN KEY(user_id) REFERENCES users(id))",
      "CREATE TABLE things(id BIGINT PRIMARY KEY, small TINYINT UNSIGNED, price DECIMAL(10,2), ratio FLOAT, "
      "made_at DATETIME(3), day DATE, raw VARBINARY(100), flag TINYINT(1), kind ENUM('red','blue'), code "
      "CHAR(8), doc JSON)"};
  return kTables;
}

class mysql_store_test : public mysql_test {
 protected:
  mysql_store_test() : cores_(net::core_group_options{2, false}) {
    resource users =
        make_resource("users", "id:int64 name email team:int64 state:json score:float64 deleted_at:timestamp",
                      {"id"}, {{"team", "team"}}, "deleted_at IS NULL");
    users.search = {1, 2};
    all_.add(std::move(users));
    all_.add(make_resource("notes", "owner n:int64 body", {"owner", "n"}, {{"owner", "owner"}}));
    all_.add(make_resource("tags", "tag uses:int64", {"tag"}));
    all_.add(make_resource("links", "id:int64 user_id:int64", {"id"}));
    all_.add(make_resource("things",
                           "id:int64 small:int64 price:decimal ratio:float64 made_at:timestamp day:date "
                           "raw:bytes flag:boolean kind code doc:json",
                           {"id"}));
  }
  ~mysql_store_test() override {
    if (store_) store_->stop();
    cores_.stop();
    store_.reset();
    if (!schema_.empty()) admin("DROP DATABASE IF EXISTS " + schema_);
  }
  void SetUp() override {
    mysql_test::SetUp();
    if (IsSkipped()) return;
    cores_.start();
    make_schema();
  }
  void make_schema() {
    schema_ = unique("syncline_store");
    options_.primary = server_options();
    admin("CREATE DATABASE " + schema_ + " CHARACTER SET utf8mb4");
    options_.primary.schema = schema_;
    options_.migrate_on_start = true;
    for (const std::string& each : store_tables()) sql(each);
  }
  // Where the schema is made.
  [[nodiscard]] virtual session_options server_options() const { return *unix_options(); }
  // A statement on a session of its own, outside the schema.
  void admin(const std::string& text) {
    mysql_options how;
    how.primary = server_options();
    run_statement(how, text);
  }
  void sql(const std::string& text) { run_statement(options_, text); }
  static void run_statement(const mysql_options& how, const std::string& text) {
    const mysql_work work = [&](request_context& context, sql_connection& db) -> task<net::result<void>> {
      auto asking = db.sql(context, text);
      const net::result<result_rows> done = co_await std::move(asking);
      if (!done) co_return done.error();
      co_return net::result<void>();
    };
    const auto done = run_on_mysql(how, work);
    EXPECT_TRUE(done.has_value()) << text << ": " << done.error().text();
  }
  // The only field of the only row, as text.
  std::string value(const std::string& text) {
    std::string out;
    const mysql_work work = [&](request_context& context, sql_connection& db) -> task<net::result<void>> {
      const std::string cast = "SELECT CAST((" + text + ") AS CHAR)";
      auto asking = db.sql(context, cast);
      const net::result<result_rows> got = co_await std::move(asking);
      if (!got) co_return got.error();
      text_arena arena;
      if (got->rows.size() == 1) out = decode_value(got->columns[0], got->rows[0][0], arena)->text;
      co_return net::result<void>();
    };
    const auto done = run_on_mysql(options_, work);
    EXPECT_TRUE(done.has_value()) << text << ": " << done.error().text();
    return out;
  }

  void open_store() {
    auto made = open_mysql_store(options_, all_, cores_);
    ASSERT_TRUE(made.has_value()) << made.error().text();
    store_ = std::move(*made);
    store_->set_listener(&listener_);
  }

  using prepare_context = std::function<void(net::request_context&)>;
  // Calls the store on a core and waits for the answer.
  template <class T>
  net::result<T> ask(std::function<task<net::result<T>>(net::request_context&)> call,
                     prepare_context prepare = {}, std::size_t core = 0) {
    auto out = std::make_shared<std::optional<net::result<T>>>();
    net::core& on = cores_.at(core);
    run_task(on, [out, &on, &call, &prepare]() -> task<void> {
      net::request_context context(on);
      context.set_deadline(in_ms(20'000));
      if (prepare) prepare(context);
      auto running = call(context);
      out->emplace(co_await std::move(running));
    });
    if (!out->has_value()) return net::error(net::errc::internal, "no answer");
    return std::move(**out);
  }
  net::result<write_outcome> write(write_batch batch, prepare_context prepare = {}, std::size_t core = 0) {
    auto shared = std::make_shared<write_batch>(std::move(batch));
    return ask<write_outcome>(
        [this, shared](net::request_context& context) { return store_->write(context, std::move(*shared)); },
        std::move(prepare), core);
  }
  net::result<write_outcome> write(batch_builder& built) { return write(std::move(built.batch)); }
  net::result<rows> get(const resource& of, std::vector<std::string> keys) {
    return ask<rows>([this, &of, keys](net::request_context& context) {
      return store_->get(context, of, projection::all(of), keys);
    });
  }
  net::result<rows> list(const list_query& query) {
    return ask<rows>([this, query](net::request_context& context) { return store_->list(context, query); });
  }
  net::result<feed_page> page(std::shared_ptr<const stream> what, std::optional<cursor> from,
                              page_limits limits = {}) {
    return ask<feed_page>([this, what, from, limits](net::request_context& context) {
      return store_->read_page(context, what, from, limits);
    });
  }
  // The JSON of one row, or "" when there is none.
  std::string row_of(const resource& of, const std::string& key) {
    auto made = get(of, {key});
    EXPECT_TRUE(made.has_value()) << made.error().text();
    if (!made || made->slices.empty() || !made->slices[0].found) return {};
    return std::string(made->json(made->slices[0]));
  }
  // -1: there is no such line.
  static double metric(const std::string& name) {
    const std::string text = perf::metrics::scrape();
    const std::size_t at = text.find("\n" + name);
    return at == std::string::npos ? -1 : std::stod(text.substr(at + 1 + name.size()));
  }
  // The fates of a write, one letter each: c u = s d x.
  static std::string fates(const net::result<write_outcome>& made) {
    if (!made) return "error " + made.error().text();
    std::string out;
    for (const row_result& r : made->rows) out += "cu=sdx"[static_cast<std::size_t>(r.what)];
    return out;
  }
  void create_users(std::int64_t from, std::int64_t to, std::int64_t team = 1) {
    batch_builder b(users(), write_kind::upsert);
    for (std::int64_t i = from; i <= to; ++i) {
      const std::string name = "user " + std::to_string(i);
      b.row({{"id", I(i)}, {"name", T(name)}, {"team", I(team)}});
    }
    auto made = write(b);
    ASSERT_TRUE(made.has_value()) << made.error().text();
  }
  // The keys of what a list or a merge found, with commas.
  static std::string keys_of(const net::result<rows>& made) {
    if (!made) return "error " + made.error().text();
    std::string out;
    for (const row_slice& s : made->slices) {
      if (!out.empty()) out += ' ';
      out += made->key(s);
      if (s.group != 0) out += "@" + std::to_string(s.group);
    }
    return out;
  }
  // Pages until the stream is up to date; "put users 1" and "remove users 1" in order.
  std::vector<std::string> follow(const std::shared_ptr<const stream>& what, std::optional<cursor>& at,
                                  page_limits limits = {}) {
    std::vector<std::string> out;
    for (int i = 0; i < 10000; ++i) {
      auto made = page(what, at, limits);
      EXPECT_TRUE(made.has_value()) << made.error().text();
      if (!made) return out;
      if (made->reset != reset_reason::none) {
        out.push_back("reset " + std::string(to_string(made->reset)));
        return out;
      }
      for (const change& c : made->changes)
        out.push_back((c.put ? "put " : "remove ") + c.of->name + " " + std::string(made->key(c)));
      at = cursor::parse(made->next.text()).value();  // a client keeps the text
      if (made->up_to_date) return out;
    }
    ADD_FAILURE() << "the stream never became up to date";
    return out;
  }

  [[nodiscard]] const resource& users() const { return all_.at(0); }
  [[nodiscard]] const resource& notes() const { return all_.at(1); }
  [[nodiscard]] const resource& tags() const { return all_.at(2); }
  [[nodiscard]] const resource& links() const { return all_.at(3); }
  [[nodiscard]] const resource& things() const { return all_.at(4); }

  std::string schema_;
  catalog all_;
  mysql_options options_;
  net::core_group cores_;
  recording_listener listener_;
  std::unique_ptr<store> store_;
};

}  // namespace syncline::storage::mysql::testing
