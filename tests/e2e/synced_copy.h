// A client's copy of what it syncs, kept by the lines of a stream exactly as docs/sync.md tells a client to.
//
// Thread: one. It holds rows as JSON text by resource and id, the cursor to resume from, and how to undo what
// came after it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

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
  // Undoes the lines after the last cursor: they are only kept together with one.
  void drop_unconfirmed();
  void forget();  // everything, as a client that lost its disk

 private:
  std::map<std::pair<std::string, std::string>, std::string> rows_;  // (resource, id) -> row
  using place = std::pair<std::string, std::string>;
  void set(const place& where, std::optional<std::string> row);

  std::vector<std::pair<place, std::optional<std::string>>> undo_;  // what was there before, oldest first
  std::optional<std::string> cursor_;
  bool was_reset_ = false;
};

}  // namespace syncline::e2e
