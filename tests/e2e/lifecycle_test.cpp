// The life of a server as its operator sees it: starts, refusals, drains, and what it does when disk, file or
// lock fail it.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <set>

#include <fmt/format.h>

#include "tests/e2e/full_disk.h"
#include "tests/e2e/small_server.h"

namespace syncline::e2e {
namespace {

bool says(const std::string& text, const std::string& what) {
  return text.find(what) != std::string::npos;
}

command_result serve(const std::string& config, const std::vector<std::string>& settings = {}) {
  std::vector<std::string> arguments{"serve",       "--config", config,        "--set",
                                     "http.port=0", "--set",    "admin.port=0"};
  std::ranges::copy(with_settings(settings), std::back_inserter(arguments));
  return run_syncline(arguments, 20000);
}

std::string item_rows(int first, int last) {
  std::string out;
  for (int id = first; id <= last; ++id)
    out += fmt::format(R"({{"id":{},"owner":1,"note":"n{}"}})"
                       "\n",
                       id, id);
  return out;
}

// Everything in the file, by name. Without sqlite_sequence: SQLite makes it with the first AUTOINCREMENT and
// lets nobody drop it.
std::vector<std::string> schema_of(const std::string& database) {
  return sql_file(database).rows(
      "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE name<>'sqlite_sequence' ORDER BY type, "
      "name");
}

TEST(Lifecycle, AStopSignalLetsUploadsFinishAndStreamsComeBack) {
  small_server server;
  synced_copy copy;
  http_client stream(server.port());
  ASSERT_EQ(stream.open_stream("/v1/sync?resources=items&live=1"), 200);
  read_until_up_to_date(stream, &copy);
  http_client uploader(server.port());
  uploader.begin_upload("/v1/items/bulk");
  uploader.send_piece(item_rows(1, 25));
  ASSERT_EQ(uploader.read_stream_head(), 200);
  ASSERT_TRUE(uploader.next_line(10000));

  server.process->signal(SIGTERM);
  const auto admin = server.process->admin_port();
  EXPECT_TRUE(eventually([&] { return fetch(admin, "GET", "/readyz").status == 503; }));
  EXPECT_EQ(fetch(admin, "GET", "/healthz").status, 200);
  while (auto line = stream.next_line(10000)) copy.apply(*line);
  EXPECT_TRUE(stream.ended());
  EXPECT_TRUE(copy.cursor());
  EXPECT_TRUE(eventually([&] {
    try {
      const http_client late(server.port());
      return false;
    } catch (const std::exception&) {
      return true;
    }
  })) << "it still takes new connections";

  uploader.send_piece(item_rows(26, 40));
  uploader.last_piece();
  std::string last;
  while (auto line = uploader.next_line(10000)) last = *line;
  EXPECT_TRUE(says(last, R"("complete":true)")) << last;
  EXPECT_EQ(server.process->wait_for_exit(15000), 0) << server.process->log();

  server.process->start();
  const auto lines = sync_once(server.port(), "resources=items&since=" + *copy.cursor(), &copy);
  EXPECT_FALSE(lines.front().starts_with(R"({"op":"reset")")) << lines.front();
  EXPECT_EQ(copy.rows().size(), 40U);
}

TEST(Lifecycle, AWrongConfigIsNamedByFileLineAndPath) {
  const temp_directory directory;
  const std::vector<std::pair<std::string, std::string>> wrong{
      {"{\n  \"http\": {\n    \"prot\": 80 }\n}", ":3: http.prot: unknown name"},
      {"{\n  \"http\": {\"port\": \"eighty\"}\n}", ":2: http.port: "},
      {"{\n\n  \"http\": {\"port\": 70000}\n}", ":3: http.port: "},
      {"{\n  \"http\": {\"address\": \"0.0.0.0\"}\n}", ":2: http.address: "},
      {"{\n  \"resources\": {\n    \"a\": {\"table\": \"a\", \"key\": \"id\",\n      \"columns\": {\"id\": "
       "\"int46\"}}}\n}",
       ":4: resources.a.columns.id"},
      {"{\n  \"resources\": {\n    \"a\": {\"table\": \"a\", \"key\": \"nr\",\n      \"columns\": {\"id\": "
       "\"int64\"}}}\n}",
       ":3: resources.a.key: "},
      {"{\n  \"http\": {\"port\": 80}\n  \"admin\": {}\n}", ":3: "}};
  for (const auto& [text, message] : wrong) {
    const std::string file = directory.write("wrong.json", text);
    const auto checked = run_syncline({"check-config", "--config", file});
    EXPECT_EQ(checked.exit_code, 1) << text;
    EXPECT_TRUE(says(checked.output, file + message)) << message << " is not in: " << checked.output;
  }
  const auto good =
      run_syncline({"check-config", "--config", directory.write("good.json", small_config("x.db")), "--set",
                    "http.port=99"});
  EXPECT_EQ(good.exit_code, 0) << good.output;
  EXPECT_TRUE(says(good.output, "http.port = 99")) << good.output;
  const auto override_wrong =
      run_syncline({"check-config", "--config", directory.file("good.json"), "--set", "http.prot=99"});
  EXPECT_EQ(override_wrong.exit_code, 1);
  EXPECT_TRUE(says(override_wrong.output, "http.port")) << override_wrong.output;
}

TEST(Lifecycle, ATableThatDoesNotFitIsRefusedWithEveryDifference) {
  const temp_directory directory;
  const std::string database = directory.file("misfit.db");
  sql_file(database).run(
      "CREATE TABLE items(id INTEGER PRIMARY KEY, owner INTEGER, name TEXT, size TEXT, deleted INTEGER); "
      "CREATE TABLE tags(word TEXT, place TEXT, owner INTEGER, label TEXT)");
  const auto refused = serve(directory.write("config.json", small_config(database)));
  EXPECT_EQ(refused.exit_code, 1);
  for (const char* difference : {"\"note\"", "\"size\"", "\"owner\" has no index", "the key (word, place)"}) {
    EXPECT_TRUE(says(refused.output, difference)) << difference << " is not in: " << refused.output;
  }
  EXPECT_EQ(sql_file(database).number("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'syncline%'"), 0);
}

TEST(Lifecycle, AFileThatWasNotMigratedIsRefusedUnlessAsked) {
  const temp_directory directory;
  const std::string database = directory.file("plain.db");
  sql_file(database).run(kSmallSchema);
  const std::string config = directory.write("config.json", small_config(database));
  const auto refused = serve(config, {"storage.sqlite.migrate_on_start=false"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_TRUE(says(refused.output, "migrate")) << refused.output;
}

TEST(Lifecycle, AHandMadeDatabaseIsIntrospectedMigratedServedAndGivenBack) {
  const temp_directory directory;
  const std::string database = directory.file("shop.db");
  {
    sql_file db(database);
    db.run(
        "PRAGMA journal_mode=WAL; CREATE TABLE customers(id INTEGER PRIMARY KEY, name TEXT NOT NULL, joined "
        "DATE);"
        "CREATE TABLE orders(no INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customers(id), total "
        "DECIMAL(10,2));"
        "CREATE INDEX orders_customer ON orders(customer_id);"
        "CREATE TRIGGER theirs AFTER INSERT ON orders BEGIN UPDATE customers SET "
        "joined=coalesce(joined,'2026-01-01') WHERE id=NEW.customer_id; END;"
        "INSERT INTO customers VALUES(1,'Ada','2025-05-05'),(2,'Grace',NULL); INSERT INTO orders "
        "VALUES(10,1,'9.50')");
  }
  const auto before = schema_of(database);
  const auto written = run_syncline({"introspect", "--db", database});
  ASSERT_EQ(written.exit_code, 0) << written.output;
  const std::string& text = written.output;  // a whole config
  const std::string config = directory.write("shop.json", text);
  const std::vector<std::string> place{"--config", config, "--set", "storage.sqlite.path=" + database};
  const auto run = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), place.begin(), place.end());
    return run_syncline(arguments);
  };
  const auto checked = run({"check-config"});
  ASSERT_EQ(checked.exit_code, 0) << checked.output << text;

  const auto dry = run({"migrate", "--dry-run"});
  EXPECT_EQ(dry.exit_code, 0) << dry.output;
  EXPECT_TRUE(says(dry.output, "CREATE TABLE")) << dry.output;
  EXPECT_TRUE(says(dry.output, "CREATE TRIGGER")) << dry.output;
  EXPECT_EQ(schema_of(database), before) << "a dry run changed the file";
  const auto migrated = run({"migrate"});
  ASSERT_EQ(migrated.exit_code, 0) << migrated.output;
  EXPECT_EQ(run({"check-feed"}).exit_code, 0);
  {
    server_process server(config, with_settings({"storage.sqlite.path=" + database}));
    EXPECT_EQ(json_object(fetch(server.port(), "GET", "/v1/customers/1").body)["name"].as_string(), "Ada");
    const auto lines = changes_in(sync_once(server.port(), "resources=customers,orders"));
    EXPECT_EQ(lines.size(), 3U);
    server.signal(SIGTERM);
    EXPECT_EQ(server.wait_for_exit(10000), 0);
  }
  const auto removed = run({"migrate", "--remove"});
  EXPECT_EQ(removed.exit_code, 0) << removed.output;
  EXPECT_EQ(schema_of(database), before);
  EXPECT_EQ(sql_file(database).number("SELECT count(*) FROM customers"), 2);
}

TEST(Lifecycle, APortThatIsTakenIsAClearError) {
  const small_server first;
  const temp_directory directory;
  const std::string database = directory.file("second.db");
  sql_file(database).run(kSmallSchema);
  const std::string config = directory.write("config.json", small_config(database));
  const std::string port = std::to_string(first.port());
  const auto refused = serve(config, {"http.port=" + port});
  EXPECT_EQ(refused.exit_code, 1) << refused.output;
  EXPECT_TRUE(says(refused.output, port)) << refused.output;
  EXPECT_TRUE(says(refused.output, "in use")) << refused.output;
  EXPECT_EQ(first.get("/v1/items").status, 200);
}

TEST(Lifecycle, StreamsOnEveryCoreHearOfEveryWrite) {
  const small_server server({"cores.count=2"});
  std::vector<http_client> streams;
  for (int i = 0; i < 12; ++i) {
    streams.emplace_back(server.port());
    ASSERT_EQ(streams.back().open_stream("/v1/sync?scope=user:1&live=1"), 200);
    read_until_up_to_date(streams.back());
  }
  EXPECT_EQ(server.metric("syncline_feed_watches"), 12);
  http_client writer(server.port());
  ASSERT_EQ(writer
                .request("PUT", "/v1/items/1", R"({"owner":1,"note":"for all"})",
                         {"Content-Type: application/json"})
                .status,
            201);
  for (auto& stream : streams) EXPECT_TRUE(says(next_news(stream).value_or("nothing came"), "for all"));
  streams.clear();
  EXPECT_TRUE(eventually([&] {
    return server.metric("syncline_feed_watches") == 0 && server.metric("syncline_sync_streams") == 0;
  }));
}

TEST(Lifecycle, MetricsHaveThePromisedFamilies) {
  const small_server server;
  ASSERT_EQ(upload(server.port(), "/v1/items/bulk", item_rows(1, 3)).count("created"), 3);
  sync_once(server.port(), "scope=user:1");
  EXPECT_EQ(server.get("/v1/items/1").status, 200);
  EXPECT_EQ(server.get("/v1/items/99").status, 404);
  const std::set<std::string> promised{"syncline_blocking_failed_total",
                                       "syncline_blocking_jobs_total",
                                       "syncline_blocking_queue_jobs",
                                       "syncline_blocking_rejected_total",
                                       "syncline_bulk_rejected_rows_total",
                                       "syncline_bulk_rows_total",
                                       "syncline_bulk_uploads",
                                       "syncline_core_messages_total",
                                       "syncline_core_tasks",
                                       "syncline_core_uncaught_total",
                                       "syncline_feed_entries_total",
                                       "syncline_feed_horizon",
                                       "syncline_feed_notices_total",
                                       "syncline_feed_watches",
                                       "syncline_feed_watermark",
                                       "syncline_http_accept_pauses_total",
                                       "syncline_http_accepted_total",
                                       "syncline_http_bad_bodies_total",
                                       "syncline_http_connections",
                                       "syncline_http_handler_failures_total",
                                       "syncline_http_parse_errors_total",
                                       "syncline_http_received_bytes_total",
                                       "syncline_http_refused_total",
                                       "syncline_http_request_seconds",
                                       "syncline_http_requests_total",
                                       "syncline_http_sent_bytes_total",
                                       "syncline_http_timeouts_total",
                                       "syncline_l1_bytes",
                                       "syncline_l1_entries",
                                       "syncline_l1_evictions",
                                       "syncline_l1_hits",
                                       "syncline_l1_invalidations",
                                       "syncline_l1_loads",
                                       "syncline_l1_misses",
                                       "syncline_l1_refused_fills",
                                       "syncline_log_dropped_total",
                                       "syncline_memory_resident_bytes",
                                       "syncline_problems_total",
                                       "syncline_sqlite_batches_total",
                                       "syncline_sqlite_busy_waits_total",
                                       "syncline_sqlite_commit_seconds",
                                       "syncline_sqlite_commits_total",
                                       "syncline_sqlite_failed_groups_total",
                                       "syncline_sqlite_feed_pages_total",
                                       "syncline_sqlite_foreign_commits_total",
                                       "syncline_sqlite_overloaded_total",
                                       "syncline_sqlite_read_seconds",
                                       "syncline_sqlite_read_wait_seconds",
                                       "syncline_sqlite_reads_total",
                                       "syncline_sqlite_rows_read_total",
                                       "syncline_sqlite_rows_rejected_total",
                                       "syncline_sqlite_rows_written_total",
                                       "syncline_sqlite_watcher_wakeups_total",
                                       "syncline_sqlite_write_seconds",
                                       "syncline_store_healthy",
                                       "syncline_store_read_queue_jobs",
                                       "syncline_store_write_queue_batches",
                                       "syncline_store_write_queue_rows",
                                       "syncline_sync_lines_total",
                                       "syncline_sync_pages_total",
                                       "syncline_sync_streams",
                                       "syncline_sync_streams_broken_total",
                                       "syncline_sync_streams_refused_total",
                                       "syncline_sync_streams_total"};
  std::set<std::string> there;
  const std::string all = server.metrics();
  for (std::size_t at = 0; (at = all.find("# TYPE ", at)) != std::string::npos; ++at)
    there.insert(all.substr(at + 7, all.find(' ', at + 7) - at - 7));
  for (const auto& name : promised) EXPECT_TRUE(there.contains(name)) << name;
  for (const auto& name : there) EXPECT_TRUE(name.starts_with("syncline_")) << name;
  EXPECT_EQ(
      server.metric(
          R"(syncline_http_requests_total{listener="public",route="GET /v1/{resource}/{key}",status="2xx"})"),
      1)
      << all;
  EXPECT_EQ(server.metric("syncline_bulk_rows_total"), 3);
  EXPECT_EQ(server.metric(R"(syncline_sync_lines_total{op="put"})"), 3);
  EXPECT_EQ(server.metric("syncline_store_healthy"), 1);
}

TEST(Lifecycle, ALockHeldByAnotherProgramIsAnsweredInTimeAndForgotten) {
  const small_server server({"storage.sqlite.busy_timeout_ms=200"});
  ASSERT_EQ(server.send("PUT", "/v1/items/1", R"({"note":"before"})").status, 201);
  sql_file other_program(server.database);
  other_program.run("BEGIN IMMEDIATE");
  const auto refused = server.send("PUT", "/v1/items/1", R"({"note":"meanwhile"})");
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(problem_type(refused), "database-locked");
  EXPECT_FALSE(refused.header("retry-after").empty());
  EXPECT_EQ(json_object(server.get("/v1/items/1").body)["note"].as_string(), "before");
  EXPECT_EQ(changes_in(sync_once(server.port(), "resources=items")).size(), 1U);
  const auto bulk = fetch(server.port(), "POST", "/v1/items/bulk", item_rows(2, 3));
  EXPECT_TRUE(says(bulk.body, "database-locked")) << bulk.body;
  other_program.run("ROLLBACK");
  EXPECT_TRUE(
      eventually([&] { return server.send("PUT", "/v1/items/1", R"({"note":"after"})").status == 200; }));
  EXPECT_EQ(sql_file(server.database).rows("SELECT id, note FROM items"),
            (std::vector<std::string>{"1|after"}));
  EXPECT_TRUE(
      eventually([&] { return fetch(server.process->admin_port(), "GET", "/readyz").status == 200; }));
}

TEST(Lifecycle, AFullDiskIsAnsweredClearlyAndNothingIsHalfDone) {
  const full_disk disk;
  const temp_directory directory;
  const std::string database = disk.file("full.db");
  sql_file(database).run(kSmallSchema);
  const std::string config = directory.write("config.json", small_config(database));
  server_process server(config);
  const auto put = [&](int id, const std::string& note) {
    return fetch(server.port(), "PUT", fmt::format("/v1/items/{}", id),
                 fmt::format(R"({{"owner":1,"note":"{}"}})", note), {"Content-Type: application/json"});
  };
  ASSERT_EQ(put(1, "before").status, 201);
  disk.fill(server.pid());
  const std::string large(60000, 'x');
  answer refused;
  int id = 2;
  do refused = put(id++, large);
  while (refused.status == 201 && id < 200);
  EXPECT_TRUE(refused.status == 507 || refused.status == 503) << refused.status << refused.body;
  EXPECT_FALSE(problem_type(refused).empty());
  const auto bulk =
      fetch(server.port(), "POST", "/v1/items/bulk", fmt::format(R"({{"id":5000,"note":"{}"}})", large));
  EXPECT_TRUE(says(bulk.body, "disk-full") || says(bulk.body, "storage-down")) << bulk.status << bulk.body;
  const auto read = fetch(server.port(), "GET", "/v1/items/1");
  EXPECT_EQ(read.status, 200) << read.body;
  EXPECT_TRUE(server.running());

  disk.free(server.pid());
  EXPECT_TRUE(eventually([&] { return put(6000, "after").status < 300; })) << server.log();
  sql_file db(database);
  EXPECT_EQ(db.number(fmt::format("SELECT count(*) FROM items WHERE id IN ({}, 5000)", id - 1)), 0)
      << "what was refused is in the table";
  EXPECT_EQ(db.text("PRAGMA integrity_check"), "ok");
  EXPECT_EQ(run_syncline({"check-feed", "--config", config}).exit_code, 0);
}

TEST(Lifecycle, AFileThatIsNoDatabaseIsRefusedAndLeftAlone) {
  const temp_directory directory;
  const std::string garbage(20000, 'x');
  const std::string database = directory.write("broken.db", garbage);
  const auto refused = serve(directory.write("config.json", small_config(database)));
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_TRUE(says(refused.output, "broken.db") || says(refused.output, "damaged") ||
              says(refused.output, "not a database"))
      << refused.output;
  std::ifstream in(database, std::ios::binary);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), garbage);
  const auto missing =
      serve(directory.write("config.json", small_config(directory.file("no/such/folder/x.db"))));
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_FALSE(missing.output.empty());
}

TEST(Lifecycle, LoadUploadsAFileAndItsExitCodeTellsOfRejectedRows) {
  const small_server server;
  const std::string url = fmt::format("http://127.0.0.1:{}", server.port());
  const auto load = [&](const std::string& file, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments{"load", file, "--url", url, "--resource", "items"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_syncline(arguments);
  };
  const auto good = load(server.directory.write("good.ndjson", item_rows(1, 50)), {"--gzip"});
  EXPECT_EQ(good.exit_code, 0) << good.output;
  EXPECT_TRUE(says(good.output, "50 created")) << good.output;
  const auto csv = load(server.directory.write("more.csv", "id,note\r\n60,\"a, b\"\r\n"));
  EXPECT_EQ(csv.exit_code, 0) << csv.output;
  const auto bad = load(server.directory.write("bad.ndjson", item_rows(70, 71) + "{\"id\":}\n"));
  EXPECT_EQ(bad.exit_code, 2) << bad.output;
  EXPECT_TRUE(says(bad.output, "line 3: malformed-json")) << bad.output;
  EXPECT_NE(load(server.directory.file("not-there.ndjson")).exit_code, 0);
  EXPECT_EQ(
      run_syncline({"load", server.directory.file("good.ndjson"), "--url", url, "--resource", "nothing"})
          .exit_code,
      1);
  EXPECT_EQ(sql_file(server.database).number("SELECT count(*) FROM items"), 53);
  EXPECT_EQ(sql_file(server.database).text("SELECT note FROM items WHERE id=60"), "a, b");
}

TEST(Lifecycle, SyncKeepsACopyInAFileAndResumesIt) {
  small_server server;
  sql_file db(server.database);
  db.run(
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<120) INSERT INTO "
      "items(id,owner,note) SELECT i, i%2, 'n'||i FROM n");
  const std::string copy = server.directory.file("copy.db");
  const auto sync = [&] {
    return run_syncline({"sync", "--url", fmt::format("http://127.0.0.1:{}", server.port()), "--scope",
                         "user:1", "--sqlite", copy});
  };
  const auto rows = [&] {
    return sql_file(copy).rows(
        "SELECT id, json_extract(row,'$.note') FROM items ORDER BY CAST(id AS INTEGER)");
  };
  const auto wanted = [&] { return db.rows("SELECT id, note FROM items WHERE owner=1 ORDER BY id"); };
  const auto first = sync();
  ASSERT_EQ(first.exit_code, 0) << first.output;
  EXPECT_EQ(rows(), wanted());
  EXPECT_EQ(rows().size(), 60U);
  db.run(
      "UPDATE items SET note='new' WHERE id=1; DELETE FROM items WHERE id=3; UPDATE items SET owner=0 WHERE "
      "id=5; INSERT INTO items(id,owner) VALUES(500,1)");
  server.restart();
  sql_file(copy).run(
      "UPDATE items SET row='{\"note\":\"only a full sync would put this right\"}' WHERE id='7'");
  const auto second = sync();
  EXPECT_EQ(second.exit_code, 0) << second.output;
  auto expected = wanted();
  std::ranges::replace(expected, std::string("7|n7"), std::string("7|only a full sync would put this right"));
  EXPECT_EQ(rows(), expected);
}

}  // namespace
}  // namespace syncline::e2e
