// Where the store's connections to MySQL come from: our own session, or Oracle's Connector/C++ in a build
// with SYNCLINE_MYSQL_CONNECTOR (docs/mysql.md).
//
// Thread, bound, failure: sql_connection.h. Lifetime: `options` are shared by all connections made with them.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "net/core/pool_connector.h"
#include "storage/mysql/session_options.h"
#include "storage/mysql/sql_connection.h"

namespace syncline::storage::mysql {

[[nodiscard]] net::task<net::result<std::unique_ptr<sql_connection>>> open_connection(
    net::request_context& context, std::shared_ptr<const session_options> options);

// For the end of the process or a store, after the last connection was closed: up to two seconds for the
// connector's threads; nothing with our own sessions, which have none.
void wait_for_closed_connections();

// `connect` and `expire` by any thread.
class sql_connector final : public net::pool_connector {
 public:
  explicit sql_connector(std::shared_ptr<const session_options> options) : options_(std::move(options)) {}
  net::task<net::result<std::unique_ptr<net::pooled>>> connect(net::request_context& context) override;
  net::task<net::result<void>> reset(net::request_context& context, net::pooled& connection) override;
  net::task<net::result<void>> validate(net::request_context& context, net::pooled& connection) override;
  net::task<void> close(net::request_context& context, net::pooled& connection) override;
  // What is open, or being opened, counts as broken from now on: nobody is given it, who has it may finish.
  void expire() noexcept { age_.fetch_add(1, std::memory_order_release); }

 private:
  std::atomic<std::uint64_t> age_{0};
  std::shared_ptr<const session_options> options_;
};

}  // namespace syncline::storage::mysql
