// What a violated constraint means to the client whose row it was.
//
// UNIQUE, PRIMARY KEY and FOREIGN KEY are conflicts with other rows; NOT NULL, CHECK and types are the row's
// own fault. `detail` names the columns. Thread: pure. Not for errors of the database itself
// (sqlite_error()).
#pragma once

#include <string_view>

#include "net/core/error.h"

namespace syncline::storage::sqlite {

// `extended` is the extended result code, `message` SQLite's text.
[[nodiscard]] net::error constraint_error(int extended, std::string_view message);

}  // namespace syncline::storage::sqlite
