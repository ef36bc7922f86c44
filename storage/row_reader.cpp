#include "storage/row_reader.h"

#include <algorithm>
#include <utility>

#include "storage/base64.h"
#include "storage/json_text.h"
#include "storage/key.h"
#include "storage/row_json.h"
#include "storage/scalar_text.h"

namespace syncline::storage {

using fault = std::optional<row_fault>;

struct row_reader::state {
  state(const resource& r, std::size_t bytes_max);

  [[nodiscard]] fault read_member(json_scanner& in, std::size_t index, row_form form, text_arena& arena,
                                  cell& out);
  [[nodiscard]] fault read_number(const column& c, json_scanner& in, text_arena& arena, cell& out);
  [[nodiscard]] fault read_json_value(const column& c, json_scanner& in, text_arena& arena, cell& out);
  [[nodiscard]] fault from_json_string(const column& c, std::string_view text, text_arena& arena, cell& out);
  [[nodiscard]] fault from_csv_text(const column& c, std::string_view text, text_arena& arena, cell& out);
  [[nodiscard]] fault from_text(const column& c, std::string_view text, text_arena& arena, cell& out);
  [[nodiscard]] fault null_value(std::size_t index, cell& out) const;
  [[nodiscard]] fault check_complete(row_form form, std::span<const cell> row);
  [[nodiscard]] fault find_member(json_scanner& in, std::size_t expected, std::size_t& index);

  const resource* of;
  std::size_t row_bytes_max;
  std::vector<bool> is_key;
  bool text_key = false;  // the key has a column whose length is not bounded by its type
  std::string name;       // an unescaped member name
  std::string text;       // an unescaped value, or compact JSON
  std::string stored;     // a value in the spelling that is stored
  std::string key_text;
};

namespace {

fault refuse(std::string_view code, std::string_view column, std::string detail) {
  return row_fault{code, std::string(column), std::move(detail)};
}

fault refuse_json(const json_scanner& in, std::string_view column) {
  const std::string_view code = in.fault() == json_fault::invalid_utf8 ? "invalid-utf8" : "malformed-json";
  return refuse(code, column, std::string(in.reason()) + " at byte " + std::to_string(in.offset()));
}

std::string_view expected_text(const column& c) {
  switch (c.type) {
    case column_type::int64:
      return c.as_string ? "expected an integer as string or number" : "expected an integer";
    case column_type::float64:
      return "expected a number";
    case column_type::boolean:
      return "expected true or false";
    case column_type::string:
      return "expected a string";
    case column_type::json:
      return "expected JSON";
    case column_type::timestamp:
      return "expected a timestamp such as \"2026-11-20T12:00:00Z\"";
    case column_type::date:
      return "expected a date such as \"2026-11-20\"";
    case column_type::decimal:
      return "expected a decimal number as string, or an integer";
    case column_type::bytes:
      return "expected base64 (RFC 4648 section 4)";
  }
  return "expected another type";
}

fault wrong_type(const column& c) {
  return refuse("wrong-type", c.name, std::string(expected_text(c)));
}

fault out_of_range(const column& c) {
  return refuse("out-of-range", c.name,
                "the value is outside what " + std::string(to_string(c.type)) + " can hold");
}

fault of_text_fault(const column& c, text_fault what) {
  return what == text_fault::range ? out_of_range(c) : wrong_type(c);
}

fault bounded_copy(const column& c, std::string_view text, text_arena& arena, cell& out) {
  if (text.size() > c.bytes_max) {
    return refuse(
        "too-long", c.name,
        std::to_string(text.size()) + " bytes; at most " + std::to_string(c.bytes_max) + " are allowed");
  }
  const std::string_view kept = arena.copy(text);
  out = c.type == column_type::bytes ? cell::of_blob(kept) : cell::of_text(kept);
  return std::nullopt;
}

fault int64_value(const column& c, std::string_view text, cell& out) {
  std::int64_t value = 0;
  if (text != "-0") {
    if (const text_fault wrong = parse_int64(text, value); wrong != text_fault::none)
      return of_text_fault(c, wrong);
  }
  out = cell::of_int(value);
  return std::nullopt;
}

fault float64_value(const column& c, std::string_view text, cell& out) {
  double value = 0;
  if (const text_fault wrong = parse_double(text, value); wrong != text_fault::none)
    return of_text_fault(c, wrong);
  out = cell::of_real(value);
  return std::nullopt;
}

}  // namespace

row_reader::state::state(const resource& r, std::size_t bytes_max) : of(&r), row_bytes_max(bytes_max) {
  is_key.resize(r.columns.size());
  for (const std::size_t index : r.key) {
    is_key[index] = true;
    const column_type type = r.columns[index].type;
    text_key =
        text_key || type == column_type::string || type == column_type::bytes || type == column_type::decimal;
  }
}

fault row_reader::state::null_value(std::size_t index, cell& out) const {
  const column& c = of->columns[index];
  if (is_key[index]) return refuse("missing-key", c.name, "the key is null");
  if (!c.nullable) return refuse("null-not-allowed", c.name, "the column is NOT NULL");
  out = cell::of_null();
  return std::nullopt;
}

// Types that both JSON strings and CSV fields write as plain text.
fault row_reader::state::from_text(const column& c, std::string_view value, text_arena& arena, cell& out) {
  text_fault wrong = text_fault::none;
  switch (c.type) {
    case column_type::string:
      return bounded_copy(c, value, arena, out);
    case column_type::date:
      wrong = check_date(value);
      if (wrong != text_fault::none) return of_text_fault(c, wrong);
      return bounded_copy(c, value, arena, out);
    case column_type::timestamp:
    case column_type::decimal:
    case column_type::bytes:
      break;
    default:
      return wrong_type(c);
  }
  stored.clear();
  if (c.type == column_type::timestamp) {
    wrong = append_timestamp(value, stored);
  } else {
    const bool good = c.type == column_type::decimal ? append_decimal(value, stored)
                                                     : decode_base64(value, base64_form::padded, stored);
    if (!good) wrong = text_fault::format;
  }
  if (wrong != text_fault::none) return of_text_fault(c, wrong);
  return bounded_copy(c, stored, arena, out);
}

fault row_reader::state::from_json_string(const column& c, std::string_view value, text_arena& arena,
                                          cell& out) {
  if (c.type == column_type::int64 && c.as_string) return int64_value(c, value, out);
  return from_text(c, value, arena, out);
}

fault row_reader::state::from_csv_text(const column& c, std::string_view value, text_arena& arena,
                                       cell& out) {
  if (!valid_utf8(value)) return refuse("invalid-utf8", c.name, "invalid UTF-8");
  if (value.find('\0') != std::string_view::npos)
    return refuse("nul-in-text", c.name, "the text has a NUL character");
  switch (c.type) {
    case column_type::int64:
      return int64_value(c, value, out);
    case column_type::float64:
      return float64_value(c, value, out);
    case column_type::boolean:
      if (value != "true" && value != "false" && value != "1" && value != "0") return wrong_type(c);
      out = cell::of_int(value == "true" || value == "1" ? 1 : 0);
      return std::nullopt;
    case column_type::json:
      text.clear();
      if (!append_compact_json(value, text)) return wrong_type(c);
      return bounded_copy(c, text, arena, out);
    default:
      return from_text(c, value, arena, out);
  }
}

fault row_reader::state::read_json_value(const column& c, json_scanner& in, text_arena& arena, cell& out) {
  text.clear();
  if (!in.copy_value(text)) return refuse_json(in, c.name);
  return bounded_copy(c, text, arena, out);
}

fault row_reader::state::read_number(const column& c, json_scanner& in, text_arena& arena, cell& out) {
  json_number number;
  if (!in.read_number(number)) return refuse_json(in, c.name);
  switch (c.type) {
    case column_type::int64:
      return number.integer ? int64_value(c, number.text, out) : wrong_type(c);
    case column_type::float64:
      return float64_value(c, number.text, out);
    case column_type::decimal:
      return number.integer ? from_text(c, number.text, arena, out) : wrong_type(c);
    default:
      return wrong_type(c);
  }
}

fault row_reader::state::read_member(json_scanner& in, std::size_t index, row_form form, text_arena& arena,
                                     cell& out) {
  const column& c = of->columns[index];
  if (out.present()) return refuse("duplicate-member", c.name, "the member is given twice");
  if (form == row_form::patch && is_key[index])
    return refuse("key-change", c.name, "a patch cannot set the key");
  const char first = in.peek();
  if (first == 'n') {
    if (!in.take_word("null")) return refuse_json(in, c.name);
    return null_value(index, out);
  }
  if (c.type == column_type::json) return read_json_value(c, in, arena, out);
  switch (first) {
    case '"': {
      json_string token;
      if (!in.read_string(token)) return refuse_json(in, c.name);
      if (!token.escaped) return from_json_string(c, token.raw, arena, out);
      text.clear();
      unescape_json(token.raw, text);
      if (text.find('\0') != std::string::npos)
        return refuse("nul-in-text", c.name, "the text has a NUL character");
      return from_json_string(c, text, arena, out);
    }
    case 't':
    case 'f':
      if (!in.take_word(first == 't' ? "true" : "false")) return refuse_json(in, c.name);
      if (c.type != column_type::boolean) return wrong_type(c);
      out = cell::of_int(first == 't' ? 1 : 0);
      return std::nullopt;
    case '{':
    case '[':
      return wrong_type(c);
    default:
      return read_number(c, in, arena, out);
  }
}

// Reads a member's name; rows mostly come in declared order, so the expected column is tried first.
fault row_reader::state::find_member(json_scanner& in, std::size_t expected, std::size_t& index) {
  json_string token;
  (void)in.peek();
  if (!in.read_string(token)) return refuse_json(in, {});
  std::string_view member = token.raw;
  if (token.escaped) {
    name.clear();
    unescape_json(token.raw, name);
    member = name;
  }
  if (!in.take(':')) return refuse_json(in, {});
  if (expected < of->columns.size() && of->columns[expected].name == member) {
    index = expected;
    return std::nullopt;
  }
  const auto found = of->find_column(member);
  if (!found) return refuse("unknown-column", member.substr(0, 128), of->name + " has no such column");
  index = *found;
  return std::nullopt;
}

fault row_reader::state::check_complete(row_form form, std::span<const cell> row) {
  if (form == row_form::patch) return std::nullopt;
  bool key_given = true;
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (row[i].present()) continue;
    const column& c = of->columns[i];
    if (is_key[i]) {
      key_given = false;
      if (form != row_form::replace && !c.has_default)
        return refuse("missing-key", c.name, "the key is missing");
    } else if (form != row_form::partial && !c.nullable && !c.has_default) {
      return refuse("missing-column", c.name, "the column is NOT NULL and has no default");
    }
  }
  if (!text_key || !key_given) return std::nullopt;
  key_text.clear();
  for (const std::size_t index : of->key) {
    if (!append_key_part(of->columns[index].type, row[index], key_text))
      return wrong_type(of->columns[index]);
    key_text.push_back(',');
  }
  if (key_text.size() <= kKeyBytesMax + 1) return std::nullopt;
  return refuse("too-long", of->columns[of->key.front()].name,
                "the key is longer than " + std::to_string(kKeyBytesMax) + " bytes");
}

row_reader::row_reader(const resource& of, std::size_t row_bytes_max)
    : state_(std::make_unique<state>(of, row_bytes_max)) {}
row_reader::~row_reader() = default;
row_reader::row_reader(row_reader&&) noexcept = default;

std::optional<row_fault> row_reader::read_json(std::string_view object, row_form form, text_arena& arena,
                                               std::span<cell> out) {
  std::fill(out.begin(), out.end(), cell{});
  if (object.size() > state_->row_bytes_max) {
    return refuse("row-too-large", {},
                  "at most " + std::to_string(state_->row_bytes_max) + " bytes are allowed");
  }
  json_scanner in(object);
  if (!in.take('{')) return refuse_json(in, {});
  std::size_t expected = 0;
  char next = in.peek();
  while (next != '}') {
    std::size_t index = 0;
    if (fault wrong = state_->find_member(in, expected, index)) return wrong;
    if (fault wrong = state_->read_member(in, index, form, arena, out[index])) return wrong;
    expected = index + 1;
    next = in.peek();
    if (next == '}') break;
    if (next != ',') {
      in.fail(json_fault::malformed, "expected ',' or '}'");
      return refuse_json(in, {});
    }
    if (!in.take(',')) return refuse_json(in, {});
  }
  if (!in.take('}')) return refuse_json(in, {});
  if (!in.at_end()) {
    in.fail(json_fault::malformed, "text after the object");
    return refuse_json(in, {});
  }
  return state_->check_complete(form, out);
}

std::optional<row_fault> row_reader::read_csv(std::span<const std::size_t> header,
                                              std::span<const csv_field> fields, text_arena& arena,
                                              std::span<cell> out) {
  std::fill(out.begin(), out.end(), cell{});
  if (fields.size() != header.size()) {
    return refuse("field-count", {},
                  std::to_string(fields.size()) + " fields; the header has " + std::to_string(header.size()));
  }
  std::size_t bytes = 0;
  for (const csv_field& f : fields) bytes += f.text.size() + 1;
  if (bytes > state_->row_bytes_max) {
    return refuse("row-too-large", {},
                  "at most " + std::to_string(state_->row_bytes_max) + " bytes are allowed");
  }
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const std::size_t index = header[i];
    const column& c = state_->of->columns[index];
    if (!fields[i].text.empty() || fields[i].quoted) {
      if (fault wrong = state_->from_csv_text(c, fields[i].text, arena, out[index])) return wrong;
    } else if (!c.has_default || (!state_->is_key[index] && c.nullable)) {
      if (fault wrong = state_->null_value(index, out[index])) return wrong;
    }
  }
  return state_->check_complete(row_form::partial, out);
}

}  // namespace syncline::storage
