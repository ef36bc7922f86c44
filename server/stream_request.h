// Which rows a client asked to follow: `scope`, `resources` and `since` turned into the parts of a stream.
//
// Rules: a scope brings every resource that declares it; `resources` narrows that, and brings unscoped
// resources, which come only when named; without a scope the named resources are streamed whole. Used by the
// HTTP stream now, by other transports with the same meaning. Thread: pure functions. Bound:
// `sync_options::parts_max` parts. Failure: errc::invalid that names the parameter, not_found for an
// undeclared resource.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "net/core/error.h"
#include "server/services.h"
#include "storage/feed.h"

namespace syncline::server {

struct stream_request {
  std::shared_ptr<const storage::stream> what;
  std::optional<storage::cursor> since;
};

// `scopes` and `resources` are comma separated lists, empty when absent; `since` is a cursor's text or empty.
[[nodiscard]] net::result<stream_request> make_stream_request(const services& with, std::string_view scopes,
                                                              std::string_view resources,
                                                              std::string_view since);

}  // namespace syncline::server
