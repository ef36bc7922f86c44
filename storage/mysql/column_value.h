// One field of a row, decoded exactly.
//
//   integers, bits, YEAR    an integer; unsigned ones beyond 2^63 - 1 as decimal text, since a cell is signed
//   DOUBLE                  the number
//   FLOAT                   the double of its shortest decimal text, as MySQL prints it: 0.1 stays 0.1, and
//                           storing it again gives the same float
//   DECIMAL                 text with all digits of its scale
//   DATE, DATETIME          "2024-02-29", "2024-02-29 23:59:59.123456" with the column's digits of fraction
//   TIME                    "-838:59:59.000000" likewise
//   CHAR, TEXT, ENUM, JSON  text
//   SET                     its members with commas between them
//   BINARY, BLOB, geometry  a blob
//   NULL                    null
//
// Text and blobs are views into `field`, or into `arena` where they had to be made. Thread: pure. Failure:
// errc::corrupt for bytes that are no value of the column's type.
#pragma once

#include <string_view>

#include "net/core/error.h"
#include "storage/cell.h"
#include "storage/mysql/column.h"

namespace syncline::storage::mysql {

[[nodiscard]] net::result<cell> decode_value(const column& of, std::string_view field, text_arena& arena);

}  // namespace syncline::storage::mysql
