// Reading rows outside transactions: by key, in key order, by other columns.
//
// Each call sends all it needs at once and reads the answers as they come, so it may share its connection
// with others. Not for the feed (page_reader.h). Thread: the core of the connection. Bound: `limit` rows,
// kAnswerBytesMax of a list; a list that is cut says `more`. Failure: result<>; errc::invalid for a key or
// scope that does not fit the declaration. A row that does not is left out, logged and counted; a list with
// more than kLeftOutMax of them is errc::schema_mismatch.
//
// Lifetime: the arguments outlive the task. `clock`: where it is to be read as well, or null. rows.position
// is left to the caller: rows of several statements are no snapshot, each is at least as new as what was
// published when the call began.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "storage/mysql/table_plan.h"
#include "storage/store.h"

namespace syncline::storage::mysql {

// Where a server's feed stands: read before the rows, in the same flight, so they are at least as new.
inline constexpr std::string_view kPositionSql =
    "SELECT seq, (SELECT id FROM syncline_generation ORDER BY number DESC LIMIT 1) FROM syncline_clock WHERE "
    "id=1";
class clock_sink final : public row_sink {
 public:
  net::result<bool> row(const std::vector<column>& columns, const row_fields& fields) override;
  [[nodiscard]] bool read() const noexcept { return seq_ >= 0; }
  // -1: the server is in another generation, so its seqs count something else; or nobody knows ours yet (0).
  [[nodiscard]] std::int64_t seq_in(std::int64_t generation) const noexcept {
    return generation != 0 && generation == generation_ ? seq_ : -1;
  }

 private:
  std::int64_t seq_ = -1;
  std::int64_t generation_ = 0;
};

inline constexpr std::size_t kAnswerBytesMax = 16U * 1024 * 1024;
inline constexpr std::uint32_t kLeftOutMax = 64;  // of one list
inline constexpr std::size_t kKeysOfStatementMax = 256;
inline constexpr std::size_t kGroupsOfStatementMax = 32;

[[nodiscard]] net::task<net::result<rows>> read_by_key(net::request_context& context, sql_connection& db,
                                                       const table_plan& plan, const projection& what,
                                                       const std::vector<std::string>& keys,
                                                       clock_sink* clock = nullptr);
[[nodiscard]] net::task<net::result<rows>> read_list(net::request_context& context, sql_connection& db,
                                                     const table_plan& plan, const list_query& query,
                                                     clock_sink* clock = nullptr);
[[nodiscard]] net::task<net::result<rows>> read_by_columns(net::request_context& context, sql_connection& db,
                                                           const table_plan& plan,
                                                           const std::vector<std::size_t>& by,
                                                           const std::vector<std::string>& keys,
                                                           std::uint32_t rows_max,
                                                           clock_sink* clock = nullptr);

}  // namespace syncline::storage::mysql
