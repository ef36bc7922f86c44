// logfmt: one line of `key=value` from parts that nobody has vetted.
//
// A value may come from a client (a path, a header, a row): whatever bytes it holds, the result is one line
// of valid UTF-8, and its value ends where the reader thinks it ends. So line breaks, control characters (C0,
// DEL, C1: a C1 CSI drives terminals), line separators and direction overrides are written as escapes;
// invalid UTF-8 becomes \ufffd. Thread: any; pure functions. Bound: six bytes out for one in.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace syncline::perf {

// `a b` becomes `"a b"`, `plain` stays `plain`; the empty text becomes `""`.
void append_log_value(std::string& out, std::string_view value);
// As above and always in quotes.
void append_quoted_log_value(std::string& out, std::string_view value);
// Letters, digits, `_`, `-` and `.` stay; every other byte becomes `_`.
void append_log_key(std::string& out, std::string_view key);
// RFC 3339 in UTC with milliseconds: 2026-01-31T23:59:59.007Z.
void append_log_time(std::string& out, std::int64_t unix_ms);

}  // namespace syncline::perf
