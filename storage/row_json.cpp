#include "storage/row_json.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "storage/base64.h"
#include "storage/json_text.h"
#include "storage/scalar_text.h"
#include "storage/text_scan.h"

namespace syncline::storage {
namespace {

constexpr std::string_view kLowerHexDigits = "0123456789abcdef";
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

void append_escape(unsigned char c, std::string& out) {
  switch (c) {
    case '"':
      out.append("\\\"");
      return;
    case '\\':
      out.append("\\\\");
      return;
    case '\b':
      out.append("\\b");
      return;
    case '\f':
      out.append("\\f");
      return;
    case '\n':
      out.append("\\n");
      return;
    case '\r':
      out.append("\\r");
      return;
    case '\t':
      out.append("\\t");
      return;
    default:
      out.append("\\u00");
      out.push_back(kLowerHexDigits[c >> 4U]);
      out.push_back(kLowerHexDigits[c & 15U]);
  }
}

// Checks and escapes in one pass over the text. Bytes that are no UTF-8 end it (`strict`) or become U+FFFD.
template <bool kStrict>
bool append_quoted(std::string_view text, std::string& out) {
  out.push_back('"');
  const char* at = text.data();
  const char* const end = at + text.size();
  const char* copied = at;
  const auto copy_until_here = [&] { out.append(copied, static_cast<std::size_t>(at - copied)); };
  while ((at = find_special(at, end)) != end) {
    const auto c = static_cast<unsigned char>(*at);
    if (c >= 0x80) {
      const std::size_t length = utf8_sequence(at, end);
      if (length != 0) {
        at += length;
        continue;
      }
      if constexpr (kStrict) return false;
      copy_until_here();
      out.append(kReplacement);
    } else {
      copy_until_here();
      append_escape(c, out);
    }
    copied = ++at;
  }
  copy_until_here();
  out.push_back('"');
  return true;
}

using refusal = const char*;  // why a value cannot be sent, or nullptr

refusal append_text_value(const cell& value, std::string& out) {
  if (value.k != cell::kind::text) return "not text";
  return append_quoted<true>(value.text, out) ? nullptr : "invalid UTF-8";
}

refusal append_string_value(const cell& value, std::string& out) {
  // SQLite keeps integers in columns whose declared type it does not know as text.
  if (value.k != cell::kind::integer) return append_text_value(value, out);
  out.push_back('"');
  append_int64(value.integer, out);
  out.push_back('"');
  return nullptr;
}

refusal append_int64_value(const cell& value, bool as_string, std::string& out) {
  if (value.k != cell::kind::integer) return "not an integer";
  if (as_string) out.push_back('"');
  append_int64(value.integer, out);
  if (as_string) out.push_back('"');
  return nullptr;
}

refusal append_float64_value(const cell& value, std::string& out) {
  if (value.k != cell::kind::real && value.k != cell::kind::integer) return "not a number";
  const double number = value.k == cell::kind::real ? value.real : static_cast<double>(value.integer);
  if (!std::isfinite(number)) return "not finite";
  append_double(number, out);
  return nullptr;
}

refusal append_boolean_value(const cell& value, std::string& out) {
  if (value.k != cell::kind::integer || (value.integer != 0 && value.integer != 1)) return "neither 0 nor 1";
  out.append(value.integer != 0 ? "true" : "false");
  return nullptr;
}

refusal append_decimal_value(const cell& value, std::string& out) {
  if (value.k == cell::kind::text && !is_decimal(value.text)) return "not a decimal number";
  if (value.k != cell::kind::real) return append_string_value(value, out);
  // SQLite turns the text of a column declared DECIMAL or NUMERIC into a number.
  if (!std::isfinite(value.real)) return "not finite";
  out.push_back('"');
  append_plain_double(value.real, out);
  out.push_back('"');
  return nullptr;
}

refusal append_json_value(const cell& value, std::string& out) {
  // SQLite gives a column declared JSON numeric affinity: stored "5" comes back as the integer 5.
  if (value.k == cell::kind::integer) return append_int64_value(value, false, out);
  if (value.k == cell::kind::real) return append_float64_value(value, out);
  if (value.k != cell::kind::text) return "not text";
  return append_compact_json(value.text, out) ? nullptr : "malformed JSON";
}

refusal append_bytes_value(const cell& value, std::string& out) {
  if (value.k != cell::kind::blob && value.k != cell::kind::text) return "not bytes";
  out.push_back('"');
  append_base64(value.text, base64_form::padded, out);
  out.push_back('"');
  return nullptr;
}

refusal append_value(const column& c, const cell& value, std::string& out) {
  if (value.k == cell::kind::null) {
    out.append("null");
    return nullptr;
  }
  switch (c.type) {
    case column_type::int64:
      return append_int64_value(value, c.as_string, out);
    case column_type::float64:
      return append_float64_value(value, out);
    case column_type::boolean:
      return append_boolean_value(value, out);
    case column_type::string:
      return append_string_value(value, out);
    case column_type::json:
      return append_json_value(value, out);
    case column_type::timestamp:
    case column_type::date:
      return append_text_value(value, out);
    case column_type::decimal:
      return append_decimal_value(value, out);
    case column_type::bytes:
      return append_bytes_value(value, out);
  }
  return "of unknown type";
}

}  // namespace

projection projection::all(const resource& of) {
  projection out;
  out.columns.resize(of.columns.size());
  for (std::size_t i = 0; i < out.columns.size(); ++i) out.columns[i] = i;
  return out;
}

net::result<projection> projection::from_fields(const resource& of, std::string_view fields) {
  projection out;
  for (;;) {
    const std::size_t comma = fields.find(',');
    const std::string_view name = fields.substr(0, comma);
    const auto index = of.find_column(name);
    if (!index)
      return net::error(net::errc::invalid, "unknown field",
                        of.name + " has no column \"" + std::string(name) + "\"");
    if (std::find(out.columns.begin(), out.columns.end(), *index) != out.columns.end()) {
      return net::error(net::errc::invalid, "repeated field", std::string(name));
    }
    out.columns.push_back(*index);
    if (comma == std::string_view::npos) return out;
    fields.remove_prefix(comma + 1);
  }
}

row_encoder::row_encoder(const resource& of, const projection& what) : of_(&of), what_(what) {
  prefixes_.reserve(what_.columns.size());
  for (const std::size_t index : what_.columns) {
    const column& c = of.columns[index];
    std::string prefix = ",";
    append_json_string(what_.short_names && !c.short_name.empty() ? c.short_name : c.name, prefix);
    prefix.push_back(':');
    prefixes_.push_back(std::move(prefix));
  }
}

net::result<void> row_encoder::append(std::span<const cell> row, std::string& out) const {
  const std::size_t before = out.size();
  if (row.size() != prefixes_.size()) {
    return net::error(net::errc::internal, "a row has another number of cells than its projection",
                      of_->name);
  }
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (!row[i].present()) continue;
    out.append(prefixes_[i]);
    const column& c = of_->columns[what_.columns[i]];
    if (const refusal why = append_value(c, row[i], out); why != nullptr) {
      out.resize(before);
      return net::error(net::errc::corrupt, "a stored value does not fit its declared type",
                        of_->name + "." + c.name + " (" + std::string(to_string(c.type)) + ") is " + why);
    }
  }
  if (out.size() == before) {
    out.append("{}");
    return {};
  }
  out[before] = '{';  // the first member's prefix begins with a comma
  out.push_back('}');
  return {};
}

void append_json_string(std::string_view text, std::string& out) {
  (void)append_quoted<false>(text, out);
}

bool valid_utf8(std::string_view text) noexcept {
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    if (end - at >= 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, at, sizeof word);
      if ((word & 0x8080808080808080U) == 0) {
        at += 8;
        continue;
      }
    }
    const std::size_t length = utf8_sequence(at, end);
    if (length == 0) return false;
    at += length;
  }
  return true;
}

std::uint64_t hash_bytes(std::string_view bytes) noexcept {
  return XXH3_64bits(bytes.data(), bytes.size());
}

std::string etag_of(std::string_view bytes) {
  const std::uint64_t hash = hash_bytes(bytes);
  std::string out(18, '"');
  for (std::size_t i = 0; i < 16; ++i) out[1 + i] = kLowerHexDigits[(hash >> (60 - 4 * i)) & 15U];
  return out;
}

}  // namespace syncline::storage
