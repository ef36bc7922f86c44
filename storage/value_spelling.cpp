#include "storage/value_spelling.h"

#include <algorithm>

#include "storage/scalar_text.h"
#include "storage/text_scan.h"

namespace syncline::storage {
namespace {

constexpr std::size_t kDayBytes = 10;          // YYYY-MM-DD
constexpr std::size_t kDayAndClockBytes = 19;  // YYYY-MM-DDTHH:MM:SS

// -1 when they are not two digits.
int two_digits(std::string_view text, std::size_t at) noexcept {
  if (!is_digit(text[at]) || !is_digit(text[at + 1])) return -1;
  return (text[at] - '0') * 10 + (text[at + 1] - '0');
}

// What MySQL stores in its laxest sql_mode.
bool is_storable_date(std::string_view text) noexcept {
  if (text.size() != kDayBytes || text[4] != '-' || text[7] != '-') return false;
  const int month = two_digits(text, 5);
  const int day = two_digits(text, 8);
  return two_digits(text, 0) >= 0 && two_digits(text, 2) >= 0 && month >= 0 && month <= 12 && day >= 0 &&
         day <= 31;
}

// Cuts zeros off or adds them; false when the fraction, a text of digits, is finer than `digits`.
bool append_fraction(std::string_view fraction, std::size_t digits, std::string& out) {
  if (fraction.size() > digits) {
    if (fraction.find_first_not_of('0', digits) != std::string_view::npos) return false;
    fraction = fraction.substr(0, digits);
  }
  if (digits == 0) return true;
  out.push_back('.');
  out.append(fraction).append(digits - fraction.size(), '0');
  return true;
}

// "YYYY-MM-DD" and a clock, in UTC.
bool append_utc(std::string_view given, std::string& out) {
  if (append_timestamp(given, out) == text_fault::none) return true;
  // No day of the calendar, so nothing that could be moved between zones; the clock must be one all the same.
  if (given.size() < kDayAndClockBytes || !is_storable_date(given.substr(0, kDayBytes))) return false;
  if (given[kDayBytes] == 'T' && !given.ends_with('Z')) return false;
  std::string on_a_day = "2000-01-01";
  std::string ignored;
  if (append_timestamp(on_a_day.append(given.substr(kDayBytes)), ignored) != text_fault::none) return false;
  out.append(given);
  return true;
}

bool append_datetime(std::size_t digits, std::string_view given, std::string& out) {
  std::string utc;
  if (!append_utc(given, utc)) return false;
  if (utc.ends_with('Z')) utc.pop_back();
  utc[kDayBytes] = 'T';
  std::string_view fraction = std::string_view(utc).substr(kDayAndClockBytes);
  if (!fraction.empty()) fraction.remove_prefix(1);
  std::string made = utc.substr(0, kDayAndClockBytes);
  if (!append_fraction(fraction, digits, made)) return false;
  out.append(made).push_back('Z');
  return true;
}

bool append_scaled(std::size_t digits, std::string_view given, std::string& out) {
  std::string plain;
  if (!append_decimal(given, plain)) return false;
  const std::size_t point = std::min(plain.find('.'), plain.size());
  std::string made = plain.substr(0, point);
  if (!append_fraction(std::string_view(plain).substr(std::min(point + 1, plain.size())), digits, made))
    return false;
  out.append(made);
  return true;
}

bool is_year(std::string_view given) noexcept {
  std::int64_t value = 0;
  return parse_int64(given, value) == text_fault::none && (value == 0 || (value >= 1901 && value <= 2155));
}

}  // namespace

bool append_canonical(const value_spelling& how, std::string_view given, std::string& out) {
  switch (how.of) {
    case value_spelling::form::datetime:
      return append_datetime(how.digits, given, out);
    case value_spelling::form::decimal:
      return append_scaled(how.digits, given, out);
    case value_spelling::form::date:
      if (!is_storable_date(given)) return false;
      break;
    case value_spelling::form::year:
      if (!is_year(given)) return false;
      break;
    case value_spelling::form::verbatim:
      break;
  }
  out.append(given);
  return true;
}

std::string canonical_example(const value_spelling& how) {
  std::string out;
  switch (how.of) {
    case value_spelling::form::year:
      return "2026";
    case value_spelling::form::date:
      return "2026-11-20";
    case value_spelling::form::datetime:
      (void)append_datetime(how.digits, "2026-11-20T12:00:00Z", out);
      return out;
    case value_spelling::form::decimal:
      (void)append_scaled(how.digits, "12", out);
      return out;
    case value_spelling::form::verbatim:
      break;
  }
  return out;
}

}  // namespace syncline::storage
