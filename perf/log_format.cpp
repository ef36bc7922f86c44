#include "perf/log_format.h"

#include <algorithm>
#include <chrono>
#include <iterator>

#include <fmt/format.h>

namespace syncline::perf {
namespace {

struct code_point {
  char32_t value = 0;
  std::size_t bytes = 0;  // 0: not UTF-8
};

// Decodes the first code point of a text that is not empty, refusing overlong forms and surrogates (RFC
// 3629).
code_point decode(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const std::size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < bytes) return {};
  char32_t value = lead & (0x7fU >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0U) != 0x80) return {};
    value = value << 6U | (byte(i) & 0x3fU);
  }
  const bool overlong = (bytes == 3 && value < 0x800) || (bytes == 4 && value < 0x10000);
  if (overlong || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) return {};
  return {value, bytes};
}

// Characters that would break the line, drive a terminal, or show the text in another order than it is
// stored.
bool must_escape(char32_t c) {
  return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x2028 || c == 0x2029 || (c >= 0x202a && c <= 0x202e) ||
         (c >= 0x2066 && c <= 0x2069);
}

bool needs_no_quotes(std::string_view value) {
  return !value.empty() && std::ranges::all_of(value, [](char c) {
    return c > ' ' && c < '\x7f' && c != '"' && c != '=' && c != '\\';
  });
}

void append_escape(std::string& out, char32_t c) {
  switch (c) {
    case '\n':
      out += "\\n";
      break;
    case '\r':
      out += "\\r";
      break;
    case '\t':
      out += "\\t";
      break;
    default:
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<std::uint32_t>(c));
  }
}

}  // namespace

void append_log_value(std::string& out, std::string_view value) {
  if (needs_no_quotes(value)) {
    out += value;
  } else {
    append_quoted_log_value(out, value);
  }
}

void append_quoted_log_value(std::string& out, std::string_view value) {
  out += '"';
  while (!value.empty()) {
    const code_point c = decode(value);
    if (c.bytes == 0) {
      out += "\\ufffd";
      value.remove_prefix(1);
      continue;
    }
    if (must_escape(c.value)) {
      append_escape(out, c.value);
    } else {
      if (c.value == '"' || c.value == '\\') out += '\\';
      out += value.substr(0, c.bytes);
    }
    value.remove_prefix(c.bytes);
  }
  out += '"';
}

void append_log_key(std::string& out, std::string_view key) {
  if (key.empty()) out += '_';
  for (const char c : key) {
    const bool legal = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '_' || c == '-' || c == '.';
    out += legal ? c : '_';
  }
}

void append_log_time(std::string& out, std::int64_t unix_ms) {
  using namespace std::chrono;
  const sys_time<milliseconds> at{milliseconds{unix_ms}};
  const auto day = floor<days>(at);
  const year_month_day date{day};
  const hh_mm_ss time{at - day};
  fmt::format_to(std::back_inserter(out), "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", int{date.year()},
                 unsigned{date.month()}, unsigned{date.day()}, time.hours().count(), time.minutes().count(),
                 time.seconds().count(), time.subseconds().count());
}

}  // namespace syncline::perf
