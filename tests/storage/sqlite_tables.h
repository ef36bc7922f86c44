// What the tests of the SQLite schema share: databases in memory or in a file that goes away, resources in a
// line, and the feed as texts.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>

#include "storage/key.h"
#include "storage/sqlite/schema.h"
#include "tests/storage/sample_tables.h"

namespace syncline::storage::sqlite::testing {

class scratch_file {
 public:
  scratch_file() {
    std::string name = (std::filesystem::temp_directory_path() / "syncline-test-XXXXXX").string();
    const int fd = mkstemp(name.data());
    if (fd >= 0) close(fd);
    path_ = name;
  }
  ~scratch_file() {
    for (const char* end : {"", "-wal", "-shm", "-journal"}) {
      std::error_code ignored;
      std::filesystem::remove(path_ + end, ignored);
    }
  }
  scratch_file(const scratch_file&) = delete;
  scratch_file& operator=(const scratch_file&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline connection open_or_die(const std::string& path = ":memory:") {
  connection_options options;
  options.path = path;
  options.create = true;
  options.synchronous = "OFF";
  auto c = connection::open(options);
  if (!c) throw std::runtime_error(c.error().text());
  return std::move(*c);
}

inline void run(connection& db, std::string_view sql) {
  const auto done = db.exec(sql);
  EXPECT_TRUE(done.has_value()) << sql << "\n" << (done ? "" : done.error().text());
}

using storage::testing::columns_of;
using storage::testing::make_resource;

inline migrate_report migrate_or_die(connection& db, catalog& all) {
  auto report = migrate(db, all, false);
  if (!report) throw std::runtime_error(report.error().text());
  return std::move(*report);
}

inline std::int64_t clock_of(connection& db) {
  return db.query_int("SELECT seq FROM syncline_clock").value();
}

// Entries after `seq` in order: "resource scope key" and " gone" where the hint says so.
inline std::vector<std::string> entries_after(connection& db, std::int64_t seq) {
  std::vector<std::string> out;
  auto s = db.prepare(
      "SELECT r.name || ' [' || scope || '] ' || \"key\" || CASE WHEN gone_at IS NULL THEN '' ELSE ' gone' "
      "END FROM syncline_feed "
      "JOIN syncline_resource AS r ON r.id=resource WHERE seq>?1 ORDER BY seq");
  EXPECT_TRUE(s.has_value()) << s.error().text();
  s->bind(1, seq);
  while (s->step() == SQLITE_ROW) out.emplace_back(s->text(0));
  return out;
}

// Runs a statement and tells what it entered.
inline std::vector<std::string> entered_by(connection& db, std::string_view sql) {
  const std::int64_t before = clock_of(db);
  run(db, sql);
  return entries_after(db, before);
}

using storage::testing::lines;

}  // namespace syncline::storage::sqlite::testing
