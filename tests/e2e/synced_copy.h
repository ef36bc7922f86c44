// A client's copy of what it syncs, kept by the lines of a stream exactly as docs/sync.md tells a client to.
//
// Thread: one. It holds rows as JSON text by resource and id, and the cursor to resume from.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>

namespace syncline::e2e {

class synced_copy {
 public:
  // True when the line says that nothing is missing. A reset empties the copy and the cursor.
  bool apply(const std::string& line);
  [[nodiscard]] const std::optional<std::string>& cursor() const { return cursor_; }
  [[nodiscard]] const std::map<std::pair<std::string, std::string>, std::string>& rows() const {
    return rows_;
  }
  [[nodiscard]] bool was_reset() const { return was_reset_; }
  void forget();  // everything, as a client that lost its disk

 private:
  std::map<std::pair<std::string, std::string>, std::string> rows_;  // (resource, id) -> row
  std::optional<std::string> cursor_;
  bool was_reset_ = false;
};

}  // namespace syncline::e2e
