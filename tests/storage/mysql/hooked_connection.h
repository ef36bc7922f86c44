// A connection that asks a hook before each statement: it may do something first, put another text in its
// place, or answer by an error.
// Thread: the connection's core. The connection it passes on to outlives it.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "storage/mysql/sql_connection.h"

namespace syncline::storage::mysql::testing {

class hooked_connection final : public sql_connection {
 public:
  using hook = std::function<std::optional<net::error>(std::string& text)>;
  hooked_connection(sql_connection& to, hook before) : to_(to), before_(std::move(before)) {}
  net::task<net::result<result_rows>> sql(net::request_context& context, std::string_view text) override {
    std::string asked(text);
    if (auto why = before_(asked)) return refused<result_rows>(std::move(*why));
    return to_.sql(context, asked);
  }
  net::task<net::result<result_rows>> execute(net::request_context& context, std::string_view text,
                                              std::span<const argument> with) override {
    std::string asked(text);
    if (auto why = before_(asked)) return refused<result_rows>(std::move(*why));
    return to_.execute(context, asked, with);
  }
  net::task<net::result<statement_notes>> read(net::request_context& context, std::string_view text,
                                               std::span<const argument> with, row_sink& into) override {
    std::string asked(text);
    if (auto why = before_(asked)) return refused<statement_notes>(std::move(*why));
    return to_.read(context, asked, with, into);
  }
  net::task<net::result<void>> reset(net::request_context& context) override { return to_.reset(context); }
  void close() override { to_.close(); }
  [[nodiscard]] bool broken() const noexcept override { return to_.broken(); }

 private:
  template <class T>
  static net::task<net::result<T>> refused(net::error why) {
    co_return why;
  }
  sql_connection& to_;
  hook before_;
};

}  // namespace syncline::storage::mysql::testing
