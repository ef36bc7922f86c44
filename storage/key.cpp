#include "storage/key.h"

#include <algorithm>

#include "storage/row_json.h"
#include "storage/scalar_text.h"
#include "storage/text_scan.h"

namespace syncline::storage {
namespace {

constexpr std::string_view kHexDigits = "0123456789ABCDEF";

void append_hex_byte(unsigned char byte, std::string& out) {
  out.push_back(kHexDigits[byte >> 4U]);
  out.push_back(kHexDigits[byte & 15U]);
}

void append_escaped(std::string_view text, std::string& out) {
  for (const char c : text) {
    if (c == '%') {
      out.append("%25");
    } else if (c == ',') {
      out.append("%2C");
    } else {
      out.push_back(c);
    }
  }
}

// False when a '%' begins neither %25 nor %2C, or a ',' stands for itself.
bool append_unescaped(std::string_view canonical, std::string& out) {
  for (std::size_t i = 0; i < canonical.size(); ++i) {
    const char c = canonical[i];
    if (c == ',') return false;
    if (c != '%') {
      out.push_back(c);
      continue;
    }
    const std::string_view code = canonical.substr(i, 3);
    if (code != "%25" && code != "%2C") return false;
    out.push_back(code == "%25" ? '%' : ',');
    i += 2;
  }
  return true;
}

// RFC 3986 section 2.1; '+' is no space in a path.
bool percent_decode(std::string_view text, std::string& out) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    if (text.size() - i < 3) return false;
    const int high = hex_value(text[i + 1]);
    const int low = hex_value(text[i + 2]);
    if (high < 0 || low < 0) return false;
    out.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return true;
}

bool unhex(std::string_view hex, std::string& out) {
  if (hex.size() % 2 != 0) return false;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    const int high = hex_value(hex[i]);
    const int low = hex_value(hex[i + 1]);
    if (high < 0 || low < 0) return false;
    out.push_back(static_cast<char>(high * 16 + low));
  }
  return true;
}

std::string where(const resource& of, std::size_t column_index) {
  return of.name + "." + of.columns[column_index].name;
}

std::string expected(const resource& of, std::size_t column_index) {
  const column& c = of.columns[column_index];
  std::string out = where(of, column_index) + " is " + std::string(to_string(c.type));
  if (c.spelling.of != value_spelling::form::verbatim) out += ", written as " + canonical_example(c.spelling);
  return out;
}

net::error wrong_value(const resource& of, std::size_t column_index) {
  return {net::errc::invalid, "the value does not fit the key column", expected(of, column_index)};
}

net::error wrong_scope(const resource& of, const scope_rule& rule) {
  return {net::errc::invalid, "the scope's value does not fit its column", expected(of, rule.column)};
}

// One canonical part to a cell; false when the text is not canonical for the type.
bool part_to_cell(column_type type, std::string_view part, text_arena& arena, cell& out) {
  switch (type) {
    case column_type::int64:
    case column_type::boolean: {
      std::int64_t value = 0;
      if (parse_int64(part, value) != text_fault::none) return false;
      if (type == column_type::boolean && value != 0 && value != 1) return false;
      out = cell::of_int(value);
      return true;
    }
    case column_type::bytes: {
      std::string bytes;
      if (std::any_of(part.begin(), part.end(), [](char c) { return c >= 'a' && c <= 'f'; }) ||
          !unhex(part, bytes)) {
        return false;
      }
      out = cell::of_blob(arena.copy(bytes));
      return true;
    }
    case column_type::string:
    case column_type::timestamp:
    case column_type::date:
    case column_type::decimal: {
      std::string text;
      if (!append_unescaped(part, text)) return false;
      out = cell::of_text(arena.copy(text));
      return true;
    }
    case column_type::float64:
    case column_type::json:
      return false;
  }
  return false;
}

// Splits at commas into exactly `count` parts and gives each to `use(index, part)`; false when the count
// differs.
template <class Use>
bool split_parts(std::string_view text, std::size_t count, Use&& use) {
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t comma = text.find(',');
    if ((comma == std::string_view::npos) != (i + 1 == count)) return false;
    if (!use(i, text.substr(0, comma))) return true;
    if (comma != std::string_view::npos) text.remove_prefix(comma + 1);
  }
  return true;
}

net::error wrong_count(const resource& of) {
  std::string names;
  for (const std::size_t index : of.key) {
    if (!names.empty()) names.push_back(',');
    names.append(of.columns[index].name);
  }
  return {net::errc::invalid, "the key has another number of columns", of.name + " has the key " + names};
}

net::error too_long(const resource& of) {
  return {net::errc::invalid, "the key is too long",
          of.name + ": at most " + std::to_string(kKeyBytesMax) + " bytes"};
}

// What a client wrote for one key column, decoded, to its canonical text.
bool append_client_part(const column& c, const std::string& text, std::string& out) {
  if (!valid_utf8(text) || text.find('\0') != std::string::npos) return false;
  const column_type type = c.type;
  if (c.spelling.of != value_spelling::form::verbatim) return append_canonical(c.spelling, text, out);
  switch (type) {
    case column_type::int64:
    case column_type::boolean: {
      std::int64_t value = 0;
      if (parse_int64(text, value) != text_fault::none) return false;
      if (type == column_type::boolean && value != 0 && value != 1) return false;
      out.append(text);
      return true;
    }
    case column_type::bytes: {
      std::string bytes;
      return unhex(text, bytes) && append_key_part(type, cell::of_blob(bytes), out);
    }
    default:
      return append_key_part(type, cell::of_text(text), out);
  }
}

// The same for text that is escaped as in canonical keys.
bool append_escaped_part(const column& c, std::string_view part, std::string& out) {
  // None of these values has a character that is escaped.
  if (c.spelling.of != value_spelling::form::verbatim) return append_canonical(c.spelling, part, out);
  text_arena arena;
  cell ignored;
  if (!part_to_cell(c.type, part, arena, ignored)) return false;
  out.append(part);
  return true;
}

// A value of a row, which may be spelled in another way than the database keeps it.
bool append_row_part(const column& c, const cell& value, std::string& out) {
  if (c.spelling.of == value_spelling::form::verbatim) return append_key_part(c.type, value, out);
  std::string given;
  return append_key_part(c.type, value, given) && append_canonical(c.spelling, given, out);
}

}  // namespace

bool append_key_part(column_type type, const cell& value, std::string& out) {
  const bool integer = value.k == cell::kind::integer;
  const bool text = value.k == cell::kind::text;
  switch (type) {
    case column_type::int64:
    case column_type::boolean:
      if (!integer) return false;
      append_int64(value.integer, out);
      return true;
    case column_type::bytes:
      if (!text && value.k != cell::kind::blob) return false;
      for (const char c : value.text) append_hex_byte(static_cast<unsigned char>(c), out);
      return true;
    case column_type::string:
    case column_type::timestamp:
    case column_type::date:
    case column_type::decimal:
      // SQLite keeps integers in columns whose declared type it does not know as text; their text is their
      // digits.
      if (integer) append_int64(value.integer, out);
      if (text) append_escaped(value.text, out);
      return integer || text;
    case column_type::float64:
    case column_type::json:
      return false;
  }
  return false;
}

net::result<std::string> key_of_row(const resource& of, std::span<const cell> row) {
  std::string out;
  for (std::size_t i = 0; i < of.key.size(); ++i) {
    const std::size_t index = of.key[i];
    if (i > 0) out.push_back(',');
    if (index >= row.size() || !append_row_part(of.columns[index], row[index], out))
      return wrong_value(of, index);
  }
  if (out.size() > kKeyBytesMax) return too_long(of);
  return out;
}

net::result<std::string> canonical_key(const resource& of, std::string_view text) {
  if (text.size() > kKeyBytesMax) return too_long(of);
  std::string out;
  std::size_t wrong = of.key.size();
  const bool counted = split_parts(text, of.key.size(), [&](std::size_t i, std::string_view part) {
    if (i > 0) out.push_back(',');
    if (append_escaped_part(of.columns[of.key[i]], part, out)) return true;
    wrong = i;
    return false;
  });
  if (!counted) return wrong_count(of);
  if (wrong != of.key.size()) return wrong_value(of, of.key[wrong]);
  if (out.size() > kKeyBytesMax) return too_long(of);
  return out;
}

net::result<std::vector<cell>> split_key(const resource& of, std::string_view canonical, text_arena& arena) {
  if (canonical.size() > kKeyBytesMax) return too_long(of);
  std::vector<cell> out(of.key.size());
  std::size_t wrong = of.key.size();
  const bool counted = split_parts(canonical, of.key.size(), [&](std::size_t i, std::string_view part) {
    if (part_to_cell(of.columns[of.key[i]].type, part, arena, out[i])) return true;
    wrong = i;
    return false;
  });
  if (!counted) return wrong_count(of);
  if (wrong != of.key.size()) return wrong_value(of, of.key[wrong]);
  return out;
}

net::result<std::string> key_from_path(const resource& of, std::string_view segment) {
  // Percent-encoding makes three bytes of one, and the canonical form may do so again for '%' and ','.
  if (segment.size() > 3 * kKeyBytesMax) return too_long(of);
  std::string out;
  std::string part;
  std::size_t wrong = of.key.size();
  const bool counted = split_parts(segment, of.key.size(), [&](std::size_t i, std::string_view encoded) {
    part.clear();
    if (i > 0) out.push_back(',');
    if (percent_decode(encoded, part) && append_client_part(of.columns[of.key[i]], part, out)) return true;
    wrong = i;
    return false;
  });
  if (!counted) return wrong_count(of);
  if (wrong != of.key.size()) return wrong_value(of, of.key[wrong]);
  if (out.size() > kKeyBytesMax) return too_long(of);
  return out;
}

std::string key_to_path(std::string_view canonical) {
  std::string out;
  out.reserve(canonical.size());
  for (const char c : canonical) {
    const bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~' || c == ':' || c == '@';
    // ',' separates columns, and the %25 and %2C of the canonical form are percent-encoding already.
    if (plain || c == ',' || c == '%') {
      out.push_back(c);
    } else {
      out.push_back('%');
      append_hex_byte(static_cast<unsigned char>(c), out);
    }
  }
  return out;
}

void append_key_json(const resource& of, std::string_view canonical, std::string& out) {
  if (of.key.size() != 1) {
    append_json_string(canonical, out);
    return;
  }
  const column& only = of.columns[of.key.front()];
  std::int64_t value = 0;
  if (only.type == column_type::int64 && !only.as_string &&
      parse_int64(canonical, value) == text_fault::none) {
    out.append(canonical);
    return;
  }
  std::string text;
  append_json_string(append_unescaped(canonical, text) ? std::string_view(text) : canonical, out);
}

net::result<scope_text> parse_scope(std::string_view text) {
  const auto wrong = [](std::string detail) {
    return net::error(net::errc::invalid, "wrong scope", std::move(detail));
  };
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return wrong("expected name:value, such as user:42");
  const std::string_view name = text.substr(0, colon);
  const std::string_view value = text.substr(colon + 1);
  const bool named = std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
  if (name.empty() || !named) return wrong("the name before ':' may have letters, digits, '_' and '-'");
  if (value.empty()) return wrong("the value after ':' is empty");
  if (value.size() > kKeyBytesMax) return wrong("the value is too long");
  if (!valid_utf8(value) || value.find('\0') != std::string_view::npos)
    return wrong("the value is not valid UTF-8 text");
  std::string raw;
  if (!append_unescaped(value, raw)) return wrong("',' in the value is written %2C and '%' is written %25");
  return scope_text{std::string(name), std::string(value)};
}

net::result<std::string> canonical_scope_value(const resource& of, const scope_rule& rule,
                                               std::string_view value) {
  std::string out;
  if (value.size() <= kKeyBytesMax && append_escaped_part(of.columns[rule.column], value, out)) return out;
  return wrong_scope(of, rule);
}

net::result<cell> scope_cell(const resource& of, const scope_rule& rule, std::string_view canonical_value,
                             text_arena& arena) {
  cell out;
  if (canonical_value.size() <= kKeyBytesMax &&
      part_to_cell(of.columns[rule.column].type, canonical_value, arena, out)) {
    return out;
  }
  return wrong_scope(of, rule);
}

}  // namespace syncline::storage
