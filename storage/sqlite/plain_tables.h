// Which tables a row may be inserted into with OR FAIL: those whose only triggers are Syncline's, and whose
// constraints name no conflict policy of their own.
//
// An INSERT that fires triggers keeps a copy of each page it touches, so that it can be undone when one of
// them fails: eight pages and 2.5 us of 11 us a row of an upload. OR FAIL says that nothing need be undone.
// But it also replaces the policies that an owner's triggers and constraints name, and would leave what those
// did. Of our own triggers only the BEFORE trigger writes ahead of the row, and entries too many are
// harmless; the AFTER triggers fail for a damaged feed only. So after a failed insert a row that is there
// nevertheless is the one sign of something half done, and row_writer looks for it. Where SQLite itself needs
// to undo a statement (foreign keys, functions) it keeps the copies whatever the policy. Thread: its
// connection's, inside a write transaction: nobody else changes the schema then. Bound: a line per table.
// Failure: result<>.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "storage/sqlite/connection.h"

namespace syncline::storage::sqlite {

class plain_tables {
 public:
  // Asks the file again when its schema changed.
  [[nodiscard]] net::result<bool> plain(connection& db, const std::string& table);

 private:
  std::int64_t schema_version_ = -1;
  std::map<std::string, bool> plain_;
};

}  // namespace syncline::storage::sqlite
