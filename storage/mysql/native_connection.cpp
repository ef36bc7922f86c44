#include "storage/mysql/native_connection.h"

#include <optional>

namespace syncline::storage::mysql {

namespace {

net::task<net::result<statement_notes>> read_into(net::request_context& context, net::result<answer> started,
                                                  row_sink& into) {
  if (!started) co_return started.error();
  answer rows = std::move(*started);
  bool wanted = true;
  std::optional<net::error> refused;
  for (;;) {
    switch (rows.try_next()) {
      case step::row: {
        if (!wanted) break;
        net::result<bool> more = into.row(rows.columns(), rows.row());
        if (!more) refused = more.error();
        wanted = more.has_value() && *more;
        break;
      }
      case step::end_of_rows:
        break;
      case step::done:
        if (refused) co_return std::move(*refused);
        co_return std::move(rows.notes());
      case step::wait: {
        net::result<void> came = co_await rows.wait(context);
        if (!came) co_return came.error();
        break;
      }
      case step::failed:
        co_return rows.failure();
    }
  }
}

}  // namespace

net::task<net::result<std::unique_ptr<sql_connection>>> native_connection::open(
    net::request_context& context, std::shared_ptr<const session_options> options) {
  auto opening = session::open(context, std::move(options));
  net::result<std::unique_ptr<session>> made = co_await std::move(opening);
  if (!made) co_return made.error();
  co_return std::unique_ptr<sql_connection>(std::make_unique<native_connection>(std::move(*made)));
}

net::task<net::result<result_rows>> native_connection::sql(net::request_context& context,
                                                           std::string_view text) {
  return session_->sql(context, text);
}

net::task<net::result<result_rows>> native_connection::execute(net::request_context& context,
                                                               std::string_view text,
                                                               std::span<const argument> with) {
  return session_->execute(context, text, with);
}

net::task<net::result<statement_notes>> native_connection::read(net::request_context& context,
                                                                std::string_view text,
                                                                std::span<const argument> with,
                                                                row_sink& into) {
  return read_into(context, session_->start_prepared(text, with), into);
}

net::task<net::result<void>> native_connection::reset(net::request_context& context) {
  return session_->reset(context);
}

}  // namespace syncline::storage::mysql
