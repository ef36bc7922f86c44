#include "storage/mysql/open_connection.h"

#if defined(SYNCLINE_MYSQL_CONNECTOR)
#include "storage/mysql/connector/official_connection.h"
#include "storage/mysql/connector/session_thread.h"
#else
#include "storage/mysql/native_connection.h"
#endif

namespace syncline::storage::mysql {

namespace {

// A connection of a pool whose connections can all be expired at once.
class expiring_connection final : public sql_connection {
 public:
  expiring_connection(std::unique_ptr<sql_connection> made, const std::atomic<std::uint64_t>& age,
                      std::uint64_t born) noexcept
      : made_(std::move(made)), age_(age), born_(born) {}

  net::task<net::result<result_rows>> sql(net::request_context& context, std::string_view text) override {
    return made_->sql(context, text);
  }
  net::task<net::result<result_rows>> execute(net::request_context& context, std::string_view text,
                                              std::span<const argument> with) override {
    return made_->execute(context, text, with);
  }
  net::task<net::result<statement_notes>> read(net::request_context& context, std::string_view text,
                                               std::span<const argument> with, row_sink& into) override {
    return made_->read(context, text, with, into);
  }
  net::task<net::result<void>> reset(net::request_context& context) override { return made_->reset(context); }
  void close() override { made_->close(); }
  [[nodiscard]] bool broken() const noexcept override {
    return made_->broken() || age_.load(std::memory_order_acquire) != born_;
  }
  [[nodiscard]] bool needs_reset() const noexcept override { return made_->needs_reset(); }

 private:
  std::unique_ptr<sql_connection> made_;
  const std::atomic<std::uint64_t>& age_;
  const std::uint64_t born_;
};

}  // namespace

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
  // Before: one that is under way may have met the server of before.
  const std::uint64_t born = age_.load(std::memory_order_acquire);
  auto opening = open_connection(context, options_);
  net::result<std::unique_ptr<sql_connection>> made = co_await std::move(opening);
  if (!made) co_return made.error();
  co_return std::unique_ptr<net::pooled>(std::make_unique<expiring_connection>(std::move(*made), age_, born));
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
