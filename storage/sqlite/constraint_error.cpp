#include "storage/sqlite/constraint_error.h"

#include <string>

#include <sqlite3.h>

namespace syncline::storage::sqlite {

namespace {

// "UNIQUE constraint failed: users.email, users.org" names columns; a client knows them without the table.
std::string columns_in(std::string_view message) {
  const std::size_t colon = message.find(": ");
  if (colon == std::string_view::npos) return std::string(message);
  std::string out;
  std::string_view rest = message.substr(colon + 2);
  while (!rest.empty()) {
    const std::size_t comma = rest.find(", ");
    std::string_view one = rest.substr(0, comma);
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 2);
    if (const std::size_t dot = one.rfind('.'); dot != std::string_view::npos) one = one.substr(dot + 1);
    if (!out.empty()) out += ", ";
    out += one;
  }
  return out;
}

}  // namespace

net::error constraint_error(int extended, std::string_view message) {
  switch (extended) {
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID:
    case SQLITE_CONSTRAINT_UNIQUE:
      return {net::errc::conflict, "a value that must be unique is taken", columns_in(message)};
    case SQLITE_CONSTRAINT_FOREIGNKEY:
      return {net::errc::conflict,
              "a row that this one refers to does not exist, or others still refer to this one"};
    case SQLITE_CONSTRAINT_NOTNULL:
      return {net::errc::invalid, "a column may not be NULL", columns_in(message)};
    case SQLITE_CONSTRAINT_CHECK:
      return {net::errc::invalid, "a check of the table failed", columns_in(message)};
    case SQLITE_CONSTRAINT_DATATYPE:
      return {net::errc::invalid, "a value does not fit its column", columns_in(message)};
    default:  // RAISE() in a trigger of the owner: its text is meant for whoever writes
      return {net::errc::conflict, "the database refuses the row", std::string(message)};
  }
}

}  // namespace syncline::storage::sqlite
