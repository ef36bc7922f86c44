#include "storage/json_text.h"

#include <cstring>

#include "storage/text_scan.h"

namespace syncline::storage {
namespace {

unsigned hex4(const char* at) noexcept {
  unsigned out = 0;
  for (int i = 0; i < 4; ++i) out = (out << 4U) | static_cast<unsigned>(hex_value(at[i]));
  return out;
}

void append_utf8(unsigned code, std::string& out) {
  const auto put = [&out](unsigned byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0U | (code >> 6U));
    put(0x80U | (code & 0x3FU));
  } else if (code < 0x10000) {
    put(0xE0U | (code >> 12U));
    put(0x80U | ((code >> 6U) & 0x3FU));
    put(0x80U | (code & 0x3FU));
  } else {
    put(0xF0U | (code >> 18U));
    put(0x80U | ((code >> 12U) & 0x3FU));
    put(0x80U | ((code >> 6U) & 0x3FU));
    put(0x80U | (code & 0x3FU));
  }
}

}  // namespace

bool json_scanner::fail(json_fault what, std::string_view why) noexcept {
  if (fault_ == json_fault::none) {
    fault_ = what;
    reason_ = why;
  }
  return false;
}

char json_scanner::peek() noexcept {
  while (at_ != end_ && (*at_ == ' ' || *at_ == '\t' || *at_ == '\n' || *at_ == '\r')) ++at_;
  return at_ == end_ ? '\0' : *at_;
}

bool json_scanner::at_end() noexcept {
  (void)peek();
  return at_ == end_;
}

bool json_scanner::take(char expected) noexcept {
  if (peek() != expected || at_ == end_) {
    switch (expected) {
      case '{':
        return fail(json_fault::malformed, "expected an object");
      case ':':
        return fail(json_fault::malformed, "expected ':' after the member name");
      default:
        return fail(json_fault::malformed, "unexpected character");
    }
  }
  ++at_;
  return true;
}

bool json_scanner::take_word(std::string_view word) noexcept {
  if (static_cast<std::size_t>(end_ - at_) < word.size() || std::memcmp(at_, word.data(), word.size()) != 0) {
    return fail(json_fault::malformed, "expected a value");
  }
  at_ += word.size();
  return true;
}

bool json_scanner::read_string(json_string& out) noexcept {
  if (at_ == end_ || *at_ != '"') return fail(json_fault::malformed, "expected a string");
  const char* const start = ++at_;
  out.escaped = false;
  for (;;) {
    at_ = find_special(at_, end_);
    if (at_ == end_) return fail(json_fault::malformed, "unclosed string");
    const auto c = static_cast<unsigned char>(*at_);
    if (c == '"') break;
    if (c >= 0x80) {
      const std::size_t length = utf8_sequence(at_, end_);
      if (length == 0) return fail(json_fault::invalid_utf8, "invalid UTF-8");
      at_ += length;
    } else if (c == '\\') {
      out.escaped = true;
      if (!read_escape()) return false;
    } else {
      return fail(json_fault::malformed, "control character in a string");
    }
  }
  out.raw = std::string_view(start, static_cast<std::size_t>(at_ - start));
  ++at_;
  return true;
}

bool json_scanner::read_hex4(unsigned& out) noexcept {
  if (end_ - at_ < 4) return fail(json_fault::malformed, "unfinished \\u escape");
  for (int i = 0; i < 4; ++i) {
    if (hex_value(at_[i]) < 0) return fail(json_fault::malformed, "bad \\u escape");
  }
  out = hex4(at_);
  at_ += 4;
  return true;
}

bool json_scanner::read_escape() noexcept {
  ++at_;
  if (at_ == end_) return fail(json_fault::malformed, "unclosed string");
  const char kind = *at_++;
  switch (kind) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
      return true;
    case 'u':
      break;
    default:
      return fail(json_fault::malformed, "unknown escape");
  }
  unsigned code = 0;
  if (!read_hex4(code)) return false;
  if (code < 0xD800 || code > 0xDFFF) return true;
  if (code > 0xDBFF || end_ - at_ < 2 || at_[0] != '\\' || at_[1] != 'u') {
    return fail(json_fault::malformed, "unpaired surrogate");
  }
  at_ += 2;
  if (!read_hex4(code)) return false;
  return (code >= 0xDC00 && code <= 0xDFFF) || fail(json_fault::malformed, "unpaired surrogate");
}

bool json_scanner::read_number(json_number& out) noexcept {
  const char* const start = at_;
  const auto digits = [this] {
    const char* const from = at_;
    while (at_ != end_ && is_digit(*at_)) ++at_;
    return at_ != from;
  };
  if (at_ != end_ && *at_ == '-') ++at_;
  if (at_ != end_ && *at_ == '0') {
    ++at_;
  } else if (!digits()) {
    return fail(json_fault::malformed, "expected a value");
  }
  out.integer = true;
  if (at_ != end_ && *at_ == '.') {
    out.integer = false;
    ++at_;
    if (!digits()) return fail(json_fault::malformed, "expected a digit");
  }
  if (at_ != end_ && (*at_ == 'e' || *at_ == 'E')) {
    out.integer = false;
    ++at_;
    if (at_ != end_ && (*at_ == '+' || *at_ == '-')) ++at_;
    if (!digits()) return fail(json_fault::malformed, "expected a digit");
  }
  out.text = std::string_view(start, static_cast<std::size_t>(at_ - start));
  return true;
}

bool json_scanner::copy_scalar(char first, std::string& out) {
  const char* const start = at_;
  json_string text;
  json_number number;
  bool good = false;
  switch (first) {
    case '"':
      good = read_string(text);
      break;
    case 't':
      good = take_word("true");
      break;
    case 'f':
      good = take_word("false");
      break;
    case 'n':
      good = take_word("null");
      break;
    default:
      good = read_number(number);
      break;
  }
  if (good) out.append(start, static_cast<std::size_t>(at_ - start));
  return good;
}

bool json_scanner::copy_member_name(std::string& out) {
  (void)peek();
  if (!copy_scalar('"', out) || !take(':')) return false;
  out.push_back(':');
  return true;
}

bool json_scanner::copy_value(std::string& out) {
  std::uint64_t objects = 0;  // one bit per open level, the innermost lowest: 1 is an object, 0 an array
  static_assert(kJsonDepthMax <= 64);
  unsigned depth = 0;
  for (;;) {
    const char first = peek();
    if (first == '{' || first == '[') {
      if (depth == kJsonDepthMax) return fail(json_fault::too_deep, "nested too deep");
      ++at_;
      ++depth;
      out.push_back(first);
      objects = (objects << 1U) | (first == '{' ? 1U : 0U);
      if (peek() != (first == '{' ? '}' : ']')) {
        if (first == '{' && !copy_member_name(out)) return false;
        continue;
      }
    } else if (!copy_scalar(first, out)) {
      return false;
    }
    // A value has ended, or an empty one is about to: close every level that ends here.
    for (;;) {
      if (depth == 0) return true;
      const bool object = (objects & 1U) != 0;
      const char next = peek();
      if (next == ',') {
        ++at_;
        out.push_back(',');
        if (object && !copy_member_name(out)) return false;
        break;
      }
      if (next != (object ? '}' : ']'))
        return fail(json_fault::malformed, "expected ',' or a closing bracket");
      ++at_;
      out.push_back(next);
      objects >>= 1U;
      --depth;
    }
  }
}

void unescape_json(std::string_view raw, std::string& out) {
  const char* at = raw.data();
  const char* const end = at + raw.size();
  while (at != end) {
    const auto* const next =
        static_cast<const char*>(std::memchr(at, '\\', static_cast<std::size_t>(end - at)));
    if (next == nullptr) {
      out.append(at, static_cast<std::size_t>(end - at));
      return;
    }
    out.append(at, static_cast<std::size_t>(next - at));
    at = next + 2;
    switch (next[1]) {
      case 'b':
        out.push_back('\b');
        break;
      case 'f':
        out.push_back('\f');
        break;
      case 'n':
        out.push_back('\n');
        break;
      case 'r':
        out.push_back('\r');
        break;
      case 't':
        out.push_back('\t');
        break;
      case 'u': {
        unsigned code = hex4(at);
        at += 4;
        if (code >= 0xD800 && code <= 0xDBFF) {
          code = 0x10000U + ((code - 0xD800U) << 10U) + (hex4(at + 2) - 0xDC00U);
          at += 6;
        }
        append_utf8(code, out);
        break;
      }
      default:
        out.push_back(next[1]);
        break;
    }
  }
}

bool append_compact_json(std::string_view text, std::string& out) {
  const std::size_t before = out.size();
  json_scanner scanner(text);
  if (scanner.copy_value(out) && scanner.at_end()) return true;
  out.resize(before);
  return false;
}

}  // namespace syncline::storage
