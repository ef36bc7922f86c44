// Errors as values on the request path: a code, a static text and a small detail.
//
// Use `result<T>` for everything that may fail after start-up; exceptions only while starting up and reading
// config. Thread: a value. `what` must be a string literal (it is never freed); `detail` says which thing and
// what to do.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <boost/system/result.hpp>

namespace syncline::net {

enum class errc : std::uint8_t {
  cancelled,   // the caller is gone or the server is stopping
  timed_out,   // the deadline passed
  overloaded,  // a bounded queue is full or would miss the deadline, or memory is short; retry_after_ms says
               // when to come back
  closed,      // the peer or the object is closed
  down,        // a server or file we need does not answer
  invalid,     // what the client sent is wrong
  not_found,   //
  conflict,    // the state forbids it (key exists, unique value taken)
  precondition_failed,  // If-Match did not match
  too_large,            // over a configured limit
  corrupt,              // stored bytes make no sense
  disk_full,            //
  locked,               // another process holds the database
  schema_mismatch,      // the database no longer fits the declaration
  unsupported,          //
  internal,             // a bug of ours
};

[[nodiscard]] std::string_view to_string(errc code) noexcept;

struct error {
  errc code = errc::internal;
  std::string_view what;  // a literal
  std::string detail;
  std::uint32_t retry_after_ms = 0;

  error() = default;  // result<T>::error() needs it
  error(errc c, std::string_view w) : code(c), what(w) {}
  error(errc c, std::string_view w, std::string d) : code(c), what(w), detail(std::move(d)) {}
  [[nodiscard]] std::string text() const {  // "what: detail"
    std::string out(what);
    if (!detail.empty()) out.append(": ").append(detail);
    return out;
  }
};

// The exception that is being handled, as an error; for catch blocks. std::bad_alloc is errc::overloaded, to
// be tried again in a second; anything else errc::internal: `what` with the exception's words as its detail.
[[nodiscard]] error caught_error(std::string_view what) noexcept;
// A copy; without the detail where memory is short.
[[nodiscard]] error copy_of(const error& e) noexcept;

// What value() throws when there is none; reaching it is a bug on the request path.
struct error_exception : std::runtime_error {
  explicit error_exception(error e) : std::runtime_error(e.text()), failure(std::move(e)) {}
  error failure;
};
[[noreturn]] inline void throw_exception_from_error(const error& e, const boost::source_location&) {
  throw error_exception(e);
}

template <class T>
using result = boost::system::result<T, error>;

}  // namespace syncline::net
