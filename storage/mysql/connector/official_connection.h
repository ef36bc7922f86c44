// A connection on Oracle's Connector/C++ (X DevAPI): one session on a blocking thread of its own.
//
// Use it to compare, or where a company allows no other client; our own session is faster and bounded in more
// ways (docs/mysql.md). Statements queue in the order of the calls and run one after the other: there is no
// pipelining. Arguments are written into the statement's text, since the connector prepares no SQL.
//
// Thread: the core of its pool; the connector is called on the connection's own thread alone. Bound: two
// batches of rows of 64 KiB between the thread and the core; rows_bytes_max of a collected result; one row is
// as large as the server sends it. Failure: see sql_connection.h. A statement that is given up (deadline,
// cancellation) makes the connection broken at once, but its thread lives on until the server answers or the
// kernel gives the connection up: the connector cannot be interrupted.
#pragma once

#include <memory>

#include "storage/mysql/session_options.h"
#include "storage/mysql/sql_connection.h"

namespace syncline::storage::mysql {

class session_thread;

class official_connection final : public sql_connection {
 public:
  [[nodiscard]] static net::task<net::result<std::unique_ptr<sql_connection>>> open(
      net::request_context& context, std::shared_ptr<const session_options> options);
  official_connection(std::shared_ptr<session_thread> thread,
                      std::shared_ptr<const session_options> options) noexcept
      : thread_(std::move(thread)), options_(std::move(options)) {}
  ~official_connection() override;

  net::task<net::result<result_rows>> sql(net::request_context& context, std::string_view text) override;
  net::task<net::result<result_rows>> execute(net::request_context& context, std::string_view text,
                                              std::span<const argument> with) override;
  net::task<net::result<statement_notes>> read(net::request_context& context, std::string_view text,
                                               std::span<const argument> with, row_sink& into) override;
  // A new session in the place of this one: the X DevAPI has no word for it.
  net::task<net::result<void>> reset(net::request_context& context) override;
  void close() override;
  [[nodiscard]] bool broken() const noexcept override;

 private:
  std::shared_ptr<session_thread> thread_;
  std::shared_ptr<const session_options> options_;
};

}  // namespace syncline::storage::mysql
