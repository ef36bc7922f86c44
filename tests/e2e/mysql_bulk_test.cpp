// Uploads to a server on MySQL, where batches are written by several connections at once.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include "tests/e2e/model_database.h"
#include "tests/e2e/small_server.h"

namespace syncline::e2e {
namespace {

constexpr const char* kNotes = R"({
    "notes": {"table": "notes", "key": "id", "columns": {"id": "int64", "note": "string"}, "write": {"bulk": true}}
  })";
constexpr int kNoteCount = 3000;

std::string rows_of(const std::string& note) {
  std::string out;
  for (int i = 1; i <= kNoteCount; ++i) out += fmt::format("{{\"id\":{},\"note\":\"{}\"}}\n", i, note);
  return out;
}

TEST(MysqlBulk, AnUploadWithAKeyStoresEachOfItsBatches) {
  const std::unique_ptr<model_database> mysql = mysql_model();
  if (const std::string why = mysql->missing(); !why.empty()) GTEST_SKIP() << why;
  mysql->make_tables();
  ASSERT_TRUE(mysql->open()->run("CREATE TABLE notes(id BIGINT PRIMARY KEY, note VARCHAR(50))"));
  test_server server;
  server.config = server.directory.write(
      "notes.json",
      fmt::format(
          R"({{"cores": {{"count": 2}}, "bulk": {{"batch_rows": 100}}, "storage": {}, "resources": {}}})",
          mysql->storage_json(), kNotes));
  server.process = std::make_unique<server_process>(server.config);
  // Without a key its batches go at once, and leave as many connections.
  EXPECT_NE(server.send("POST", "/v1/notes/bulk", rows_of("first")).body.find("\"complete\":true"),
            std::string::npos);
  for (const char* const round : {"second", "third", "fourth"}) {
    const answer got =
        server.send("POST", "/v1/notes/bulk", rows_of(round), {fmt::format("Idempotency-Key: {}", round)});
    EXPECT_NE(got.body.find("\"complete\":true"), std::string::npos) << got.body;
    EXPECT_EQ(mysql->open()->rows(fmt::format("SELECT COUNT(*) FROM notes WHERE note='{}'", round)),
              std::vector<std::string>{std::to_string(kNoteCount)});
  }
}

}  // namespace
}  // namespace syncline::e2e
