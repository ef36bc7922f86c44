// Where `syncline sync` keeps its copy: a log of lines, or tables of a SQLite file.
//
// Both remember the cursor together with what it covers, so that a run that was cut goes on without a gap.
// Thread: one. Failure: result<>; what was applied since the last checkpoint is then not kept.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "net/core/error.h"

namespace syncline::server::command {

// One line of the native sync stream.
struct sync_line {
  enum class kind : std::uint8_t { put, remove, checkpoint, up_to_date, reset, other };
  kind op = kind::other;
  std::string resource;
  std::string id;   // as text: 17, a string without its quotes, several columns with commas
  std::string row;  // its JSON, byte by byte as sent
  std::string cursor;
  std::string reason;
};
[[nodiscard]] net::result<sync_line> parse_sync_line(std::string_view line);

class sync_target {
 public:
  virtual ~sync_target() = default;
  // Where to go on; empty: from the beginning.
  [[nodiscard]] virtual std::string cursor() const = 0;
  // put, remove. `text` is the line as it came.
  [[nodiscard]] virtual net::result<void> change(const sync_line& line, std::string_view text) = 0;
  // Everything before is covered by the cursor of this line.
  [[nodiscard]] virtual net::result<void> checkpoint(const sync_line& line, std::string_view text) = 0;
  // The copy is dropped.
  [[nodiscard]] virtual net::result<void> reset(std::string_view text) = 0;
  // Forgets what came after the last checkpoint: the stream was cut and will send it again.
  [[nodiscard]] virtual net::result<void> roll_back() = 0;
};

// Lines as they come, appended to `file` (empty: standard output). With `state` the cursor and the file's
// length are kept there at each checkpoint.
[[nodiscard]] net::result<std::unique_ptr<sync_target>> open_line_target(const std::string& file,
                                                                         const std::string& state,
                                                                         const std::string& since);
// A table per resource (id TEXT PRIMARY KEY, row TEXT), the cursor in syncline_cursor, written in the same
// transaction.
[[nodiscard]] net::result<std::unique_ptr<sync_target>> open_sqlite_target(const std::string& file);

}  // namespace syncline::server::command
