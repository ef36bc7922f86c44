// Bulk uploads against the real server: every row's fate is told, good rows stay, and what was acknowledged
// is there after any kind of end.
#include <gtest/gtest.h>

#include <random>
#include <set>

#include <fmt/format.h>

#include "tests/e2e/small_server.h"

namespace syncline::e2e {
namespace {

constexpr const char* kItems = "/v1/items/bulk";
constexpr const char* kCsv = "Content-Type: text/csv";
constexpr const char* kGzip = "Content-Encoding: gzip";

std::string row(int id, const std::string& note = "x") {
  return fmt::format(R"({{"id":{},"owner":1,"note":"{}"}})"
                     "\n",
                     id, note);
}
std::string rows_from(int first, int last, const std::string& note = "x") {
  std::string out;
  for (int id = first; id <= last; ++id) out += row(id, note);
  return out;
}

std::vector<std::string> ids_in(const test_server& server) {
  return sql_file(server.database).rows("SELECT id FROM items ORDER BY id");
}

TEST(Bulk, BadRowsAreNamedByLineAndGoodRowsStay) {
  const small_server server;
  sql_file(server.database).run("INSERT INTO items(id,name) VALUES(100,'taken')");
  const std::string body = row(1) +                                                    // 1
                           "{\"id\":2,\n" +                                            // 2 malformed
                           "{\"id\":3,\"colour\":\"red\"}\n" +                         // 3
                           "{\"id\":\"four\"}\n" +                                     // 4
                           "{\"id\":5,\"name\":\"" + std::string(41, 'n') + "\"}\n" +  // 5
                           "\n" +                                                      // 6 nothing on it
                           row(7) +                                                    // 7
                           row(1, "again") +                                           // 8 the key of line 1
                           "{\"id\":9,\"name\":\"taken\"}\n" +                         // 9 a unique value
                           "{\"id\":10,\"size\":-1}\n" +                               // 10 the owner's CHECK
                           "{\"id\":11,\"name\":\"\xff\"}\n" +                         // 11
                           "{\"id\":12,\"id\":13}\n" +                                 // 12
                           "{\"id\":14,\"note\":\"last line without its end\"}";       // 13
  const auto got = upload(server.port(), kItems, body);
  ASSERT_EQ(got.status, 200);
  EXPECT_EQ(got.rejected,
            (std::vector<std::string>{"2 malformed-json", "3 unknown-column", "4 wrong-type", "5 too-long",
                                      "8 duplicate-key", "9 conflict", "10 refused-by-database",
                                      "11 invalid-utf8", "12 duplicate-member"}));
  EXPECT_EQ(got.count("created"), 3);
  EXPECT_EQ(got.count("rejected"), 9);
  EXPECT_EQ(got.count("rows"), 12);
  EXPECT_TRUE(got.summary.at("complete").as_bool());
  EXPECT_EQ(ids_in(server), (std::vector<std::string>{"1", "7", "14", "100"}));
  EXPECT_EQ(server.check_feed().exit_code, 0);
}

TEST(Bulk, AKeyThatIsMissingIsNamed) {
  const small_server server;
  const auto got =
      upload(server.port(), "/v1/tags/bulk",
             "{\"word\":\"a\",\"place\":\"b\"}\n{\"word\":\"a\"}\n{\"word\":null,\"place\":\"b\"}\n");
  EXPECT_EQ(got.count("created"), 1);
  ASSERT_EQ(got.rejected.size(), 2U);
  EXPECT_EQ(got.rejected[0], "2 missing-key");
  EXPECT_TRUE(got.rejected[1].starts_with("3 ")) << got.rejected[1];
}

TEST(Bulk, CsvKeepsQuotesAndLineEndsInsideQuotes) {
  const small_server server;
  const std::string body =
      "id,name,note,size\r\n"
      "1,\"a \"\"quoted\"\" name\",\"two\r\nlines, and a comma\",3\r\n"
      "2,plain,\"\",\r\n"
      "3,too,many,fields,here\r\n"
      "4,n4,note,not a number\r\n"
      "5,n5,,0\r\n";
  const auto got = upload(server.port(), kItems, body, {kCsv});
  ASSERT_EQ(got.status, 200);
  EXPECT_EQ(got.count("created"), 3);
  ASSERT_EQ(got.rejected.size(), 2U);
  EXPECT_TRUE(got.rejected[0].ends_with(" field-count")) << got.rejected[0];
  EXPECT_TRUE(got.rejected[1].ends_with(" wrong-type")) << got.rejected[1];
  sql_file db(server.database);
  EXPECT_EQ(db.rows("SELECT id, name, note, size FROM items ORDER BY id"),
            (std::vector<std::string>{"1|a \"quoted\" name|two\r\nlines, and a comma|3", "2|plain||NULL",
                                      "5|n5|NULL|0"}));
  const auto header = fetch(server.port(), "POST", kItems, "id,colour\r\n1,red\r\n", {kCsv});
  EXPECT_EQ(problem_type(header), "bad-body") << header.body;
}

TEST(Bulk, GzipBodiesAreDecodedWhileTheyArrive) {
  const small_server server;
  const std::string packed = gzip(rows_from(1, 500));
  http_client client(server.port());
  client.begin_upload(kItems, {kGzip});
  for (std::size_t at = 0; at < packed.size(); at += 100)
    client.send_piece(std::string_view(packed).substr(at, 100));
  client.last_piece();
  const upload_answer got(client.read_answer());
  EXPECT_EQ(got.count("created"), 500);
  EXPECT_EQ(got.batches.size(), 50U);
  EXPECT_EQ(upload(server.port(), kItems, gzip("id,note\n900,csv\n"), {kGzip, kCsv}).count("created"), 1);
}

TEST(Bulk, ConflictSaysWhatHappensToAKeyThatExists) {
  const small_server server;
  sql_file db(server.database);
  db.run("INSERT INTO items(id,name,note,size) VALUES(1,'one','old',5),(2,'two','old',6)");
  const std::string body = "{\"id\":1,\"note\":\"new\"}\n{\"id\":3,\"note\":\"new\"}\n";
  const auto table = [&] { return db.rows("SELECT id, name, note, size FROM items ORDER BY id"); };

  const auto insert = upload(server.port(), std::string(kItems) + "?conflict=insert", body);
  EXPECT_EQ(insert.rejected, (std::vector<std::string>{"1 conflict"}));
  EXPECT_EQ(insert.count("created"), 1);
  EXPECT_EQ(table(), (std::vector<std::string>{"1|one|old|5", "2|two|old|6", "3|NULL|new|NULL"}));

  const auto skip = upload(server.port(), std::string(kItems) + "?conflict=skip", body);
  EXPECT_EQ(skip.count("skipped"), 2);
  EXPECT_EQ(table()[0], "1|one|old|5");

  const auto upsert = upload(server.port(), std::string(kItems) + "?conflict=upsert", body);
  EXPECT_EQ(upsert.count("updated"), 1);
  EXPECT_EQ(upsert.count("unchanged"), 1);
  EXPECT_EQ(table()[0], "1|one|new|5") << "columns that the upload does not name keep their values";
}

TEST(Bulk, RejectedRowsAreCountedWhereverTheyAreFound) {
  const small_server server;
  const std::string atomic = std::string(kItems) + "?atomic=1";
  const std::string malformed = "{\"id\":}\n", refused = "{\"id\":6,\"size\":-1}\n";
  std::string nothing_else;
  for (int i = 0; i < 35; ++i) nothing_else += malformed;
  double sum = 0;
  for (const auto& [target, body] :
       {std::pair(std::string(kItems), nothing_else),
        std::pair(std::string(kItems), rows_from(1, 5) + malformed + refused),
        std::pair(atomic, rows_from(1, 5) + malformed), std::pair(atomic, rows_from(1, 5) + refused)}) {
    const auto got = upload(server.port(), target, body);
    EXPECT_GT(got.count("rejected"), 0);
    sum += static_cast<double>(got.count("rejected"));
    EXPECT_EQ(server.metric("syncline_bulk_rejected_rows_total"), sum) << body;
  }
  EXPECT_EQ(sum, 39);
}

TEST(Bulk, AtomicWithOneBadRowWritesNothing) {
  const small_server server;
  const auto position = server.metric("syncline_feed_watermark");
  const std::string target = std::string(kItems) + "?atomic=1";
  const auto malformed = upload(server.port(), target, rows_from(1, 25) + "{\"id\":}\n" + rows_from(26, 40));
  EXPECT_EQ(malformed.rejected, (std::vector<std::string>{"26 malformed-json"}));
  EXPECT_FALSE(malformed.summary.at("complete").as_bool());
  // A fault that only the database sees, after batches were written inside the transaction.
  const auto refused =
      upload(server.port(), target, rows_from(1, 25) + "{\"id\":26,\"size\":-1}\n" + rows_from(27, 40));
  EXPECT_EQ(refused.rejected, (std::vector<std::string>{"26 refused-by-database"}));
  EXPECT_FALSE(refused.summary.at("complete").as_bool());
  EXPECT_EQ(refused.count("created"), 0);
  EXPECT_TRUE(ids_in(server).empty());
  EXPECT_EQ(server.metric("syncline_feed_watermark"), position);
  EXPECT_EQ(server.send("PUT", "/v1/items/1", R"({"note":"the writer is free"})").status, 201);
}

TEST(Bulk, AtomicWithGoodRowsWritesAll) {
  const small_server server;
  const auto got = upload(server.port(), std::string(kItems) + "?atomic=1", rows_from(1, 45));
  EXPECT_TRUE(got.summary.at("complete").as_bool());
  EXPECT_EQ(got.count("created"), 45);
  EXPECT_EQ(ids_in(server).size(), 45U);
  EXPECT_EQ(changes_in(sync_once(server.port(), "scope=user:1")).size(), 45U);
}

TEST(Bulk, DryRunTellsEveryFateAndWritesNothing) {
  const small_server server;
  sql_file(server.database).run("INSERT INTO items(id,note) VALUES(1,'old')");
  for (const char* more : {"?dry_run=1", "?dry_run=1&atomic=1"}) {
    const auto got = upload(server.port(), std::string(kItems) + more,
                            rows_from(1, 15) + (more[10] == '\0' ? "{\"id\":16,\"size\":-1}\n" : ""));
    EXPECT_EQ(got.count("created"), 14) << more;
    EXPECT_EQ(got.count("updated"), 1) << more;
    EXPECT_EQ(ids_in(server), (std::vector<std::string>{"1"})) << more;
  }
  EXPECT_EQ(sql_file(server.database).text("SELECT note FROM items"), "old");
}

TEST(Bulk, AnIdempotencyKeyIsDoneOnceAndAnswersTheSameSummary) {
  const small_server server;
  const std::string body = rows_from(1, 25) + "{\"id\":}\n";
  const auto first = upload(server.port(), kItems, body, {"Idempotency-Key: import-1"});
  EXPECT_EQ(first.count("created"), 25);
  sql_file(server.database)
      .run("DELETE FROM items WHERE id=5");  // would come back if the upload were done again
  const auto again = upload(server.port(), kItems, body, {"Idempotency-Key: import-1"});
  EXPECT_EQ(again.status, 200);
  for (const char* name : {"created", "updated", "unchanged", "skipped", "rejected", "rows"})
    EXPECT_EQ(again.count(name), first.count(name)) << name;
  EXPECT_EQ(ids_in(server).size(), 24U);
  const auto other = fetch(server.port(), "POST", std::string(kItems) + "?conflict=skip", body,
                           {"Idempotency-Key: import-1"});
  EXPECT_EQ(problem_type(other), "idempotency-key-reused") << other.body;
  EXPECT_EQ(ids_in(server).size(), 24U);
}

TEST(Bulk, AnUploadThatWasCutGoesOnUnderItsKey) {
  const small_server server;
  {
    http_client client(server.port());
    client.begin_upload(kItems, {"Idempotency-Key: import-2"});
    client.send_piece(rows_from(1, 40));
    ASSERT_EQ(client.read_stream_head(), 200);
    ASSERT_TRUE(client.next_line(10000).value().starts_with(R"({"line":"batch")"));
    client.reset();
  }
  ASSERT_TRUE(eventually([&] { return server.metric("syncline_bulk_uploads") == 0; }));
  // Other rows under the same key are another upload.
  const auto other =
      fetch(server.port(), "POST", kItems, rows_from(1, 60, "other"), {"Idempotency-Key: import-2"});
  EXPECT_EQ(problem_type(other), "idempotency-key-reused") << other.status << other.body;
  const auto got = upload(server.port(), kItems, rows_from(1, 60), {"Idempotency-Key: import-2"});
  EXPECT_TRUE(got.summary.at("complete").as_bool());
  EXPECT_EQ(ids_in(server).size(), 60U);
  EXPECT_LT(got.batches.size(), 6U) << "batches that were stored before came again";
}

TEST(Bulk, ATruncatedGzipBodySaysSoAndKeepsWhatItReported) {
  const small_server server;
  const std::string small = gzip(rows_from(1, 5));
  const auto refused =
      fetch(server.port(), "POST", kItems, std::string_view(small).substr(0, small.size() - 9), {kGzip});
  EXPECT_EQ(refused.status, 400) << refused.body;
  EXPECT_EQ(problem_type(refused), "bad-body");

  std::mt19937 noise(1);
  std::string rows;
  for (int id = 1; id <= 20000; ++id) rows += row(id, fmt::format("{:08x}{:08x}", noise(), noise()));
  const std::string packed = gzip(rows);
  const auto cut = upload(server.port(), std::string(kItems),
                          std::string_view(packed).substr(0, packed.size() / 8), {kGzip});
  ASSERT_FALSE(cut.batches.empty());
  ASSERT_TRUE(cut.failure.contains("type"));
  EXPECT_EQ(cut.failure.at("type").as_string(), "/problems/bad-body");
  EXPECT_TRUE(cut.summary.empty());
  const auto reported = json_object(cut.batches.back()).at("lines_done").to_number<std::int64_t>();
  const auto stored = static_cast<std::int64_t>(ids_in(server).size());
  EXPECT_GE(stored, reported);
  EXPECT_LT(stored, 5000);
  EXPECT_EQ(server.check_feed().exit_code, 0);
}

TEST(Bulk, AGzipBombEndsAtTheLimitOfDecodedBytes) {
  const small_server server({"bulk.body_bytes_max=200000", "bulk.row_bytes_max=1000"});
  const auto refused = fetch(server.port(), "POST", kItems, gzip(std::string(5'000'000, ' ')), {kGzip});
  EXPECT_EQ(refused.status, 413) << refused.body;
  EXPECT_EQ(problem_type(refused), "body-too-large");
  EXPECT_EQ(fetch(server.port(), "POST", kItems, std::string(300000, ' ')).status, 413);
  const auto late = upload(server.port(), kItems, gzip(rows_from(1, 20000)), {kGzip});
  ASSERT_TRUE(late.failure.contains("type"));
  EXPECT_EQ(late.failure.at("type").as_string(), "/problems/body-too-large");
  EXPECT_GT(ids_in(server).size(), 100U);
  EXPECT_EQ(upload(server.port(), kItems, row(30000)).count("created"), 1);
}

TEST(Bulk, OneMoreThanMayBeAtWorkIsToldToComeBack) {
  const small_server server({"bulk.uploads_max=2"});
  http_client first(server.port());
  http_client second(server.port());
  for (http_client* const each : {&first, &second}) each->begin_upload(kItems);
  first.send_piece(row(1));
  second.send_piece(row(2));
  ASSERT_TRUE(eventually([&] { return server.metric("syncline_bulk_uploads") == 2; }));
  const answer refused = fetch(server.port(), "POST", kItems, row(3));
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(problem_type(refused), "overloaded") << refused.body;
  EXPECT_EQ(refused.header("retry-after"), "1");
  EXPECT_EQ(server.metric("syncline_bulk_uploads_refused_total"), 1);
  first.reset();
  ASSERT_TRUE(eventually([&] { return server.metric("syncline_bulk_uploads") == 1; }));
  EXPECT_EQ(upload(server.port(), kItems, row(3)).count("created"), 1);
}

TEST(Bulk, AClientThatResetsInTheMiddleLosesOnlyWhatWasNotReported) {
  const small_server server;
  http_client client(server.port());
  client.begin_upload(kItems);
  std::int64_t reported = 0;
  client.send_piece(rows_from(1, 35));
  ASSERT_EQ(client.read_stream_head(), 200);
  for (int batch = 0; batch < 2; ++batch)
    reported = json_object(client.next_line(10000).value()).at("lines_done").to_number<std::int64_t>();
  client.send_piece("{\"id\":36,\"note\":\"half a li");
  client.reset();
  ASSERT_TRUE(eventually([&] { return server.metric("syncline_bulk_uploads") == 0; }));
  EXPECT_GE(reported, 20);
  const auto stored = ids_in(server);
  EXPECT_GE(static_cast<std::int64_t>(stored.size()), reported);
  EXPECT_LE(stored.size(), 35U);
  EXPECT_EQ(server.get("/v1/items/36").status, 404);
  EXPECT_EQ(server.get("/v1/items/20").status, 200);
  EXPECT_EQ(upload(server.port(), kItems, rows_from(1, 40)).count("rows"), 40);
  EXPECT_EQ(server.check_feed().exit_code, 0);
}

TEST(Bulk, WhatWasAcknowledgedBeforeAKillIsInTheTableAndInTheFeed) {
  small_server server({"bulk.batch_rows=100"});
  synced_copy before;
  sync_once(server.port(), "resources=items", &before);
  http_client client(server.port());
  client.begin_upload(kItems);
  int sent = 0;
  for (int piece = 0; piece < 60; ++piece, sent += 100) client.send_piece(rows_from(sent + 1, sent + 100));
  ASSERT_EQ(client.read_stream_head(), 200);
  std::int64_t acknowledged = 0;
  const auto read_batch = [&](int timeout_ms) {
    const auto line = client.next_line(timeout_ms);
    if (line) acknowledged = json_object(*line).at("lines_done").to_number<std::int64_t>();
    return line.has_value();
  };
  for (int batch = 0; batch < 3; ++batch) ASSERT_TRUE(read_batch(10000));
  server.process->kill();
  while (read_batch(1000)) {
  }
  const auto checked = server.check_feed();
  EXPECT_EQ(checked.exit_code, 0) << checked.output;
  server.process->start();
  const auto stored = ids_in(server);
  EXPECT_GE(static_cast<std::int64_t>(stored.size()), acknowledged);
  EXPECT_EQ(stored.size() % 100, 0U) << "half a batch was stored";
  const auto seen =
      changes_in(sync_once(server.port(), "resources=items&since=" + *before.cursor(), &before));
  const std::set<std::string> all(seen.begin(), seen.end());
  for (std::int64_t id = 1; id <= acknowledged; ++id)
    EXPECT_TRUE(all.contains(fmt::format("put items {}", id))) << id;
  EXPECT_EQ(all.size(), stored.size());
}

// `count` rows from `first` on; each tenth is no row when `bad`.
std::string some_rows(int first, int count, bool bad = false) {
  std::string lines;
  for (int i = first; i < first + count; ++i)
    lines += bad && i % 10 == 0 ? "{\"id\":}\n" : fmt::format("{{\"id\":{},\"name\":\"n{}\"}}\n", i, i);
  return lines;
}

TEST(Bulk, WhatIsStoredIsReportedBeforeABadBodyEndsIt) {
  const small_server server({"bulk.batch_rows=50"});
  http_client client(server.port());
  client.begin_upload("/v1/items/bulk", {"Content-Encoding: gzip"});
  std::string packed = gzip(some_rows(1, 300));
  packed.resize(packed.size() - 20);
  client.send_piece(packed);
  client.last_piece();
  ASSERT_EQ(client.read_stream_head(), 200);
  std::int64_t stored = 0;
  std::string last;
  while (const auto line = client.next_line(10000)) {
    last = *line;
    if (last.find("\"line\":\"batch\"") != std::string::npos)
      stored += json_object(last).at("created").as_int64();
  }
  EXPECT_NE(last.find("\"line\":\"error\",\"type\":\"/problems/bad-body\""), std::string::npos) << last;
  EXPECT_EQ(sql_file(server.database).rows("SELECT count(*) FROM items"),
            std::vector{std::to_string(stored)});
  EXPECT_GT(stored, 0);
}

TEST(Bulk, AResumedUploadCountsWhatWasStoredAndNeverTold) {
  const small_server server({"bulk.batch_rows=20"});
  const std::string all = some_rows(1, 400, true);
  const std::vector<std::string> key{"Idempotency-Key: import-3"};
  for (int cut = 1; cut <= 6; ++cut) {
    http_client client(server.port());
    client.begin_upload("/v1/items/bulk", key);
    client.send_piece(all.substr(0, all.size() * static_cast<std::size_t>(cut) / 8));
    client.reset();
  }
  upload_answer done(answer{});
  ASSERT_TRUE(eventually([&] {
    done = upload(server.port(), "/v1/items/bulk", all, key);
    return done.status != 409;
  }));
  ASSERT_EQ(done.status, 200);
  EXPECT_EQ(done.count("rows"), 400);
  EXPECT_EQ(done.count("created"), 360);
  EXPECT_EQ(done.count("rejected"), 40);
  EXPECT_EQ(sql_file(server.database).rows("SELECT count(*) FROM items"), std::vector<std::string>{"360"});
}

}  // namespace
}  // namespace syncline::e2e
