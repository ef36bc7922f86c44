// What MySQL says beside a statement's rows: how many rows it touched, the id it made, its warnings.
//
// Thread: a value. Bound: `kWarningsMax` warnings are kept, the others counted. An affected row is one the
// statement MATCHED: the X Plugin counts an UPDATE that changes nothing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "net/core/error.h"

namespace syncline::storage::mysql {

struct warning {
  enum class level : std::uint8_t { note = 1, warning = 2, error = 3 };
  level how = level::warning;
  std::uint32_t code = 0;
  std::string text;
};

inline constexpr std::size_t kWarningsMax = 64;

struct statement_notes {
  std::uint64_t rows_affected = 0;
  std::uint64_t last_insert_id = 0;  // 0: none was made
  std::vector<warning> warnings;
  std::uint64_t warnings_seen = 0;
  void clear() noexcept {
    rows_affected = last_insert_id = warnings_seen = 0;
    warnings.clear();
  }
};

struct server_notes {
  std::uint64_t client_id = 0;  // the X Plugin's number, which is not the one of SHOW PROCESSLIST
  bool going_away = false;      // the server said that it ends this session
};

// Reads one Notice; what is of no use to us is skipped. errc::corrupt.
[[nodiscard]] net::result<void> read_notice(std::string_view body, statement_notes& of_statement,
                                            server_notes& of_server);

}  // namespace syncline::storage::mysql
