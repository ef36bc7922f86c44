// Rows of clients: whatever we accept is sent again as valid JSON that reads back to the same cells; and our
// JSON scanner agrees with an independent parser on what is JSON.
#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json.hpp>

#include "storage/json_text.h"
#include "storage/row_json.h"
#include "storage/row_reader.h"

using namespace syncline::storage;

namespace {

void check(bool held) {
  if (!held) std::abort();
}

resource every_type() {
  resource out;
  out.name = "r";
  for (const std::string_view name : {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}) {
    column c;
    c.name = name;
    c.type = static_cast<column_type>(out.columns.size() % 9);
    c.bytes_max = 1000;
    out.columns.push_back(std::move(c));
  }
  out.columns[9].as_string = true;  // a second int64
  out.key = {0, 3};                 // int64 and string
  return out;
}

bool same(const cell& a, const cell& b) {
  if (a.k != b.k) return false;
  if (a.k == cell::kind::integer) return a.integer == b.integer;
  if (a.k == cell::kind::real)
    return std::bit_cast<std::uint64_t>(a.real) == std::bit_cast<std::uint64_t>(b.real);
  return a.text == b.text;
}

// Boost.JSON reads numbers into doubles and gives up on exponents beyond an int, which the grammar allows: no
// verdict then.
enum class verdict : std::uint8_t { json, no_json, none };

verdict boost_says(std::string_view text, unsigned depth = kJsonDepthMax) {
  boost::json::parse_options options;
  options.max_depth = depth;
  boost::system::error_code failure;
  (void)boost::json::parse(text, failure, {}, options);
  if (failure == boost::json::error::exponent_overflow) return verdict::none;
  return failure.failed() ? verdict::no_json : verdict::json;
}

bool is_json(std::string_view text) {
  return boost_says(text) != verdict::no_json;
}

void check_resend(const resource& of, row_reader& reader, const std::vector<cell>& cells) {
  std::string sent;
  check(row_encoder(of, projection::all(of)).append(cells, sent).has_value());
  check(sent.find_first_of("\r\n") == std::string::npos);
  // A json column's value stands inside the row: one level more.
  check(boost_says(sent, kJsonDepthMax + 1) != verdict::no_json);
  text_arena arena;
  std::vector<cell> back(cells.size());
  check(!reader.read_json(sent, row_form::partial, arena, back));
  for (std::size_t i = 0; i < cells.size(); ++i) check(same(cells[i], back[i]));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  static const resource of = every_type();
  static row_reader reader(of);
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  std::vector<cell> cells(of.columns.size());
  text_arena arena;

  for (const row_form form : {row_form::patch, row_form::whole, row_form::partial}) {
    const auto fault = reader.read_json(text, form, arena, cells);
    if (!fault && form == row_form::partial) check_resend(of, reader, cells);
  }
  std::vector<row_reader::csv_field> fields;
  for (std::size_t i = 0; i < of.columns.size(); ++i)
    fields.push_back({text.substr(0, text.find(';')), (size & 1U) != 0});
  for (std::size_t i = 0, at = 0; i < fields.size() && at <= text.size(); ++i) {
    const std::size_t end = std::min(text.find(';', at), text.size());
    fields[i].text = text.substr(at, end - at);
    at = end + 1;
  }
  const std::vector<std::size_t> header = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  if (!reader.read_csv(header, fields, arena, cells)) check_resend(of, reader, cells);

  std::string compact;
  const bool ours = append_compact_json(text, compact);
  const verdict theirs = boost_says(text);
  check(theirs == verdict::none || ours == (theirs == verdict::json));
  if (ours) {
    std::string again;
    check(append_compact_json(compact, again) && again == compact);
    check(is_json(compact));
    const std::size_t half = text.size() / 2;
    for (const std::string_view other :
         {text.substr(0, half), text.substr(half), std::string_view(R"({"a":{"b":1},"c":[]})")}) {
      check(is_json(merge_patch_json(other, text)));
      check(!append_compact_json(other, again) || is_json(merge_patch_json(text, other)));
    }
  }
  std::string quoted;
  append_json_string(text, quoted);
  check(is_json(quoted));
  if (valid_utf8(text)) check(boost::json::parse(quoted).as_string() == text);
  return 0;
}
