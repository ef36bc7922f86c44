// Names and values inside the text of a statement, the only place where either becomes SQL.
//
// Use it for bulk statements, generated SQL and DDL; elsewhere arguments of prepared statements are better.
// The texts mean what they say in sessions of ours: utf8mb4 and an sql_mode without ANSI_QUOTES and
// NO_BACKSLASH_ESCAPES (session_setup() sees to it). Thread: pure functions that append to the caller's
// buffer. Failure: none; text that is no UTF-8 is refused by the server, not here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "storage/cell.h"

namespace syncline::storage::mysql {

// `name`, with a backtick inside it doubled.
void append_identifier(std::string_view name, std::string& out);
[[nodiscard]] std::string identifier(std::string_view name);

// 'text', and _binary'bytes', which no collation or character set takes part in.
void append_text_literal(std::string_view text, std::string& out);
void append_blob_literal(std::string_view bytes, std::string& out);
[[nodiscard]] std::string text_literal(std::string_view text);
[[nodiscard]] std::string blob_literal(std::string_view bytes);
// Absent and null are NULL. A real number always has an exponent, so that MySQL takes it for a DOUBLE and not
// for a DECIMAL, which would lose digits beyond the 65th.
void append_literal(const cell& value, std::string& out);

// What every session of the store begins with: UTC, utf8mb4, one meaning of literals, READ COMMITTED.
[[nodiscard]] std::vector<std::string> session_setup(std::uint32_t lock_wait_timeout_s);

}  // namespace syncline::storage::mysql
