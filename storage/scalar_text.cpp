#include "storage/scalar_text.h"

#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <system_error>

#include "storage/text_scan.h"

namespace syncline::storage {
namespace {

// Two or four digits at `at`; -1 when they are not digits.
int digits(std::string_view text, std::size_t at, std::size_t count) noexcept {
  int out = 0;
  for (std::size_t i = at; i < at + count; ++i) {
    if (!is_digit(text[i])) return -1;
    out = out * 10 + (text[i] - '0');
  }
  return out;
}

struct civil_time {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
};

constexpr std::size_t kDateSize = 10;    // YYYY-MM-DD
constexpr std::size_t kSecondSize = 19;  // YYYY-MM-DDTHH:MM:SS

text_fault read_date(std::string_view text, civil_time& out) noexcept {
  if (text.size() < kDateSize || text[4] != '-' || text[7] != '-') return text_fault::format;
  out.year = digits(text, 0, 4);
  out.month = digits(text, 5, 2);
  out.day = digits(text, 8, 2);
  if (out.year < 0 || out.month < 0 || out.day < 0) return text_fault::format;
  const std::chrono::year_month_day date{std::chrono::year(out.year),
                                         std::chrono::month(static_cast<unsigned>(out.month)),
                                         std::chrono::day(static_cast<unsigned>(out.day))};
  return date.ok() && out.year > 0 ? text_fault::none : text_fault::range;
}

text_fault read_clock(std::string_view text, civil_time& out) noexcept {
  if (text.size() < kSecondSize || text[13] != ':' || text[16] != ':') return text_fault::format;
  out.hour = digits(text, 11, 2);
  out.minute = digits(text, 14, 2);
  out.second = digits(text, 17, 2);
  if (out.hour < 0 || out.minute < 0 || out.second < 0) return text_fault::format;
  return out.hour <= 23 && out.minute <= 59 && out.second <= 59 ? text_fault::none : text_fault::range;
}

void append_digits(int value, int width, std::string& out) {
  std::array<char, 4> text{};
  for (int i = width - 1; i >= 0; --i) {
    text[static_cast<std::size_t>(i)] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
  out.append(text.data(), static_cast<std::size_t>(width));
}

// Moves the time back by the offset; range when it leaves the years 0001 to 9999.
text_fault append_shifted(const civil_time& local, int offset_minutes, std::string& out) {
  using namespace std::chrono;
  const sys_days day = year_month_day{year(local.year), month(static_cast<unsigned>(local.month)),
                                      std::chrono::day(static_cast<unsigned>(local.day))};
  const auto at =
      sys_time<minutes>(day) + hours(local.hour) + minutes(local.minute) - minutes(offset_minutes);
  const sys_days utc_day = floor<days>(at);
  const year_month_day date(utc_day);
  const int year_number = static_cast<int>(date.year());
  if (year_number < 1 || year_number > 9999) return text_fault::range;
  const auto minute_of_day = static_cast<int>((at - sys_time<minutes>(utc_day)).count());
  append_digits(year_number, 4, out);
  out.push_back('-');
  append_digits(static_cast<int>(static_cast<unsigned>(date.month())), 2, out);
  out.push_back('-');
  append_digits(static_cast<int>(static_cast<unsigned>(date.day())), 2, out);
  out.push_back('T');
  append_digits(minute_of_day / 60, 2, out);
  out.push_back(':');
  append_digits(minute_of_day % 60, 2, out);
  out.push_back(':');
  append_digits(local.second, 2, out);
  return text_fault::none;
}

text_fault read_offset(std::string_view text, int& minutes) noexcept {
  if (text == "Z") return text_fault::none;
  if (text.size() != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':') return text_fault::format;
  const int hours = digits(text, 1, 2);
  const int rest = digits(text, 4, 2);
  if (hours < 0 || rest < 0) return text_fault::format;
  if (hours > 23 || rest > 59) return text_fault::range;
  minutes = (hours * 60 + rest) * (text[0] == '-' ? -1 : 1);
  return text_fault::none;
}

// Length of ".f{1,9}" at the start of `text`, 0 when there is no fraction, npos when it is wrong.
std::size_t fraction_size(std::string_view text) noexcept {
  if (text.empty() || text[0] != '.') return 0;
  std::size_t size = 1;
  while (size < text.size() && is_digit(text[size])) ++size;
  return size >= 2 && size <= 10 ? size : std::string_view::npos;
}

}  // namespace

text_fault parse_int64(std::string_view text, std::int64_t& out) noexcept {
  const std::size_t sign = text.starts_with('-') ? 1 : 0;
  if (text.size() == sign) return text_fault::format;
  if (text[sign] == '0' && text.size() > 1) return text_fault::format;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (end != text.data() + text.size()) return text_fault::format;
  return failure == std::errc{} ? text_fault::none : text_fault::range;
}

void append_int64(std::int64_t value, std::string& out) {
  std::array<char, 24> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  out.append(text.data(), static_cast<std::size_t>(end - text.data()));
}

void append_double(double value, std::string& out) {
  std::array<char, 32> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  const std::string_view shortest(text.data(), static_cast<std::size_t>(end - text.data()));
  out.append(shortest);
  if (shortest.find_first_of(".e") == std::string_view::npos) out.append(".0");
}

void append_plain_double(double value, std::string& out) {
  std::array<char, 400> text;  // 1e308 has 309 digits, 5e-324 has 326 characters
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value == 0 ? 0.0 : value,
                                 std::chars_format::fixed)
                       .ptr;
  out.append(text.data(), static_cast<std::size_t>(end - text.data()));
}

text_fault parse_double(std::string_view text, double& out) noexcept {
  // from_chars also takes "inf", "nan" and ".5"; JSON's grammar starts with a digit, or '-' and a digit.
  const std::size_t sign = text.starts_with('-') ? 1 : 0;
  if (text.size() == sign || !is_digit(text[sign])) return text_fault::format;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (end != text.data() + text.size()) return text_fault::format;
  return failure == std::errc{} && std::isfinite(out) ? text_fault::none : text_fault::range;
}

bool is_decimal(std::string_view text) noexcept {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  const std::size_t point = text.find('.');
  const auto all_digits = [](std::string_view part) {
    for (const char c : part) {
      if (!is_digit(c)) return false;
    }
    return !part.empty();
  };
  if (point == std::string_view::npos) return all_digits(text);
  return all_digits(text.substr(0, point)) && all_digits(text.substr(point + 1));
}

bool append_decimal(std::string_view text, std::string& out) {
  if (!is_decimal(text)) return false;
  bool negative = false;
  if (text[0] == '-' || text[0] == '+') {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  while (text.size() > 1 && text[0] == '0' && text[1] != '.') text.remove_prefix(1);
  if (negative && text.find_first_not_of("0.") != std::string_view::npos) out.push_back('-');
  out.append(text);
  return true;
}

text_fault check_date(std::string_view text) noexcept {
  civil_time date;
  return text.size() == kDateSize ? read_date(text, date) : text_fault::format;
}

text_fault append_timestamp(std::string_view text, std::string& out) {
  if (text.size() < kSecondSize || (text[kDateSize] != 'T' && text[kDateSize] != ' '))
    return text_fault::format;
  civil_time local;
  const text_fault date = read_date(text, local);
  if (date == text_fault::format) return date;
  const text_fault clock = read_clock(text, local);
  if (clock == text_fault::format) return clock;
  const std::size_t fraction = fraction_size(text.substr(kSecondSize));
  if (fraction == std::string_view::npos) return text_fault::format;
  const std::string_view zone = text.substr(kSecondSize + fraction);
  int offset_minutes = 0;
  if (text[kDateSize] == ' ') {
    if (!zone.empty()) return text_fault::format;
  } else if (const text_fault wrong = read_offset(zone, offset_minutes); wrong != text_fault::none) {
    return wrong;
  }
  if (date != text_fault::none) return date;
  if (clock != text_fault::none) return clock;
  if (text[kDateSize] == ' ' || zone == "Z") {
    out.append(text);
    return text_fault::none;
  }
  if (const text_fault wrong = append_shifted(local, offset_minutes, out); wrong != text_fault::none)
    return wrong;
  out.append(text.substr(kSecondSize, fraction));
  out.push_back('Z');
  return text_fault::none;
}

}  // namespace syncline::storage
