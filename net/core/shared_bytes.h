// Bytes that connections and caches share without copying: an immutable text behind a counted pointer.
//
// Thread: any, since nobody changes the text once it is shared. Bound: its owners'. Failure: none.
#pragma once

#include <memory>
#include <string>

namespace syncline::net {

using shared_bytes = std::shared_ptr<const std::string>;

}  // namespace syncline::net
