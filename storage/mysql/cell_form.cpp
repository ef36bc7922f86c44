#include "storage/mysql/cell_form.h"

#include <string>

#include <boost/json/parse.hpp>

#include "storage/mysql/column_value.h"

namespace syncline::storage::mysql {

namespace {

constexpr std::size_t kSecondSize = 19;  // YYYY-MM-DD HH:MM:SS

// Without what says nothing: zeros at the end of a fraction, the point, the zone.
std::string_view without_tail(std::string_view text) noexcept {
  if (text.ends_with('Z')) text.remove_suffix(1);
  if (text.find('.') == std::string_view::npos) return text;
  while (text.ends_with('0')) text.remove_suffix(1);
  if (text.ends_with('.')) text.remove_suffix(1);
  return text;
}

bool same_time(std::string_view a, std::string_view b) noexcept {
  a = without_tail(a);
  b = without_tail(b);
  if (a.size() != b.size() || a.size() < kSecondSize) return a == b;
  // 'T' or a space between date and time.
  return a.substr(0, 10) == b.substr(0, 10) && a.substr(11) == b.substr(11);
}

bool same_json(std::string_view a, std::string_view b) {
  if (a == b) return true;
  boost::system::error_code failed;
  const boost::json::value left = boost::json::parse(a, failed);
  if (failed) return false;
  const boost::json::value right = boost::json::parse(b, failed);
  return !failed && left == right;
}

}  // namespace

net::result<cell> client_cell(storage::column_type declared, const column& of, std::string_view field,
                              text_arena& arena) {
  net::result<cell> out = decode_value(of, field, arena);
  if (!out || declared != storage::column_type::timestamp || out->k != cell::kind::text) return out;
  if (out->text.size() < kSecondSize || out->text[10] != ' ') return out;
  std::string text(out->text);
  text[10] = 'T';
  text.push_back('Z');
  out->text = arena.copy(text);
  return out;
}

cell server_cell(storage::column_type declared, const cell& value, text_arena& arena) {
  if (declared != storage::column_type::timestamp || value.k != cell::kind::text) return value;
  if (value.text.size() < kSecondSize) return value;
  std::string text(value.text);
  if (text.back() == 'Z') text.pop_back();
  if (text[10] == 'T') text[10] = ' ';
  return cell::of_text(arena.copy(text));
}

bool same_for_client(storage::column_type declared, const cell& stored, const cell& given) {
  if (same_value(stored, given)) return true;
  if (stored.k != cell::kind::text || given.k != cell::kind::text) return false;
  switch (declared) {
    case storage::column_type::timestamp:
      return same_time(stored.text, given.text);
    case storage::column_type::decimal:
      return without_tail(stored.text) == without_tail(given.text);
    case storage::column_type::json:
      return same_json(stored.text, given.text);
    default:
      return false;
  }
}

}  // namespace syncline::storage::mysql
