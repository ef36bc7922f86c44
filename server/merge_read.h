// A merge: several resources in one document by the key of one, read with one batch per part for all keys.
//
// Thread: the core of the exchange. Bound: `rows_max` rows of a part for each key (more are cut and named in
// "truncated"), `kMergeBytesMax` for the whole answer (errc::too_large beyond, found out after the part that
// passes it). Failure: as store::rows_by(). The parts are read one after the other, each in a snapshot of its
// own; Syncline-Position is the lowest of them.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "net/core/task.h"
#include "net/http/exchange.h"
#include "server/services.h"

namespace syncline::server {

inline constexpr std::size_t kMergeBytesMax = 32 * 1024 * 1024;

// {"rows":[…],"missing":[…]} for canonical keys, each given once.
[[nodiscard]] net::task<void> answer_merges(const services& with, net::http::exchange& x,
                                            const storage::merge& what, std::vector<std::string> keys);

}  // namespace syncline::server
