#include "storage/mysql/open_connection.h"

#if defined(SYNCLINE_MYSQL_CONNECTOR)
#include "storage/mysql/connector/official_connection.h"
#include "storage/mysql/connector/session_thread.h"
#else
#include "storage/mysql/native_connection.h"
#endif

namespace syncline::storage::mysql {

net::task<net::result<std::unique_ptr<sql_connection>>> open_connection(
    net::request_context& context, std::shared_ptr<const session_options> options) {
#if defined(SYNCLINE_MYSQL_CONNECTOR)
  return official_connection::open(context, std::move(options));
#else
  return native_connection::open(context, std::move(options));
#endif
}

void wait_for_closed_connections() {
#if defined(SYNCLINE_MYSQL_CONNECTOR)
  session_thread::wait_for_closed(std::chrono::seconds(2));
#endif
}

net::task<net::result<std::unique_ptr<net::pooled>>> sql_connector::connect(net::request_context& context) {
  auto opening = open_connection(context, options_);
  net::result<std::unique_ptr<sql_connection>> made = co_await std::move(opening);
  if (!made) co_return made.error();
  co_return std::unique_ptr<net::pooled>(std::move(*made));
}

net::task<net::result<void>> sql_connector::reset(net::request_context& context, net::pooled& connection) {
  return static_cast<sql_connection&>(connection).reset(context);
}

net::task<net::result<void>> sql_connector::validate(net::request_context& context, net::pooled& connection) {
  auto asking = static_cast<sql_connection&>(connection).sql(context, "DO 0");
  net::result<result_rows> answered = co_await std::move(asking);
  if (!answered) co_return answered.error();
  co_return net::result<void>();
}

net::task<void> sql_connector::close(net::request_context&, net::pooled& connection) {
  static_cast<sql_connection&>(connection).close();
  co_return;
}

}  // namespace syncline::storage::mysql
