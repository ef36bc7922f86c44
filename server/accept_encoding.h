// Whether a client takes gzip, by the rules of RFC 9110 section 12.5.3 (q-values, `*`, `identity;q=0`).
//
// Thread: pure function. A header that cannot be parsed counts as one that does not name gzip.
#pragma once

#include <string_view>

namespace syncline::server {

[[nodiscard]] bool accepts_gzip(std::string_view accept_encoding) noexcept;

}  // namespace syncline::server
