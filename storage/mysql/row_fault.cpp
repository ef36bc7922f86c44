#include "storage/mysql/row_fault.h"

#include <string>
#include <string_view>

#include "storage/mysql/server_error.h"

namespace syncline::storage::mysql {

namespace {

// The last name in quotes: "Duplicate entry 'a' for key 'users.email'", "Data too long for column 'name' at
// row 1". A qualified name loses what is before the point.
std::string last_name(std::string_view message) {
  const std::size_t end = message.rfind('\'');
  if (end == std::string_view::npos || end == 0) return {};
  const std::size_t begin = message.rfind('\'', end - 1);
  if (begin == std::string_view::npos) return {};
  std::string_view name = message.substr(begin + 1, end - begin - 1);
  if (const std::size_t point = name.rfind('.'); point != std::string_view::npos)
    name.remove_prefix(point + 1);
  return std::string(name);
}

// "1062 (23000): message"
std::string_view state_of(const net::error& said) {
  const std::size_t open = said.detail.find('(');
  return open == std::string::npos ? std::string_view() : std::string_view(said.detail).substr(open + 1, 5);
}
std::string_view message_of(const net::error& said) {
  const std::size_t colon = said.detail.find("): ");
  return colon == std::string::npos ? std::string_view() : std::string_view(said.detail).substr(colon + 3);
}

}  // namespace

bool is_duplicate(const net::error& said) noexcept {
  const std::uint32_t code = server_code(said);
  return code == 1062 || code == 1586;
}

std::optional<net::error> row_fault(const net::error& said) {
  using net::errc;
  const std::string_view message = message_of(said);
  switch (server_code(said)) {
    case 0:
      // The message was not sent: larger than pipeline_limits::message_bytes_max.
      if (said.code == errc::too_large)
        return net::error(errc::invalid, "the row is larger than MySQL takes");
      return std::nullopt;
    case 1062:
    case 1586:
      return net::error(errc::conflict, "a value that must be unique is taken", last_name(message));
    case 1216:
    case 1217:
    case 1451:
    case 1452:
    case 1761:
    case 1762:
      return net::error(errc::conflict,
                        "a row that this one refers to does not exist, or others still refer to this one");
    case 1048:
    case 1364:
      return net::error(errc::invalid, "a column may not be NULL", last_name(message));
    case 3819:
      return net::error(errc::invalid, "a check of the table failed", last_name(message));
    case 1153:
    case 1301:
      return net::error(errc::invalid, "the row is larger than MySQL takes");
    case 1264:
    case 1265:
    case 1292:
    case 1366:
    case 1406:
    case 1411:
    case 3140:
    case 3156:
      return net::error(errc::invalid, "a value does not fit its column", last_name(message));
    default:
      break;
  }
  const std::string_view state = state_of(said);
  // A trigger of the owner: its text is meant for whoever writes.
  if (state.starts_with("45"))
    return net::error(errc::conflict, "the database refuses the row", std::string(message));
  if (state.starts_with("22"))
    return net::error(errc::invalid, "a value does not fit its column", std::string(message));
  if (state.starts_with("23")) return net::error(errc::conflict, "the database refuses the row");
  return std::nullopt;
}

}  // namespace syncline::storage::mysql
