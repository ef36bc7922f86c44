// What the file holds of Syncline's objects, compared with what should be there.
//
// Thread: its connection's. Failure: result<>.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "storage/sqlite/schema.h"

namespace syncline::storage::sqlite {

// The text of an object in sqlite_schema; nothing when there is no such object.
[[nodiscard]] net::result<std::optional<std::string>> object_sql(connection& db, std::string_view name);

// The row of a resource in syncline_resource. `identity` is the hash of its feed triggers, followed by a word
// for each piece of work that is left, in the order in which it is done: " old:SEQ" while entries up to SEQ
// are those of the table that was there before, " rows" while existing rows are being numbered, " search"
// while the keyword index is being filled.
struct resource_state {
  std::int64_t id = 0;
  std::string name;
  std::int64_t incarnation = 0;
  std::string declaration;
  std::string identity;
  [[nodiscard]] bool left(std::string_view work) const { return identity.find(work) != std::string::npos; }
  // The whole word, which for kOldLeft has a number behind it; empty when that work is not left.
  [[nodiscard]] std::string_view word(std::string_view work) const;
  void strike(std::string_view work);
};
inline constexpr std::string_view kOldLeft = " old:";
inline constexpr std::string_view kRowsLeft = " rows";
inline constexpr std::string_view kSearchLeft = " search";

// Empty when there is no syncline_resource yet.
[[nodiscard]] net::result<std::vector<resource_state>> resource_states(connection& db);

// Whether `name` is a resource that has feed and triggers in this file.
[[nodiscard]] bool follows(const catalog& all, std::string_view name);
[[nodiscard]] inline bool is_followed(const resource& of) {
  return of.synced && !of.view;
}

}  // namespace syncline::storage::sqlite
