#include "storage/mysql/server_error.h"

#include <charconv>
#include <string>

#include <x_protocol.pb.h>
#include "storage/mysql/message.h"

namespace syncline::storage::mysql {

namespace {

using net::errc;

struct meaning {
  errc kind;
  std::string_view what;
};

// What the request can do about it decides, not where the server found it.
meaning meaning_of(std::uint32_t code, std::string_view sql_state) noexcept {
  switch (code) {
    case 1040:  // too many connections
    case 1203:  // of this user
    case 1226:  // a resource limit of this user
      return {errc::overloaded, "MySQL takes no more connections"};
    case 1044:
    case 1045:
    case 1142:
    case 1143:
    case 1227:
    case 1698:
    case 3118:  // account locked
    case 1862:  // password expired
    case 1820:
      return {errc::down, "MySQL refuses this account"};
    case 1251:
      return {errc::unsupported, "MySQL does not take this way to log in over this connection"};
    case 1053:  // shutdown in progress
    case 1290:  // read-only, or an option forbids it
    case 1792:
    case 1836:
    case 3169:  // the session was killed
    case 1927:
    case code::kNotRun:
      return {errc::down, "MySQL does not serve this now"};
    case 1205:
    case 1213:
    case 3572:  // NOWAIT
      return {errc::locked, "another transaction holds the rows"};
    case 1062:
    case 1586:
      return {errc::conflict, "a row with this key or unique value exists"};
    case 1216:
    case 1217:
    case 1451:
    case 1452:
      return {errc::conflict, "a foreign key forbids it"};
    case 3819:
    case 4025:
      return {errc::invalid, "a CHECK constraint forbids it"};
    case 1048:
    case 1364:
      return {errc::invalid, "a column needs a value"};
    case 1021:
    case 1114:
    case 3675:
      return {errc::disk_full, "MySQL has no room left"};
    case 1153:
    case 1301:
      return {errc::too_large, "larger than MySQL's max_allowed_packet"};
    case 3024:  // max_execution_time
    case 1969:
      return {errc::timed_out, "MySQL stopped a statement that took too long"};
    case 1317:
      return {errc::cancelled, "MySQL stopped a statement because it was told to"};
    case 1049:
    case 1054:
    case 1146:
    case 1305:
    case 1356:
    case 1136:
      return {errc::schema_mismatch, "the database does not fit the declaration"};
    default:
      break;
  }
  if (sql_state.starts_with("22")) return {errc::invalid, "MySQL does not take this value"};
  if (sql_state.starts_with("23")) return {errc::conflict, "a constraint forbids it"};
  if (sql_state.starts_with("40")) return {errc::locked, "MySQL rolled the transaction back"};
  if (sql_state.starts_with("45")) return {errc::invalid, "a trigger of the database refuses it"};
  return {errc::internal, "MySQL refuses a statement"};
}

}  // namespace

net::error server_error(std::uint32_t code, std::string_view sql_state, std::string_view text) {
  const meaning is = meaning_of(code, sql_state);
  std::string detail = std::to_string(code);
  detail.append(" (").append(sql_state).append("): ").append(text);
  return {is.kind, is.what, std::move(detail)};
}

net::error read_server_error(std::string_view body, bool& fatal) {
  wire::Error said;
  const net::result<void> parsed = parse_body(body, said);
  fatal = parsed.has_error() || said.severity() == wire::Error::FATAL;
  if (parsed.has_error()) return parsed.error();
  return server_error(said.code(), said.sql_state(), said.text());
}

std::uint32_t server_code(const net::error& from) noexcept {
  std::uint32_t out = 0;
  const char* const end = from.detail.data() + from.detail.size();
  const auto read = std::from_chars(from.detail.data(), end, out);
  return read.ec == std::errc() && end - read.ptr >= 2 && read.ptr[0] == ' ' && read.ptr[1] == '(' ? out : 0;
}

bool is_read_only(const net::error& said) noexcept {
  const std::uint32_t number = server_code(said);
  return number == code::kOptionForbids || number == code::kReadOnlyMode;
}

}  // namespace syncline::storage::mysql
