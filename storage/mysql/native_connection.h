// A connection on our own session, and the connector that opens such connections for a pool.
//
// Thread: the core of its pool. Bound: as the session. Failure: see sql_connection.h. An answer that nobody
// waits for any more does not make it broken(): the session drops it, or itself, and others who share the
// connection go on. Who leaves a transaction open marks the lease broken.
#pragma once

#include <memory>

#include "net/core/pool_connector.h"
#include "storage/mysql/session.h"
#include "storage/mysql/sql_connection.h"

namespace syncline::storage::mysql {

class native_connection final : public sql_connection {
 public:
  [[nodiscard]] static net::task<net::result<std::unique_ptr<sql_connection>>> open(
      net::request_context& context, std::shared_ptr<const session_options> options);
  explicit native_connection(std::unique_ptr<session> made) noexcept : session_(std::move(made)) {}

  net::task<net::result<result_rows>> sql(net::request_context& context, std::string_view text) override;
  net::task<net::result<result_rows>> execute(net::request_context& context, std::string_view text,
                                              std::span<const argument> with) override;
  net::task<net::result<statement_notes>> read(net::request_context& context, std::string_view text,
                                               std::span<const argument> with, row_sink& into) override;
  net::task<net::result<void>> reset(net::request_context& context) override;
  [[nodiscard]] bool broken() const noexcept override { return !session_->usable(); }
  [[nodiscard]] session& client() noexcept { return *session_; }

 private:
  std::unique_ptr<session> session_;
};

class native_connector final : public net::pool_connector {
 public:
  explicit native_connector(std::shared_ptr<const session_options> options) : options_(std::move(options)) {}
  net::task<net::result<std::unique_ptr<net::pooled>>> connect(net::request_context& context) override;
  net::task<net::result<void>> reset(net::request_context& context, net::pooled& connection) override;
  net::task<net::result<void>> validate(net::request_context& context, net::pooled& connection) override;
  net::task<void> close(net::request_context& context, net::pooled& connection) override;

 private:
  std::shared_ptr<const session_options> options_;
};

}  // namespace syncline::storage::mysql
