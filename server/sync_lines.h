// The lines of the native sync protocol (DESIGN of the wire: docs/sync.md); HTTP streams end each with CRLF,
// WebSocket sends each as a text frame.
//
// Thread: pure functions appending to the caller's buffer. Golden tests in tests/server/sync_lines_test.cpp
// hold the exact bytes.
#pragma once

#include <string>
#include <string_view>

#include "storage/feed.h"

namespace syncline::server {

// {"op":"put","resource":"users","id":17,"row":{…}} or {"op":"remove","resource":"users","id":17}
void append_change(const storage::feed_page& page, const storage::change& what, std::string& out);
// {"op":"checkpoint","cursor":"…"}: everything sent so far is covered; not a transaction cut.
void append_checkpoint(const storage::cursor& at, std::string& out);
// {"op":"up_to_date","cursor":"…"}: nothing is missing at this moment.
void append_up_to_date(const storage::cursor& at, std::string& out);
// {"op":"reset","reason":"…"}: drop the local copy, start without a cursor.
void append_reset(storage::reset_reason reason, std::string& out);

}  // namespace syncline::server
