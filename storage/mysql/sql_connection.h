// What the store needs of one connection to MySQL, whoever made it: our own session, or the official
// connector on a thread of its own.
//
// A statement is sent (or queued on its thread) by the call, not by the co_await, and the server runs them in
// the order of the calls; so what one turn starts shares a flight. An error of one leaves the others alone: a
// COMMIT must not be started before the answers it depends on are known. Thread: the core of its pool.
// Bound: session_options::limits, rows_bytes_max of a collected result. Failure: net::error;
// server_code(error) is MySQL's number. broken() says whether the connection may be used again.
// Lifetime: `text` and `with` are copied by the call; the connection outlives the tasks it gave.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "net/core/pool_slot.h"
#include "net/core/task.h"
#include "storage/mysql/answer.h"
#include "storage/mysql/argument.h"

namespace syncline::storage::mysql {

// Takes rows one by one as they arrive, so that an answer is never in memory as a whole.
class row_sink {
 public:
  virtual ~row_sink() = default;
  // The fields are valid during the call. False: no more rows are wanted, the rest is dropped. An error ends
  // the statement with it.
  [[nodiscard]] virtual net::result<bool> row(const std::vector<column>& columns,
                                              const row_fields& fields) = 0;
};

class sql_connection : public net::pooled {
 public:
  // A statement as text, its whole answer collected.
  [[nodiscard]] virtual net::task<net::result<result_rows>> sql(net::request_context& context,
                                                                std::string_view text) = 0;
  // Prepared once for each text, with arguments.
  [[nodiscard]] virtual net::task<net::result<result_rows>> execute(net::request_context& context,
                                                                    std::string_view text,
                                                                    std::span<const argument> with) = 0;
  // The same, row by row; `into` outlives the task.
  [[nodiscard]] virtual net::task<net::result<statement_notes>> read(net::request_context& context,
                                                                     std::string_view text,
                                                                     std::span<const argument> with,
                                                                     row_sink& into) = 0;
  // As new: transaction rolled back, locks and temporary tables gone, then the setup again.
  [[nodiscard]] virtual net::task<net::result<void>> reset(net::request_context& context) = 0;
  // Says good-bye and is broken; answers under way fail.
  virtual void close() = 0;
};

}  // namespace syncline::storage::mysql
