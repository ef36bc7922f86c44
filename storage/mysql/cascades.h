// What foreign keys do to a resource's rows: the BEFORE triggers on its parents.
//
// MySQL fires no trigger of the child when ON DELETE or ON UPDATE CASCADE or SET NULL changes it (9.7
// neither, with its foreign keys in the SQL layer). So every table from which such a chain of keys leads to
// the resource, itself a resource or not, notes the places of the rows that the chain is about to reach. The
// rows are read with FOR SHARE: a snapshot could miss a child that was committed after it began; the cascade
// locks them anyway. A server that did fire the child's triggers would only note places twice.
//
// Through two or more tables they are read with FOR UPDATE: who adds a child to a row on the way locks that
// row shared, and would under READ COMMITTED come in between the trigger and the cascade, which removes the
// child unseen. MySQL refuses FOR UPDATE for tables that the statement reads itself, and in a tree: there it
// is FOR SHARE, and that gap stays.
//
// Thread: pure. Bound: `kCascadeDepthMax` keys in a chain, MySQL's own limit, which also ends cycles (a tree
// with its parent column); `kCascadeNotesMax` chains of one trigger. Failure: errc::schema_mismatch with the
// reason when a chain comes from another schema or there are too many.
#pragma once

#include <span>
#include <vector>

#include "storage/mysql/triggers.h"

namespace syncline::storage::mysql {

inline constexpr std::size_t kCascadeDepthMax = 15;
inline constexpr std::size_t kCascadeNotesMax = 64;

[[nodiscard]] net::result<std::vector<trigger_text>> cascade_triggers(const resource& of,
                                                                      const table_shape& t,
                                                                      std::span<const foreign_key> keys,
                                                                      std::int64_t resource_id);

}  // namespace syncline::storage::mysql
