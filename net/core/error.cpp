#include "net/core/error.h"

#include <new>

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

error caught_error(std::string_view what) noexcept {
  error out(errc::internal, what);
  try {
    throw;
  } catch (const std::bad_alloc&) {
    out.code = errc::overloaded;
    out.what = "memory is short";
    out.retry_after_ms = 1000;
  } catch (const std::exception& e) {
    try {
      out.detail = e.what();
    } catch (const std::bad_alloc&) {
      // Then it goes without its words.
    }
  } catch (...) {
    // It has no words.
  }
  return out;
}

error copy_of(const error& e) noexcept {
  error out(e.code, e.what);
  out.retry_after_ms = e.retry_after_ms;
  try {
    out.detail = e.detail;
  } catch (const std::bad_alloc&) {
    // Then it goes without it.
  }
  return out;
}

}  // namespace syncline::net
