#include <string>
#include <string_view>

#include "net/http/server.h"

namespace syncline::net::http {

namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

bool continues(std::string_view text, std::size_t at) noexcept {
  return at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0U) == 0x80U;
}

// Length of the well-formed UTF-8 sequence at `at`, 0 when there is none (RFC 3629 section 4).
std::size_t utf8_length(std::string_view text, std::size_t at) noexcept {
  const auto first = static_cast<unsigned char>(text[at]);
  const auto second = at + 1 < text.size() ? static_cast<unsigned char>(text[at + 1]) : 0U;
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return continues(text, at + 1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    if (!continues(text, at + 1) || !continues(text, at + 2)) return 0;
    const bool overlong = first == 0xE0 && second < 0xA0;
    const bool surrogate = first == 0xED && second >= 0xA0;
    return overlong || surrogate ? 0 : 3;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    if (!continues(text, at + 1) || !continues(text, at + 2) || !continues(text, at + 3)) return 0;
    const bool overlong = first == 0xF0 && second < 0x90;
    const bool beyond = first == 0xF4 && second >= 0x90;
    return overlong || beyond ? 0 : 4;
  }
  return 0;
}

// What clients sent may be quoted in a detail, so any bytes come out as valid JSON.
void append_json_string(std::string_view text, std::string& out) {
  static constexpr std::string_view kHex = "0123456789abcdef";
  out.push_back('"');
  for (std::size_t i = 0; i < text.size();) {
    const char c = text[i];
    const std::size_t length = utf8_length(text, i);
    if (length == 0) {
      out.append(kReplacement);
      ++i;
      continue;
    }
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out.append("\\u00");
      out.push_back(kHex[static_cast<unsigned char>(c) >> 4U]);
      out.push_back(kHex[static_cast<unsigned char>(c) & 15U]);
    } else {
      out.append(text.substr(i, length));
    }
    i += length;
  }
  out.push_back('"');
}

}  // namespace

void answer_problem(exchange& x, const problem& what) {
  std::string body = "{\"type\":";
  append_json_string(what.type.empty() ? std::string_view("about:blank") : what.type, body);
  body.append(",\"title\":");
  append_json_string(what.title, body);
  body.append(",\"status\":").append(std::to_string(what.status));
  if (!what.detail.empty()) {
    body.append(",\"detail\":");
    append_json_string(what.detail, body);
  }
  body.append(what.extra).append("}\n");

  header_block headers;
  if (what.retry_after_s != 0) headers.add("Retry-After", std::to_string(what.retry_after_s));
  response_head head;
  head.status = what.status;
  head.content_type = "application/problem+json";
  head.headers = headers.text();
  x.answer(head, body);
}

}  // namespace syncline::net::http
