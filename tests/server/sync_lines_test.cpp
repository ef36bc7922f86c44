// Golden bytes of the native sync protocol: clients depend on them.
#include "server/sync_lines.h"

#include <gtest/gtest.h>

#include "storage/key.h"

namespace syncline::server {
namespace {

storage::resource resource_with_key(storage::column_type type, std::size_t key_columns) {
  storage::resource of;
  of.name = "things";
  for (std::size_t i = 0; i < key_columns; ++i) {
    storage::column c;
    c.name = "k" + std::to_string(i);
    c.type = type;
    of.columns.push_back(c);
    of.key.push_back(i);
  }
  return of;
}

std::string line_for(const storage::resource& of, std::string_view key, std::string_view row, bool put) {
  storage::feed_page page;
  storage::change what;
  what.of = &of;
  what.put = put;
  what.key_size = static_cast<std::uint32_t>(key.size());
  what.row_at = what.key_size;
  what.row_size = static_cast<std::uint32_t>(row.size());
  page.bytes = std::string(key) + std::string(row);
  std::string out;
  append_change(page, what, out);
  return out;
}

TEST(SyncLines, PutCarriesTheRowAndANumericId) {
  const auto of = resource_with_key(storage::column_type::int64, 1);
  EXPECT_EQ(line_for(of, "17", R"({"k0":17})", true),
            R"({"op":"put","resource":"things","id":17,"row":{"k0":17}})");
}

TEST(SyncLines, RemoveCarriesOnlyTheId) {
  const auto of = resource_with_key(storage::column_type::int64, 1);
  EXPECT_EQ(line_for(of, "-3", "", false), R"({"op":"remove","resource":"things","id":-3})");
}

TEST(SyncLines, TextKeysAreUnescapedAndKeysOfSeveralColumnsAreTheirCanonicalText) {
  const auto text = resource_with_key(storage::column_type::string, 1);
  EXPECT_EQ(line_for(text, "a%2Cb\"", "", false), R"({"op":"remove","resource":"things","id":"a,b\""})");
  const auto several = resource_with_key(storage::column_type::int64, 2);
  EXPECT_EQ(line_for(several, "17,42", "", false), R"({"op":"remove","resource":"things","id":"17,42"})");
}

TEST(SyncLines, PlacesCarryTheCursorAndResetsTheReason) {
  storage::cursor at;
  at.generation = 1;
  at.seq = 42;
  std::string out;
  append_checkpoint(at, out);
  EXPECT_EQ(out, R"({"op":"checkpoint","cursor":")" + at.text() + "\"}");
  out.clear();
  append_up_to_date(at, out);
  EXPECT_EQ(out, R"({"op":"up_to_date","cursor":")" + at.text() + "\"}");
  out.clear();
  append_reset(storage::reset_reason::history_purged, out);
  EXPECT_EQ(out, R"({"op":"reset","reason":"history-purged"})");
}

}  // namespace
}  // namespace syncline::server
