// The one text of a value in a column that its database compares by value: there several texts are the same
// value, and keys and scopes (key.h) need one of them.
//
// MySQL's DATE, DATETIME, DECIMAL and YEAR are such columns. Their canonical text is the one that the
// triggers write into the feed; every other text of the same value is brought into it, and a text that cannot
// be, exactly, belongs to no row. SQLite compares texts as texts: its columns are `verbatim`. Thread: pure
// functions. Bound: the text given, and `digits` more.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace syncline::storage {

struct value_spelling {
  enum class form : std::uint8_t {
    verbatim,  // every text is a value of its own
    year,      // 0 and 1901 to 2155: MySQL takes 70 for 1970
    date,      // YYYY-MM-DD
    datetime,  // YYYY-MM-DDTHH:MM:SS[.f]Z, with `digits` of fraction
    decimal,   // digits[.digits], with `digits` of fraction
  };
  form of = form::verbatim;
  std::uint8_t digits = 0;  // at most 30
};

// Appends the canonical text of what `given` means; false, and nothing is appended, when no value of the
// column has this text: it is no date or number, or finer than the column. Dates are taken as MySQL may store
// them, 0000-00-00 and 2024-02-31 among them: a row that has one must be found by it.
[[nodiscard]] bool append_canonical(const value_spelling& how, std::string_view given, std::string& out);
// For problem texts, such as "2026-11-20T12:00:00.000Z".
[[nodiscard]] std::string canonical_example(const value_spelling& how);

}  // namespace syncline::storage
