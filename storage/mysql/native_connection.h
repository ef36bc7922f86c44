// A connection on our own session.
//
// Thread: the core of its pool. Bound: as the session. Failure: see sql_connection.h. An answer that nobody
// waits for any more does not make it broken(): the session drops it, or itself, and others who share the
// connection go on. Who leaves a transaction open marks the lease broken.
#pragma once

#include <memory>

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
  void close() override { session_->close(); }
  [[nodiscard]] bool broken() const noexcept override { return !session_->usable(); }

 private:
  std::unique_ptr<session> session_;
};

}  // namespace syncline::storage::mysql
