// The text of the triggers that note in syncline_pending what changed in one table.
//
// Not for what foreign keys do to rows, which fires no trigger of the child: cascades.h. A trigger's name
// carries the hash of its text, so that a new one can be made before the old one is dropped and both enter
// what is written in between (MySQL allows several triggers of one event). Thread: pure. Failure: none.
//
// Invariants
//  1. A place that a row enters or leaves gets a pending row in the same transaction; too many are harmless,
//     one too few loses a change for ever.
//  2. A statement that changes no declared column and no column of `where` writes nothing.
//  3. Nothing of the owner's is evaluated that could fail his statement: `where` is not, so a row of a
//     resource with `where` is noted as possibly gone and the purge finds out.
//  4. The text depends on the declaration, the id and the table only, so that what is there can be compared.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "storage/mysql/place_sql.h"
#include "storage/mysql/table_shape.h"

namespace syncline::storage::mysql {

struct trigger_text {
  std::string name;  // syncline_<resource id>_<what>_<hash>
  std::string table;
  std::string when;  // "AFTER INSERT"
  std::string body;
  [[nodiscard]] std::string create_sql() const;
};

[[nodiscard]] std::vector<trigger_text> feed_triggers(const resource& of, const table_shape& t,
                                                      std::int64_t resource_id);

// With the name made from the rest.
[[nodiscard]] trigger_text make_trigger(std::int64_t resource_id, std::string_view what, std::string table,
                                        std::string when, std::string body);
// The resource id in the name of one of our triggers; 0 for other names.
[[nodiscard]] std::int64_t trigger_owner(std::string_view name);

// "INSERT INTO syncline_pending (…) VALUES (…);" for one place, in IF where it does not always exist.
void append_note(std::string& out, std::int64_t resource_id, const place_sql& place, bool gone,
                 const std::string& condition);
inline constexpr std::string_view kPendingColumns = "syncline_pending (resource,scope,`key`,gone)";

}  // namespace syncline::storage::mysql
