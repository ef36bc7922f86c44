#include "server/query.h"

#include <algorithm>

#include "storage/row_json.h"
#include "storage/text_scan.h"

namespace syncline::server {
namespace {

using net::errc;
using net::error;

net::result<std::string> percent_decode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '+' && plus_is_space) {
      out.push_back(' ');
    } else if (c != '%') {
      out.push_back(c);
    } else {
      const int high = i + 1 < text.size() ? storage::hex_value(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? storage::hex_value(text[i + 2]) : -1;
      if (high < 0 || low < 0) return error(errc::invalid, "`%` must be followed by two hexadecimal digits");
      out.push_back(static_cast<char>(high * 16 + low));
      i += 2;
    }
  }
  if (out.find('\0') != std::string::npos)
    return error(errc::invalid, "a NUL character is not allowed in a URL");
  if (!storage::valid_utf8(out)) return error(errc::invalid, "the percent-decoded text is no UTF-8");
  return out;
}

std::string unknown_parameter(std::string_view name, std::initializer_list<std::string_view> allowed) {
  std::string text = "`" + std::string(name) + "`";
  if (allowed.size() == 0) return text + "; none is allowed here";
  text += "; allowed:";
  for (const std::string_view one : allowed) text.append(" ").append(one);
  return text;
}

// What is before the first `end`; `text` is left with what follows it.
std::string_view take_until(std::string_view& text, char end) noexcept {
  std::size_t at = 0;
  while (at < text.size() && text[at] != end) ++at;
  const std::string_view taken = text.substr(0, at);
  text.remove_prefix(at < text.size() ? at + 1 : at);
  return taken;
}

bool is_unreserved(char c) noexcept {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

}  // namespace

net::result<query> query::parse(std::string_view text, std::initializer_list<std::string_view> allowed) {
  query out;
  while (!text.empty()) {
    std::string_view item = take_until(text, '&');
    if (item.empty()) continue;
    auto name = percent_decode(take_until(item, '='), true);
    if (!name) return name.error();
    auto value = percent_decode(item, true);
    if (!value) return error(value.error().code, value.error().what, "in parameter `" + *name + "`");
    if (std::find(allowed.begin(), allowed.end(), *name) == allowed.end()) {
      return error(errc::invalid, "unknown query parameter", unknown_parameter(*name, allowed));
    }
    if (out.has(*name)) return error(errc::invalid, "query parameter given twice", "`" + *name + "`");
    out.items_.emplace_back(std::move(*name), std::move(*value));
  }
  return out;
}

const std::string* query::find(std::string_view name) const noexcept {
  for (const auto& [item, value] : items_) {
    if (item == name) return &value;
  }
  return nullptr;
}

net::result<bool> query::flag(std::string_view name) const {
  const std::string* value = find(name);
  if (value == nullptr || *value == "0" || *value == "false" || *value == "no") return false;
  if (*value == "1" || *value == "true" || *value == "yes") return true;
  return error(errc::invalid, "query parameter must be 1 or 0", "`" + std::string(name) + "`");
}

net::result<std::uint64_t> query::number(std::string_view name, std::uint64_t otherwise, std::uint64_t min,
                                         std::uint64_t max) const {
  const std::string* value = find(name);
  if (value == nullptr) return otherwise;
  std::uint64_t n = 0;
  bool good = !value->empty() && value->size() <= 19;  // 19 digits fit in 64 bits
  for (const char c : *value) {
    good = good && c >= '0' && c <= '9';
    if (good) n = n * 10 + static_cast<std::uint64_t>(c - '0');
  }
  if (good && n >= min && n <= max) return n;
  return error(errc::invalid, "query parameter out of range",
               "`" + std::string(name) + "` must be a number from " + std::to_string(min) + " to " +
                   std::to_string(max));
}

net::result<std::string> decode_segment(std::string_view segment) {
  return percent_decode(segment, false);
}

std::string encode_component(std::string_view text) {
  static constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (is_unreserved(c)) {
      out.push_back(c);
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out.push_back('%');
    out.push_back(kHex[byte >> 4U]);
    out.push_back(kHex[byte & 15U]);
  }
  return out;
}

std::vector<std::string_view> split_commas(std::string_view text) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t comma = text.find(',');
    parts.push_back(text.substr(0, comma));
    if (comma == std::string_view::npos) return parts;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace syncline::server
