#include "storage/mysql/connector/bound_text.h"

#include "storage/mysql/literal.h"

namespace syncline::storage::mysql {

namespace {

// Behind the quoted text, name or comment that begins at `at`; `at` itself when none does.
std::size_t after_quoted(std::string_view sql, std::size_t at) {
  const char open = sql[at];
  if (open == '\'' || open == '"' || open == '`') {
    for (std::size_t i = at + 1; i < sql.size(); ++i) {
      if (sql[i] == '\\' && open != '`') {
        ++i;
      } else if (sql[i] == open) {
        return i + 1;  // a doubled quote begins the next piece, which comes to the same
      }
    }
    return sql.size();
  }
  const std::string_view rest = sql.substr(at);
  if (rest.starts_with("/*")) {
    const std::size_t end = sql.find("*/", at + 2);
    return end == std::string_view::npos ? sql.size() : end + 2;
  }
  if (open == '#' || rest.starts_with("-- ")) {
    const std::size_t end = sql.find('\n', at);
    return end == std::string_view::npos ? sql.size() : end + 1;
  }
  return at;
}

void append_argument(const argument& from, std::string& out) {
  switch (from.what()) {
    case argument::kind::null:
      return append_literal(cell::of_null(), out);
    case argument::kind::signed_integer:
      return append_literal(cell::of_int(from.signed_integer()), out);
    case argument::kind::unsigned_integer:
      out += std::to_string(from.unsigned_integer());
      return;
    case argument::kind::real:
      return append_literal(cell::of_real(from.real()), out);
    case argument::kind::text:
      return append_text_literal(from.text(), out);
    case argument::kind::blob:
      return append_blob_literal(from.text(), out);
  }
}

}  // namespace

std::optional<std::string> bound_text(std::string_view sql, std::span<const argument> with) {
  std::string out;
  out.reserve(sql.size() + 16 * with.size());
  std::size_t used = 0;
  for (std::size_t at = 0; at < sql.size();) {
    const std::size_t after = after_quoted(sql, at);
    if (after != at) {
      out.append(sql.substr(at, after - at));
      at = after;
    } else if (sql[at] != '?') {
      out.push_back(sql[at++]);
    } else {
      if (used == with.size()) return std::nullopt;
      append_argument(with[used++], out);
      ++at;
    }
  }
  if (used != with.size()) return std::nullopt;
  return out;
}

}  // namespace syncline::storage::mysql
