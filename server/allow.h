// Which methods a path of a resource has, by the resource's write rules: what Allow lists and the router lets
// through.
//
// Thread: pure functions.
#pragma once

#include <string>

#include "net/http/request.h"
#include "storage/resource.h"

namespace syncline::server {

enum class place : std::uint8_t {
  collection,  // /v1/{resource}
  bulk,        // /v1/{resource}/bulk: also the row whose key is "bulk"
  row,         // /v1/{resource}/{key}
  merged,      // /v1/{resource}/{key}/{merge}
  sync,        // /v1/sync
  subscribe,   // /v1/subscribe
};

[[nodiscard]] bool allows(place where, const storage::resource* of, net::http::method verb) noexcept;
// "GET, HEAD, …", for the header Allow.
[[nodiscard]] std::string allow_list(place where, const storage::resource* of);

inline constexpr std::string_view kPatchTypes = "application/merge-patch+json, application/json";

}  // namespace syncline::server
