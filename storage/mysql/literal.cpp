#include "storage/mysql/literal.h"

#include "storage/scalar_text.h"

namespace syncline::storage::mysql {

namespace {

// The bytes that end a literal or begin an escape in it; NUL as well, since some tools between cut there.
void append_quoted(std::string_view bytes, std::string& out) {
  out.push_back('\'');
  std::size_t from = 0;
  constexpr std::string_view kSpecial("'\\\0", 3);
  for (std::size_t at = bytes.find_first_of(kSpecial); at != std::string_view::npos;
       at = bytes.find_first_of(kSpecial, from)) {
    out.append(bytes.substr(from, at - from));
    out.push_back('\\');
    out.push_back(bytes[at] == '\0' ? '0' : bytes[at]);
    from = at + 1;
  }
  out.append(bytes.substr(from));
  out.push_back('\'');
}

}  // namespace

void append_identifier(std::string_view name, std::string& out) {
  out.push_back('`');
  for (const char c : name) {
    if (c == '`') out.push_back('`');
    out.push_back(c);
  }
  out.push_back('`');
}

std::string identifier(std::string_view name) {
  std::string out;
  append_identifier(name, out);
  return out;
}

void append_text_literal(std::string_view text, std::string& out) {
  append_quoted(text, out);
}

void append_blob_literal(std::string_view bytes, std::string& out) {
  out.append("_binary");
  append_quoted(bytes, out);
}

std::string text_literal(std::string_view text) {
  std::string out;
  append_text_literal(text, out);
  return out;
}

std::string blob_literal(std::string_view bytes) {
  std::string out;
  append_blob_literal(bytes, out);
  return out;
}

void append_literal(const cell& value, std::string& out) {
  switch (value.k) {
    case cell::kind::integer:
      return append_int64(value.integer, out);
    case cell::kind::real: {
      const std::size_t from = out.size();
      append_double(value.real, out);
      if (out.find('e', from) == std::string::npos) out.append("e0");
      return;
    }
    case cell::kind::text:
      return append_text_literal(value.text, out);
    case cell::kind::blob:
      return append_blob_literal(value.text, out);
    case cell::kind::absent:
    case cell::kind::null:
      break;
  }
  out.append("NULL");
}

std::vector<std::string> session_setup(std::uint32_t lock_wait_timeout_s) {
  return {"SET NAMES utf8mb4",
          // NO_AUTO_VALUE_ON_ZERO: a key of 0 is a key, and not a wish for the next number.
          // ALLOW_INVALID_DATES: every date that a table may hold can be asked for; without it MySQL refuses
          // 2024-02-31, or takes it for 0000-00-00.
          "SET SESSION time_zone='+00:00', "
          "sql_mode='STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION,NO_AUTO_VALUE_ON_ZERO,"
          "ALLOW_INVALID_DATES', "
          "transaction_isolation='READ-COMMITTED', autocommit=1, foreign_key_checks=1, unique_checks=1, "
          "innodb_lock_wait_timeout=" +
              std::to_string(lock_wait_timeout_s)};
}

}  // namespace syncline::storage::mysql
