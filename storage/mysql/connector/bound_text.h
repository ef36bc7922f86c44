// A statement's text with its arguments in the place of its question marks.
//
// Those inside quotes, backticks and comments are no arguments. Thread: pure. Failure: nothing, when the
// numbers of marks and arguments differ. The text is safe in sessions of ours only (literal.h).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "storage/mysql/argument.h"

namespace syncline::storage::mysql {

[[nodiscard]] std::optional<std::string> bound_text(std::string_view sql, std::span<const argument> with);

}  // namespace syncline::storage::mysql
