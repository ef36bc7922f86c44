// A session with a MySQL server over the X Protocol: one connection, one core.
//
// start_sql() and start_prepared() send and never wait (what one turn of the core starts shares a packet);
// their answers are read in order, so several statements may be under way (independent ones: an error of one
// leaves the others alone). sql() and execute() are a statement and its whole answer. Not for one huge
// statement with a `?` for each value in sql(): the server's time is quadratic in them; prepare it, or write
// the values into the text.
//
// Thread: the core it was opened on. Bound: session_options::limits; statements under way, bytes waiting to
// be sent, rows of a collected result. Failure: net::error; usable() says whether the session may go on. It
// is destroyed by a broken connection, by nonsense from the server, and by an answer that nobody reads and
// that does not end soon; never left in between.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "storage/mysql/answer.h"
#include "storage/mysql/argument.h"
#include "storage/mysql/session_options.h"

namespace syncline::storage::mysql {

class session {
 public:
  // errc::down, timed_out, cancelled; unsupported and invalid for settings that cannot work.
  [[nodiscard]] static net::task<net::result<std::unique_ptr<session>>> open(
      net::request_context& context, std::shared_ptr<const session_options> options);
  ~session();
  session(const session&) = delete;
  session& operator=(const session&) = delete;

  // Columns have names.
  [[nodiscard]] net::result<answer> start_sql(std::string_view text, std::span<const argument> with = {});
  // Prepared once for each text, on its first use and in the same packet; columns have no names.
  [[nodiscard]] net::result<answer> start_prepared(std::string_view text,
                                                   std::span<const argument> with = {});
  // The statement is sent by the call, not by the co_await.
  [[nodiscard]] net::task<net::result<result_rows>> sql(net::request_context& context, std::string_view text,
                                                        std::span<const argument> with = {});
  [[nodiscard]] net::task<net::result<result_rows>> execute(net::request_context& context,
                                                            std::string_view text,
                                                            std::span<const argument> with = {});

  // As new: transaction rolled back, variables, locks and temporary tables gone; then the setup again.
  [[nodiscard]] net::task<net::result<void>> reset(net::request_context& context);
  // Until no answer is owed. After a cancelled statement: whether the session survived it.
  [[nodiscard]] net::task<net::result<void>> settle(net::request_context& context);
  void close();  // says goodbye and is gone; answers under way fail

  [[nodiscard]] bool usable() const noexcept;
  [[nodiscard]] bool idle() const noexcept;  // no answer is owed
  [[nodiscard]] std::size_t answers_owed() const noexcept;
  // The X Plugin's number for us, as in mysqlx's own log lines; KILL wants SELECT CONNECTION_ID().
  [[nodiscard]] std::uint64_t client_id() const noexcept;
  [[nodiscard]] std::size_t prepared() const noexcept;
  [[nodiscard]] bool encrypted() const noexcept;
  [[nodiscard]] bool compressed() const noexcept;            // agreed on with the server
  [[nodiscard]] const net::error* failure() const noexcept;  // why it is not usable; null: it is

 private:
  struct state;
  explicit session(std::unique_ptr<state> made) noexcept;
  std::unique_ptr<state> state_;
};

}  // namespace syncline::storage::mysql
