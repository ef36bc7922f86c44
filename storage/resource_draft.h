// A resource that `introspect` makes of a table it found, with what to say about it, and the text of the
// config it becomes; whatever the engine.
//
// Thread: values and pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "storage/resource.h"

namespace syncline::storage {

struct resource_draft {
  resource of;
  std::vector<std::string> notes;  // become comments above it

  // `  "users": { … }` in the `resources` object, without the comma behind it.
  [[nodiscard]] std::string text() const;
  // A column whose values name users: perhaps the scope.
  void suggest_scope(std::string_view column, std::string_view refers_to, bool indexed);
  // Its own key, when it holds users itself.
  void suggest_own_scope();
};

// The words for whom rows belong to, as tables are commonly named.
[[nodiscard]] bool holds_users(std::string_view table) noexcept;
[[nodiscard]] std::string quoted_json(std::string_view text);

// The `resources` object of several, with a comment line for each that was left out.
class resource_list {
 public:
  void add(const resource_draft& made);
  void leave_out(std::string_view kind, std::string_view name, std::string why);
  [[nodiscard]] std::string text() const;

 private:
  std::string comments_;
  std::string resources_;
};

}  // namespace syncline::storage
