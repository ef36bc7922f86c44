// What the tests share in which connections, the server or the schema fail under an open store.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/storage/mysql/faulty_proxy.h"
#include "tests/storage/mysql/mysql_store_fixture.h"

namespace syncline::storage::mysql::testing {

class mysql_faults_test : public mysql_store_test {
 protected:
  void SetUp() override {
    mysql_store_test::SetUp();
    if (IsSkipped()) return;
    options_.pool.name = schema_;
    options_.pool.backoff_max_ms = 200;
    direct_ = options_;
    proxy_ = std::make_unique<faulty_proxy>(host_, port_);
  }
  void TearDown() override {
    if (proxy_) proxy_->restore();
    if (store_) store_->stop();
  }
  // Everything of the store goes through the proxy.
  void open_through_proxy() {
    options_.primary.socket_path.clear();
    options_.primary.host = "127.0.0.1";
    options_.primary.port = proxy_->port();
    open_store();
  }
  // Connections of the pool in a state, of all cores.
  double connections(const std::string& state) {
    return metric("syncline_pool_connections{pool=\"" + schema_ + "\",state=\"" + state + "\"} ");
  }
  // Those of the store, the sequencer's among them.
  void kill_sessions() {
    // Why not from PROCESSLIST: schema_fixture.h, other_connections().
    const std::string ids =
        value("SELECT GROUP_CONCAT(processlist_id) FROM performance_schema.threads WHERE processlist_db='" +
              schema_ + "' AND processlist_id<>CONNECTION_ID()");
    EXPECT_NE(ids, "");
    for (std::size_t at = 0; at < ids.size();) {
      const std::size_t comma = std::min(ids.find(',', at), ids.size());
      try_admin("KILL " + ids.substr(at, comma - at));
      at = comma + 1;
    }
  }
  [[nodiscard]] bool nothing_is_leaked() {
    return eventually([&] { return connections("busy") == 0 && connections("connecting") == 0; });
  }
  // Nothing has kept a place in the pool either.
  void expect_every_connection_to_be_had() {
    std::vector<std::uint64_t> held;
    for (std::size_t i = 0; i < options_.pool.connections_max; ++i) {
      const auto made = ask<std::uint64_t>(
          [this](request_context& context) { return store_->begin_transaction(context); }, {}, i % 2);
      ASSERT_TRUE(made.has_value()) << "after " << i << ": " << made.error().text();
      held.push_back(*made);
    }
    for (std::size_t i = 0; i < held.size(); ++i)
      static_cast<void>(ask<std::int64_t>(
          [this, id = held[i]](request_context& context) {
            return store_->end_transaction(context, id, false);
          },
          {}, i % 2));
  }
  // A session may be gone before it is killed.
  void try_admin(const std::string& text) {
    mysql_options how;
    how.primary = *unix_options();
    const mysql_work work = [&](request_context& context, sql_connection& db) -> task<net::result<void>> {
      auto asking = db.sql(context, text);
      static_cast<void>(co_await std::move(asking));
      co_return net::result<void>();
    };
    EXPECT_TRUE(run_on_mysql(how, work).has_value());
  }
  static prepare_context within_ms(int ms) {
    return [ms](net::request_context& context) { context.set_deadline(in_ms(ms)); };
  }
  net::result<rows> get_within(int ms, const std::string& key, std::size_t core = 0) {
    return ask<rows>(
        [this, key](request_context& context) {
          return store_->get(context, users(), projection::all(users()), {key});
        },
        within_ms(ms), core);
  }
  write_batch user(std::int64_t id, std::string_view name) {
    batch_builder b(users(), write_kind::upsert);
    b.row({{"id", I(id)}, {"name", T(name)}});
    return std::move(b.batch);
  }

  std::unique_ptr<faulty_proxy> proxy_;
  mysql_options direct_;
};

}  // namespace syncline::storage::mysql::testing
