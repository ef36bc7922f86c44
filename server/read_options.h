// What a read asks for beside its rows: which columns under which names, and whether the cache may answer.
//
// Thread: a value. Failure: errc::invalid naming the parameter.
#pragma once

#include "net/core/error.h"
#include "server/query.h"
#include "storage/row_json.h"

namespace syncline::server {

struct read_options {
  storage::projection what;
  bool whole = true;     // every column under its declared name: what L1 holds
  bool refresh = false;  // the caller must have the truth

  // From `fields=a,b`, `names=short`, `refresh=1`.
  [[nodiscard]] static net::result<read_options> from(const query& asked, const storage::resource& of);
};

// The keys of `ids=1,2,3` (for keys of n columns: n values per row), canonical, each once, in the order
// given; at most `ids_max`.
[[nodiscard]] net::result<std::vector<std::string>> read_ids(const storage::resource& of,
                                                             std::string_view ids, std::size_t ids_max);

}  // namespace syncline::server
