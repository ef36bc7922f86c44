// The Link field of a page of rows (RFC 8288): first, prev, next and last, as absolute paths that keep every
// other parameter.
//
// Thread: pure function. Bound: four references, each as long as the request's query and one key.
#pragma once

#include <string>
#include <string_view>

#include "server/query.h"
#include "storage/store.h"

namespace syncline::server {

[[nodiscard]] std::string page_links(std::string_view path, const query& asked, storage::page_from from,
                                     const storage::rows& page);

}  // namespace syncline::server
