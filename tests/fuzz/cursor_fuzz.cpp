// What a client gives as cursor, key or scope never breaks us, and what we accept has exactly one spelling.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <boost/json.hpp>

#include "storage/cursor.h"
#include "storage/key.h"
#include "storage/row_json.h"

using namespace syncline::storage;

namespace {

void check(bool held) {
  if (!held) std::abort();
}

resource keyed_by(std::initializer_list<column_type> types) {
  resource out;
  out.name = "r";
  for (const column_type type : types) {
    column c;
    c.name = "k" + std::to_string(out.columns.size());
    c.type = type;
    out.key.push_back(out.columns.size());
    out.columns.push_back(std::move(c));
  }
  return out;
}

void fuzz_key(const resource& of, std::string_view text) {
  if (const auto canonical = key_from_path(of, text)) {
    const auto back = key_from_path(of, key_to_path(*canonical));
    check(back && *back == *canonical);
    text_arena arena;
    const auto cells = split_key(of, *canonical, arena);
    check(cells.has_value());
    const auto again = key_of_row(of, *cells);
    check(again && *again == *canonical);
    check(valid_utf8(*canonical));
  }
  text_arena arena;
  if (const auto cells = split_key(of, text, arena)) {
    const auto again = key_of_row(of, *cells);
    check(again && *again == text);
  }
  // The id of a sync line is JSON even when the feed holds bytes that are none.
  std::string id;
  append_key_json(of, text, id);
  boost::system::error_code failure;
  (void)boost::json::parse(id, failure);
  check(!failure.failed());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  static const resource one_integer = keyed_by({column_type::int64});
  static const resource one_text = keyed_by({column_type::string});
  static const resource three = keyed_by({column_type::int64, column_type::string, column_type::bytes});
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);

  if (const auto c = cursor::parse(text)) {
    check(c->text() == text);
    const auto back = cursor::parse(c->text());
    check(back && *back == *c);
  }
  for (const resource* of : {&one_integer, &one_text, &three}) fuzz_key(*of, text);
  if (const auto scope = parse_scope(text)) {
    text_arena arena;
    const auto value = scope_cell(one_text, scope_rule{"s", 0}, scope->value, arena);
    std::string spelled;
    check(value && append_key_part(column_type::string, *value, spelled));
    check(scope->value == spelled && scope->text() == text);
  }
  return 0;
}
