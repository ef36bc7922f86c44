// The text forms of integers, decimals, dates and timestamps: checked, and brought to one spelling.
//
// Thread: pure functions. Memory: appends to the caller's buffer. Failure: text_fault; `out` is then
// unspecified beyond its old size.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace syncline::storage {

enum class text_fault : std::uint8_t { none, format, range };

// Decimal digits with an optional '-', no '+', no leading zeros, no "-0".
[[nodiscard]] text_fault parse_int64(std::string_view text, std::int64_t& out) noexcept;
void append_int64(std::int64_t value, std::string& out);

// The shortest text that reads back as the same double, always with a fraction or an exponent ("1.0",
// "1e+22"), so that typed clients see a floating-point number in every row. `value` is finite.
void append_double(double value, std::string& out);
// Without exponent, for decimals: "12.5", "1".
void append_plain_double(double value, std::string& out);
// A whole JSON number; range for what a double cannot hold.
[[nodiscard]] text_fault parse_double(std::string_view text, double& out) noexcept;

// [+-]digits[.digits]; without '+', needless leading zeros and the sign of zero. Digits of the fraction stay.
[[nodiscard]] bool append_decimal(std::string_view text, std::string& out);
// The same grammar, nothing changed.
[[nodiscard]] bool is_decimal(std::string_view text) noexcept;

// YYYY-MM-DD that the Gregorian calendar has, years 0001 to 9999.
[[nodiscard]] text_fault check_date(std::string_view text) noexcept;
// "YYYY-MM-DDTHH:MM:SS[.f](Z|±hh:mm)" becomes UTC with 'Z'; "YYYY-MM-DD HH:MM:SS[.f]" stays as it is. One to
// nine digits of fraction, which stay. Leap seconds are refused, because the databases do.
[[nodiscard]] text_fault append_timestamp(std::string_view text, std::string& out);

}  // namespace syncline::storage
