// The forms of a value on both sides of the store: as MySQL keeps it, and as clients see it (resource.h).
//
// They differ for timestamps alone: "2026-11-20 12:00:00.5" there, "2026-11-20T12:00:00.5Z" here. Thread:
// pure. Failure: errc::corrupt for bytes that are no value of the column's type.
#pragma once

#include <string_view>

#include "net/core/error.h"
#include "storage/cell.h"
#include "storage/mysql/column.h"
#include "storage/resource.h"

namespace syncline::storage::mysql {

// A field of a row in the clients' form. Text is a view into `field` or lives in `arena`.
[[nodiscard]] net::result<cell> client_cell(storage::column_type declared, const column& of,
                                            std::string_view field, text_arena& arena);
// A value from a client in the form that MySQL takes.
[[nodiscard]] cell server_cell(storage::column_type declared, const cell& value, text_arena& arena);
// Whether both are the same for a client, where MySQL may spell what it keeps in another way: digits of a
// fraction, blanks and the order of members in JSON. Both in the clients' form.
[[nodiscard]] bool same_for_client(storage::column_type declared, const cell& stored, const cell& given);

}  // namespace syncline::storage::mysql
