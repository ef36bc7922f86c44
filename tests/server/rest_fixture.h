// A router over a real SQLite store in a temporary file, asked through an exchange that keeps what was
// answered.
#pragma once

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "cache/l1.h"
#include "net/core/core.h"
#include "net/core/event.h"
#include "net/core/task.h"
#include "server/config.h"
#include "server/feed_hub.h"
#include "server/router.h"
#include "storage/sqlite/connection.h"
#include "storage/sqlite/schema.h"
#include "storage/sqlite/sqlite_store.h"

namespace syncline::server::testing {

using header_list = std::vector<std::pair<std::string, std::string>>;

struct answer {
  int status = 0;
  std::string content_type;
  std::string headers;
  std::string body;
  bool was_task = true;  // false: answered by try_answer

  // Value of a header line; empty when absent.
  [[nodiscard]] std::string header(std::string_view name) const {
    std::string_view left = headers;
    while (!left.empty()) {
      const std::string_view line = left.substr(0, left.find("\r\n"));
      left.remove_prefix(std::min(left.size(), line.size() + 2));
      const std::size_t colon = line.find(": ");
      if (colon != std::string_view::npos && net::http::iequals(line.substr(0, colon), name)) {
        return std::string(line.substr(colon + 2));
      }
    }
    return {};
  }
};

class recording_exchange final : public net::http::exchange {
 public:
  recording_exchange(net::core& on, std::string method, std::string target, header_list headers,
                     std::string body)
      : context_(on),
        method_(std::move(method)),
        target_(std::move(target)),
        given_(std::move(headers)),
        body_(std::move(body)) {
    using net::http::method;
    for (const method m : {method::get, method::head, method::post, method::put, method::patch, method::del,
                           method::options}) {
      if (net::http::to_string(m) == method_) head_.verb = m;
    }
    head_.method_text = method_;
    head_.target = target_;
    const std::size_t mark = target_.find('?');
    head_.path = std::string_view(target_).substr(0, mark);
    if (mark != std::string::npos) head_.query = std::string_view(target_).substr(mark + 1);
    for (const auto& [name, value] : given_) fields_.push_back({name, value});
    head_.headers = fields_;
    head_.content_length = body_.size();
  }

  const net::http::request_head& head() const noexcept override { return head_; }
  net::request_context& context() noexcept override { return context_; }
  std::string_view peer_address() const noexcept override { return "127.0.0.1"; }
  std::optional<net::result<std::string_view>> try_read_body() override {
    const bool first = !std::exchange(body_read_, true);
    return first ? std::string_view(body_) : std::string_view();
  }
  net::task<bool> body_arrives(net::steady_time) override { co_return true; }
  net::task<net::result<std::string_view>> read_body() override { co_return *try_read_body(); }
  net::task<net::result<std::string>> read_whole_body(std::size_t bytes_max) override {
    if (body_.size() > bytes_max) co_return net::error(net::errc::too_large, "the body is over its limit");
    co_return body_;
  }
  void set_body_limit(std::uint64_t bytes_max) noexcept override { body_limit_ = bytes_max; }
  void answer(const net::http::response_head& head, std::string_view body) override {
    EXPECT_FALSE(answered_) << "answered twice";
    answered_ = true;
    got.status = head.status;
    got.content_type = head.content_type;
    got.headers = head.headers;
    got.body = body;
  }
  void answer(const net::http::response_head& head, net::http::shared_bytes body) override {
    answer(head, std::string_view(*body));
  }
  void begin(const net::http::response_head& head) override { answer(head, std::string_view()); }
  net::task<net::result<void>> write(std::string_view piece) override {
    got.body.append(piece);
    co_return net::result<void>();
  }
  net::task<net::result<void>> flush() override { co_return net::result<void>(); }
  void end() override {}
  net::result<void> upgrade(std::string_view, std::unique_ptr<net::hosted_socket>) override {
    return net::error(net::errc::invalid, "there is no socket here");
  }
  void set_route(std::string_view route) noexcept override { route_ = route; }
  bool answered() const noexcept override { return answered_; }
  bool draining() const noexcept override { return false; }

  testing::answer got;

 private:
  net::request_context context_;
  std::string method_;
  std::string target_;
  header_list given_;
  std::string body_;
  std::vector<net::http::header_field> fields_;
  net::http::request_head head_;
  std::string_view route_;
  std::uint64_t body_limit_ = 0;
  bool body_read_ = false;
  bool answered_ = false;
};

// The real store, with its calls counted, writes held back or failed on demand. Counters are read when
// nothing is in flight.
class watched_store final : public storage::store {
 public:
  explicit watched_store(storage::store& real) : real_(&real) {}

  std::atomic<int> gets{0}, lists{0}, rows_bys{0}, writes{0};
  std::atomic<bool> hold_writes{false};
  net::event* gate = nullptr;                // on the core of the requests
  std::optional<net::error> next_get_fails;  // set while nothing is in flight
  std::atomic<bool> cut_rows_by{false};      // rows_by answers as if its limit of bytes had come first
  std::atomic<int> failing_write{0};         // which one finds the disk full, counted from 1
  bool drop_markers = false;                 // as if the process ended before the second small write

  net::task<net::result<storage::rows>> get(net::request_context& context, const storage::resource& of,
                                            storage::projection what,
                                            std::vector<std::string> keys) override {
    ++gets;
    if (next_get_fails) co_return *std::exchange(next_get_fails, std::nullopt);
    co_return co_await real_->get(context, of, std::move(what), std::move(keys));
  }
  net::task<net::result<storage::rows>> list(net::request_context& context,
                                             storage::list_query query) override {
    ++lists;
    return real_->list(context, std::move(query));
  }
  net::task<net::result<storage::rows>> rows_by(net::request_context& context, const storage::resource& of,
                                                std::vector<std::size_t> by, std::vector<std::string> keys,
                                                std::uint32_t rows_max) override {
    ++rows_bys;
    auto read = co_await real_->rows_by(context, of, std::move(by), std::move(keys), rows_max);
    if (read && cut_rows_by) {
      read->slices.clear();
      read->truncated.assign(read->truncated.size(), true);
    }
    co_return read;
  }
  net::task<net::result<storage::feed_page>> read_page(net::request_context& context,
                                                       std::shared_ptr<const storage::stream> what,
                                                       std::optional<storage::cursor> from,
                                                       storage::page_limits limits) override {
    return real_->read_page(context, std::move(what), std::move(from), limits);
  }
  net::task<net::result<storage::write_outcome>> write(net::request_context& context,
                                                       storage::write_batch batch) override {
    if (++writes == failing_write) co_return net::error(net::errc::disk_full, "no room");
    if (drop_markers && batch.row_count == 0 && batch.kind == storage::write_kind::upsert) {
      co_return net::error(net::errc::down, "dropped by the test");
    }
    if (hold_writes) (void)co_await gate->wait(context);
    co_return co_await real_->write(context, std::move(batch));
  }
  net::task<net::result<std::uint64_t>> begin_transaction(net::request_context& context) override {
    return real_->begin_transaction(context);
  }
  net::task<net::result<std::int64_t>> end_transaction(net::request_context& context,
                                                       std::uint64_t transaction, bool commit) override {
    return real_->end_transaction(context, transaction, commit);
  }
  net::task<net::result<std::optional<storage::idempotency>>> recall(net::request_context& context,
                                                                     std::string key) override {
    return real_->recall(context, std::move(key));
  }
  std::shared_ptr<const storage::stream> make_stream(std::vector<storage::stream_part> parts) const override {
    return real_->make_stream(std::move(parts));
  }
  std::int64_t watermark() const noexcept override { return real_->watermark(); }
  bool keeps_write_order() const noexcept override { return real_->keeps_write_order(); }
  storage::store_figures read_figures() const override { return real_->read_figures(); }
  void set_listener(storage::feed_listener* listener) override { real_->set_listener(listener); }
  void stop() override { real_->stop(); }

 private:
  storage::store* real_;
};

inline storage::column column_of(std::string name, storage::column_type type, std::string short_name = {}) {
  storage::column out;
  out.name = std::move(name);
  out.type = type;
  out.short_name = std::move(short_name);
  return out;
}

// users (server-assigned keys, search), user_states (one per user), follows and blocks (two key columns),
// notes (text key), logs (create only), settings (update only), limits_only (no writes), adults (a view).
inline void declare_resources(storage::catalog& all) {
  using storage::column_type;
  const auto add = [&all](std::string name, std::vector<storage::column> columns,
                          std::vector<std::size_t> key) -> storage::resource& {
    storage::resource r;
    r.name = name;
    r.table = name;
    r.columns = std::move(columns);
    r.key = std::move(key);
    r.write = {true, true, true, true};
    return all.add(std::move(r));
  };
  auto& users = add("users",
                    {column_of("id", column_type::int64, "i"), column_of("name", column_type::string, "n"),
                     column_of("age", column_type::int64), column_of("state", column_type::json)},
                    {0});
  users.scopes = {{"user", 0}};
  users.search = {1};
  auto& states = add("user_states",
                     {column_of("user_id", column_type::int64), column_of("mood", column_type::string)}, {0});
  auto& follows =
      add("follows", {column_of("user_id", column_type::int64), column_of("target_id", column_type::int64)},
          {0, 1});
  follows.scopes = {{"user", 0}};
  auto& blocks =
      add("blocks", {column_of("user_id", column_type::int64), column_of("target_id", column_type::int64)},
          {0, 1});
  add("notes", {column_of("title", column_type::string), column_of("text", column_type::string)}, {0});
  add("logs", {column_of("id", column_type::int64), column_of("line", column_type::string)}, {0}).write = {
      true, false, false, false};
  add("settings", {column_of("id", column_type::int64), column_of("value", column_type::string)}, {0})
      .write = {false, true, false, false};
  auto& adults =
      add("adults", {column_of("id", column_type::int64), column_of("name", column_type::string)}, {0});
  adults.view = true;
  adults.synced = false;
  adults.write = {};

  storage::merge profile;
  profile.name = "profile";
  profile.root = &users;
  profile.parts = {{"user", &users, {0}, true, 1000},
                   {"state", &states, {0}, true, 1000},
                   {"follows", &follows, {0}, false, 3},
                   {"blocks", &blocks, {0}, false, 1000}};
  all.add(profile);
  storage::merge circle;  // has no part for the root itself
  circle.name = "circle";
  circle.root = &users;
  circle.parts = {{"follows", &follows, {0}, false, 1000}};
  all.add(circle);
}

inline constexpr std::string_view kTables = R"(
  CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, age INTEGER, state TEXT);
  CREATE TABLE user_states(user_id INTEGER PRIMARY KEY, mood TEXT);
  CREATE TABLE follows(user_id INTEGER NOT NULL, target_id INTEGER NOT NULL, PRIMARY KEY(user_id, target_id));
  CREATE TABLE blocks(user_id INTEGER NOT NULL, target_id INTEGER NOT NULL, PRIMARY KEY(user_id, target_id));
  CREATE TABLE notes(title TEXT NOT NULL PRIMARY KEY, text TEXT);
  CREATE TABLE logs(id INTEGER PRIMARY KEY, line TEXT);
  CREATE TABLE settings(id INTEGER PRIMARY KEY, value TEXT);
  CREATE VIEW adults AS SELECT id, name FROM users WHERE age >= 18;
  INSERT INTO users VALUES(1,'Ada',36,'{"a":1}'),(2,'Grace',85,NULL),(3,'Alan',41,NULL),(4,'Kid',9,NULL);
  INSERT INTO user_states VALUES(1,'curious');
  INSERT INTO follows VALUES(1,2),(1,3),(1,4),(1,5),(2,1);
  INSERT INTO blocks VALUES(2,4);
  INSERT INTO notes VALUES('plain','x'),('with,comma','y'),('50%','z');
  INSERT INTO settings VALUES(1,'old');
)";

class RestTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "syncline-rest-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    settings_.sqlite.path = directory_ + "/test.db";
    settings_.sqlite.synchronous = "OFF";
    settings_.sqlite.migrate_on_start = true;
    settings_.rest.page_limit_max = 50;
    settings_.rest.ids_max = 10;
    settings_.rest.write_body_bytes_max = 4096;
    {
      storage::sqlite::connection_options file;
      file.path = settings_.sqlite.path;
      file.create = true;
      auto db = storage::sqlite::connection::open(file);
      ASSERT_TRUE(db) << db.error().text();
      auto made = db->exec(kTables);
      ASSERT_TRUE(made) << made.error().text();
    }
    declare_resources(settings_.resources);
    auto opened = storage::sqlite::open_sqlite_store(settings_.sqlite, settings_.resources);
    ASSERT_TRUE(opened) << opened.error().text();
    store_ = std::move(*opened);
    watched_ = std::make_unique<watched_store>(*store_);
    store_->set_listener(&hub_);
    shared_.settings = &settings_;
    shared_.resources = &settings_.resources;
    shared_.store = watched_.get();
    shared_.l1 = &l1_;
    shared_.hub = &hub_;
    router_ = std::make_unique<router>(shared_);
    cores_.start();
  }

  void TearDown() override {
    if (store_) store_->stop();
    cores_.stop();
    router_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }

  // Begins a request on the core; the future has its answer.
  std::future<answer> begin(std::string method, std::string target, header_list headers = {},
                            std::string body = {}) {
    auto done = std::make_shared<std::promise<answer>>();
    std::future<answer> out = done->get_future();
    auto x = std::make_shared<recording_exchange>(core(), std::move(method), std::move(target),
                                                  std::move(headers), std::move(body));
    core().post([this, x, done] {
      if (router_->try_answer(*x) == net::http::tried::answered) {
        x->got.was_task = false;
        done->set_value(x->got);
        return;
      }
      net::spawn(core(), finish(*router_, x, done));
    });
    return out;
  }
  answer ask(std::string method, std::string target, header_list headers = {}, std::string body = {}) {
    auto pending = begin(std::move(method), std::move(target), std::move(headers), std::move(body));
    if (pending.wait_for(std::chrono::seconds(30)) != std::future_status::ready) {
      ADD_FAILURE() << "no answer";
      return {};
    }
    return pending.get();
  }
  answer get(std::string target, header_list headers = {}) {
    return ask("GET", std::move(target), std::move(headers));
  }
  answer send(std::string method, std::string target, std::string body, header_list headers = {}) {
    headers.emplace_back("Content-Type", "application/json");
    return ask(std::move(method), std::move(target), std::move(headers), std::move(body));
  }
  net::core& core() { return cores_.at(0); }

  static net::task<void> finish(router& by, std::shared_ptr<recording_exchange> x,
                                std::shared_ptr<std::promise<answer>> done) {
    co_await by.answer(*x);
    done->set_value(x->got);
  }

  std::string directory_;
  config settings_;
  net::core_group cores_{{.cores = 1, .pin = false}};
  cache::l1 l1_{{}};
  feed_hub hub_{cores_, l1_};
  std::unique_ptr<storage::store> store_;
  std::unique_ptr<watched_store> watched_;
  services shared_;
  std::unique_ptr<router> router_;
};

}  // namespace syncline::server::testing
