#include "net/core/error.h"

namespace syncline::net {

std::string_view to_string(errc code) noexcept {
  switch (code) {
    case errc::cancelled:
      return "cancelled";
    case errc::timed_out:
      return "timed_out";
    case errc::overloaded:
      return "overloaded";
    case errc::closed:
      return "closed";
    case errc::down:
      return "down";
    case errc::invalid:
      return "invalid";
    case errc::not_found:
      return "not_found";
    case errc::conflict:
      return "conflict";
    case errc::precondition_failed:
      return "precondition_failed";
    case errc::too_large:
      return "too_large";
    case errc::corrupt:
      return "corrupt";
    case errc::disk_full:
      return "disk_full";
    case errc::locked:
      return "locked";
    case errc::schema_mismatch:
      return "schema_mismatch";
    case errc::unsupported:
      return "unsupported";
    case errc::internal:
      return "internal";
  }
  return "unknown";
}

}  // namespace syncline::net
