// The `resources` and `merges` of a config, checked and turned into a catalog. The grammar is in
// docs/config.md.
//
// What needs the database (do table and columns exist, is the key unique, has a scope column an index) is
// checked when the store opens. Thread: while starting. Bound: the constants below. Failure: config_error
// with the place.
#pragma once

#include <cstddef>

#include "server/config_json.h"
#include "storage/resource.h"

namespace syncline::server {

inline constexpr std::size_t kResourcesMax = 1000;
inline constexpr std::size_t kColumnsMax = 1000;
inline constexpr std::size_t kKeyColumnsMax = 8;
inline constexpr std::size_t kScopesMax = 8;
inline constexpr std::size_t kMergePartsMax = 32;

void read_resources(const config_node& from, storage::catalog& into);
// After read_resources().
void read_merges(const config_node& from, storage::catalog& into);

}  // namespace syncline::server
