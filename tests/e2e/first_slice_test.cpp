// The first slice, end to end: the demo's rows go in, come out whole and in parts, change from both sides,
// and a client follows all of it.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <set>

#include <fmt/format.h>

#include "tests/e2e/small_server.h"
#include "tests/net/raw_client.h"
#include "tests/temp_directory.h"

namespace syncline::e2e {
namespace {

constexpr int kUsers = 2000;
constexpr const char* kPatchType = "Content-Type: application/merge-patch+json";

// The demo's rows of one resource, as `syncline demo-data` writes them.
std::string demo_rows(const temp_directory& directory, const std::string& resource, int users) {
  const auto made = run_syncline(
      {"demo-data", "--out", directory.path(), "--resource", resource, "--users", std::to_string(users)});
  if (made.exit_code != 0) throw std::runtime_error(made.output);
  return syncline::testing::read_text(directory.file(resource + ".ndjson"));
}

void fill_items(sql_file& db, int rows) {
  db.run(
      fmt::format("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<{}) INSERT INTO "
                  "items(id,owner,name,note) SELECT i, i%3, 'n'||i, 'note '||i FROM n",
                  rows));
}

// The table as a synced copy of all items must look.
std::map<std::pair<std::string, std::string>, std::string> items_in(sql_file& db,
                                                                    const std::string& where = "1") {
  std::map<std::pair<std::string, std::string>, std::string> out;
  const std::string tail = " FROM items WHERE deleted=0 AND (" + where + ") ORDER BY id";
  const auto ids = db.rows("SELECT id" + tail);
  const auto bodies =
      db.rows("SELECT json_object('id',id,'owner',owner,'name',name,'note',note,'size',size)" + tail);
  for (std::size_t i = 0; i < ids.size(); ++i) out[{"items", ids[i]}] = bodies[i];
  return out;
}

std::string next_link(const answer& page) {
  const std::string links = page.header("link");
  const auto end = links.find(">; rel=\"next\"");
  if (end == std::string::npos) return {};
  const auto begin = links.rfind('<', end);
  return links.substr(begin + 1, end - begin - 1);
}

std::vector<std::string> ids_of_rows(const std::string& body) {
  std::vector<std::string> out;
  const auto page = json_object(body);
  for (const auto& row : page.at("rows").as_array())
    out.push_back(boost::json::serialize(row.as_object().at("id")));
  return out;
}

TEST(FirstSlice, DemoRowsGoInAndComeOutWholeInPartsAndInPages) {
  const demo_server server;
  const std::string rows = demo_rows(server.directory, "users", kUsers);
  const auto uploaded = upload(server.port(), "/v1/users/bulk", rows);
  ASSERT_EQ(uploaded.status, 200);
  EXPECT_EQ(uploaded.count("created"), kUsers);
  EXPECT_EQ(uploaded.count("rejected"), 0);
  EXPECT_EQ(sql_file(server.database).number("SELECT count(*) FROM users"), kUsers);

  const auto given = json_object(rows.substr(0, rows.find('\n')));
  const std::string id = boost::json::serialize(given.at("id"));
  const auto whole = server.get("/v1/users/" + id);
  ASSERT_EQ(whole.status, 200) << whole.body;
  for (const auto& member : given) {
    EXPECT_EQ(boost::json::serialize(json_object(whole.body).at(member.key())),
              boost::json::serialize(member.value()))
        << member.key();
  }
  const auto parts = server.get("/v1/users/" + id + "?fields=name,id");
  EXPECT_EQ(parts.body,
            fmt::format(R"({{"name":{},"id":{}}})", boost::json::serialize(given.at("name")), id));
  const auto some = json_object(server.get("/v1/users?ids=5,3,999999&fields=id").body);
  EXPECT_EQ(boost::json::serialize(some.at("rows")), R"([{"id":5},{"id":3}])");
  EXPECT_EQ(boost::json::serialize(some.at("missing")), "[999999]");

  std::vector<std::string> all;
  int pages = 0;
  for (std::string target = "/v1/users?limit=300&fields=id"; !target.empty(); ++pages) {
    const auto page = server.get(target);
    ASSERT_EQ(page.status, 200) << target << page.body;
    std::ranges::copy(ids_of_rows(page.body), std::back_inserter(all));
    target = next_link(page);
    ASSERT_LT(pages, 10);
  }
  EXPECT_EQ(pages, 7);
  EXPECT_EQ(all, sql_file(server.database).rows("SELECT id FROM users ORDER BY id"));
}

TEST(FirstSlice, KeywordSearchFindsRowsByEveryWord) {
  const demo_server server;
  sql_file(server.database)
      .run(
          "INSERT INTO users(id,name,email) VALUES(1,'Ada Lovelace','ada@example.org'),(2,'Ada "
          "Byron',NULL),(3,'Grace Hopper','g@ada.net')");
  ASSERT_TRUE(
      eventually([&] { return server.get("/v1/users?q=hopper").body.find("Grace") != std::string::npos; }));
  EXPECT_EQ(ids_of_rows(server.get("/v1/users?q=ada&fields=id").body),
            (std::vector<std::string>{"1", "2", "3"}));
  EXPECT_EQ(ids_of_rows(server.get("/v1/users?q=ada%20lovel&fields=id").body),
            (std::vector<std::string>{"1"}));
  EXPECT_EQ(ids_of_rows(server.get("/v1/users?q=nobody&fields=id").body), (std::vector<std::string>{}));
  ASSERT_EQ(server.send("PATCH", "/v1/users/2", R"({"name":"Augusta"})").status, 200);
  EXPECT_EQ(ids_of_rows(server.get("/v1/users?q=byron&fields=id").body), (std::vector<std::string>{}));
}

TEST(FirstSlice, WritesObeyTheirConditions) {
  const demo_server server;
  const auto made = server.send("PUT", "/v1/users/7", R"({"name":"Ada","state":{"theme":"dark","n":1}})");
  ASSERT_EQ(made.status, 201) << made.body;
  const std::string first = made.header("etag");
  ASSERT_FALSE(first.empty());
  EXPECT_EQ(server.send("PUT", "/v1/users/7", R"({"name":"Eve"})", {"If-None-Match: *"}).status, 412);

  const auto patched = fetch(server.port(), "PATCH", "/v1/users/7", R"({"city":"London","state":{"n":null}})",
                             {kPatchType, "If-Match: " + first});
  ASSERT_EQ(patched.status, 200) << patched.body;
  EXPECT_EQ(boost::json::serialize(json_object(patched.body).at("state")), R"({"theme":"dark"})");
  EXPECT_NE(patched.header("etag"), first);
  EXPECT_EQ(
      fetch(server.port(), "PATCH", "/v1/users/7", R"({"city":"Paris"})", {kPatchType, "If-Match: " + first})
          .status,
      412);

  const auto read = server.get("/v1/users/7");
  EXPECT_EQ(read.body, patched.body);
  EXPECT_EQ(read.header("etag"), patched.header("etag"));
  EXPECT_EQ(server.get("/v1/users/7", {"If-None-Match: " + read.header("etag")}).status, 304);
  EXPECT_EQ(server.get("/v1/users/7", {"If-None-Match: " + first}).status, 200);

  EXPECT_EQ(server.send("DELETE", "/v1/users/7", "", {"If-Match: " + first}).status, 412);
  EXPECT_EQ(server.send("DELETE", "/v1/users/7", "", {"If-Match: " + read.header("etag")}).status, 204);
  EXPECT_EQ(server.get("/v1/users/7").status, 404);
  EXPECT_EQ(server.send("DELETE", "/v1/users/7", "").status, 404);
  EXPECT_EQ(sql_file(server.database).number("SELECT count(*) FROM users"), 0);
}

TEST(FirstSlice, AnIdempotentCreateIsDoneOnce) {
  const demo_server server;
  const std::string body = R"({"user_id":1,"campaign_id":1,"amount":"25.00","currency":"EUR"})";
  const auto first = server.send("POST", "/v1/donations", body, {"Idempotency-Key: k1"});
  ASSERT_EQ(first.status, 201) << first.body;
  const auto again = server.send("POST", "/v1/donations", body, {"Idempotency-Key: k1"});
  EXPECT_EQ(again.status, 201);
  EXPECT_EQ(again.header("idempotency-replayed"), "true");
  EXPECT_EQ(again.header("location"), first.header("location"));
  EXPECT_EQ(again.body, first.body);
  const auto other =
      server.send("POST", "/v1/donations", R"({"campaign_id":2,"amount":"1.00","currency":"EUR"})",
                  {"Idempotency-Key: k1"});
  EXPECT_EQ(problem_type(other), "idempotency-key-reused");
  EXPECT_EQ(sql_file(server.database).number("SELECT count(*) FROM donations"), 1);
}

TEST(FirstSlice, MergesOneProfileAndMany) {
  const demo_server server;
  sql_file(server.database)
      .run(
          "INSERT INTO users(id,name) VALUES(1,'Ada'),(2,'Grace');"
          "INSERT INTO user_states(user_id,unread) VALUES(1,5);"
          "INSERT INTO follows(user_id,target_id) VALUES(1,2),(1,3),(2,1);"
          "INSERT INTO blocks(user_id,target_id,reason) VALUES(2,9,'spam')");
  const auto one = json_object(server.get("/v1/users/1/profile").body);
  EXPECT_EQ(one.at("user").as_object().at("name").as_string(), "Ada");
  EXPECT_EQ(one.at("state").as_object().at("unread"), 5);
  EXPECT_EQ(one.at("follows").as_array().size(), 2U);
  EXPECT_TRUE(one.at("blocks").as_array().empty());
  const auto many = json_object(server.get("/v1/users?ids=2,1,77&merge=profile").body);
  ASSERT_EQ(many.at("rows").as_array().size(), 2U);
  const auto& second = many.at("rows").as_array()[0].as_object();
  EXPECT_EQ(second.at("id"), 2);
  EXPECT_TRUE(second.at("state").is_null());
  EXPECT_EQ(second.at("blocks").as_array().at(0).as_object().at("reason").as_string(), "spam");
  EXPECT_EQ(many.at("rows").as_array()[1], boost::json::value(one));
  EXPECT_EQ(boost::json::serialize(many.at("missing")), "[77]");
  EXPECT_EQ(server.get("/v1/users/77/profile").status, 404);
}

TEST(FirstSlice, ALiveStreamBringsTheStateAndThenEveryWritersChanges) {
  const demo_server server;
  sql_file other_program(server.database);
  other_program.run(
      "INSERT INTO users(id,name) VALUES(17,'Ada'),(18,'Grace'); INSERT INTO follows(user_id,target_id) "
      "VALUES(17,18)");
  http_client client(server.port());
  synced_copy copy;
  ASSERT_EQ(client.open_stream("/v1/sync?scope=user:17&live=1"), 200);
  const auto first = changes_in(read_until_up_to_date(client, &copy));
  EXPECT_EQ((std::set<std::string>(first.begin(), first.end())),
            (std::set<std::string>{"put users 17", "put follows \"17,18\""}));

  const auto next_change = [&] {
    while (auto line = next_news(client)) {
      copy.apply(*line);
      if (auto changes = changes_in({*line}); !changes.empty()) return changes.front();
    }
    return std::string("nothing");
  };
  other_program.run("UPDATE users SET name='Ada L.' WHERE id IN (17,18)");
  EXPECT_EQ(next_change(), "put users 17");
  EXPECT_NE(copy.rows().at({"users", "17"}).find("Ada L."), std::string::npos);
  ASSERT_EQ(server.send("PATCH", "/v1/users/17", R"({"city":"London"})").status, 200);
  EXPECT_EQ(next_change(), "put users 17");
  EXPECT_NE(copy.rows().at({"users", "17"}).find("London"), std::string::npos);
  ASSERT_EQ(server.send("DELETE", "/v1/follows/17,18", "").status, 204);
  EXPECT_EQ(next_change(), "remove follows \"17,18\"");
  other_program.run("UPDATE users SET deleted_at='2026-01-01' WHERE id=17");  // outside of `where`
  EXPECT_EQ(next_change(), "remove users 17");
  EXPECT_TRUE(copy.rows().empty());
}

TEST(FirstSlice, ResumingWithACursorBringsExactlyWhatIsMissing) {
  const small_server server;
  sql_file db(server.database);
  fill_items(db, 300);
  synced_copy copy;
  EXPECT_EQ(changes_in(sync_once(server.port(), "scope=user:1", &copy)).size(), 100U);
  EXPECT_TRUE(changes_in(sync_once(server.port(), "scope=user:1&since=" + *copy.cursor(), &copy)).empty());

  db.run("UPDATE items SET note='new' WHERE id IN (1,2,3,4)");  // 1 and 4 are user 1's
  db.run(
      "DELETE FROM items WHERE id=7; INSERT INTO items(id,owner) VALUES(1000,1); UPDATE items SET owner=2 "
      "WHERE id=10");
  db.run("UPDATE items SET owner=1 WHERE id=11; UPDATE items SET deleted=deleted WHERE owner=1");
  const auto missing = changes_in(sync_once(server.port(), "scope=user:1&since=" + *copy.cursor(), &copy));
  EXPECT_EQ((std::multiset<std::string>(missing.begin(), missing.end())),
            (std::multiset<std::string>{"put items 1", "put items 4", "remove items 7", "put items 1000",
                                        "remove items 10", "put items 11"}));
  EXPECT_EQ(copy.rows(), items_in(db, "owner=1"));
}

TEST(FirstSlice, AHalfFirstSyncGoesOnAfterTheServerWasKilled) {
  small_server server;
  sql_file db(server.database);
  fill_items(db, 500);
  synced_copy copy;
  {
    http_client client(server.port());
    ASSERT_EQ(client.open_stream("/v1/sync?resources=items"), 200);
    while (copy.rows().size() < 150 || !copy.cursor()) copy.apply(client.next_line(10000).value());
  }
  const std::size_t had = copy.rows().size();
  ASSERT_LT(had, 450U);
  server.process->kill();
  db.run(
      "UPDATE items SET note='late' WHERE id IN (3,480); DELETE FROM items WHERE id IN (5,490); INSERT INTO "
      "items(id,name) VALUES(0,'first'),(600,'last')");
  server.process->start();
  const auto rest = changes_in(sync_once(server.port(), "resources=items&since=" + *copy.cursor(), &copy));
  EXPECT_EQ(copy.rows(), items_in(db));
  EXPECT_LT(rest.size(), 450U) << "it began again from the first row";
}

TEST(FirstSlice, AGzipStreamDecodesAndIsFlushedLineByLine) {
  const small_server server;
  sql_file db(server.database);
  fill_items(db, 300);
  http_client client(server.port());
  synced_copy copy;
  ASSERT_EQ(client.open_stream("/v1/sync?resources=items&live=1", {"Accept-Encoding: gzip"}), 200);
  ASSERT_EQ(client.last_head().header("content-encoding"), "gzip");
  read_until_up_to_date(client, &copy);
  EXPECT_EQ(copy.rows(), items_in(db));
  for (int round = 0; round < 3; ++round) {
    db.run(fmt::format("UPDATE items SET note='round {}' WHERE id=9", round));
    while (copy.rows().at({"items", "9"}) != items_in(db, "id=9").begin()->second)
      copy.apply(next_news(client).value());
  }
}

TEST(FirstSlice, AQuietStreamIsKeptAliveByEmptyLines) {
  const small_server server({"sync.keep_alive_s=1"});
  http_client client(server.port());
  ASSERT_EQ(client.open_stream("/v1/sync?scope=user:1&live=1"), 200);
  read_until_up_to_date(client);
  EXPECT_EQ(client.next_line(10000), "");
}

std::string reset_reason(const test_server& server, const std::string& target) {
  const auto lines = sync_once(server.port(), target);
  return lines.size() == 1 ? std::string(json_object(lines.front())["reason"].as_string())
                           : "no reset: " + lines.front();
}

TEST(FirstSlice, ACursorOfOtherScopesOrAnotherDatabaseStartsOver) {
  const small_server server;
  synced_copy copy;
  sync_once(server.port(), "scope=user:1", &copy);
  EXPECT_EQ(reset_reason(server, "scope=user:2&since=" + *copy.cursor()), "declaration-changed");
  EXPECT_EQ(reset_reason(server, "scope=user:1&resources=items&since=" + *copy.cursor()),
            "declaration-changed");
  EXPECT_TRUE(changes_in(sync_once(server.port(), "scope=user:1&since=" + *copy.cursor(), &copy)).empty());
  const small_server other;
  EXPECT_EQ(reset_reason(other, "scope=user:1&since=" + *copy.cursor()), "unknown-generation");
}

TEST(FirstSlice, ABackupRestoredUnderTheServerIsReadAtOnce) {
  const small_server server;
  const auto shell = [&](const std::string& command) {
    const std::string line = fmt::format("sqlite3 '{}' '.timeout 5000' '{} {}'", server.database, command,
                                         server.directory.file("b.db"));
    ASSERT_EQ(std::system(line.c_str()), 0) << line;
  };
  {
    sql_file db(server.database);
    fill_items(db, 3);
  }
  ASSERT_EQ(server.send("PATCH", "/v1/items/1", R"({"note":"kept"})").status, 200);
  shell(".backup");
  for (int i = 0; i < 5; ++i)
    ASSERT_EQ(server.send("PATCH", "/v1/items/1", fmt::format(R"({{"note":"lost {}"}})", i)).status, 200);
  ASSERT_EQ(server.get("/v1/items/1").status, 200);
  shell(".restore");
  EXPECT_TRUE(eventually([&] { return server.get("/v1/items/1").body.find("kept") != std::string::npos; }))
      << server.get("/v1/items/1").body;
  EXPECT_NE(server.get("/v1/items?ids=1,2").body.find("kept"), std::string::npos);
  ASSERT_EQ(server.send("PATCH", "/v1/items/1", R"({"note":"new"})").status, 200);
  EXPECT_NE(server.get("/v1/items/1").body.find("new"), std::string::npos);
}

TEST(FirstSlice, AQuietStreamsCursorFollowsTheFeed) {
  const small_server server({"sync.keep_alive_s=1", "sync.quiet_reread_s=1"});
  http_client client(server.port());
  ASSERT_EQ(client.open_stream("/v1/sync?scope=user:1&live=1"), 200);
  read_until_up_to_date(client);
  ASSERT_EQ(server.send("PUT", "/v1/items/9", R"({"owner":2,"note":"not of user 1"})").status, 201);
  synced_copy copy;
  const auto news = next_news(client, 20000);
  ASSERT_TRUE(news);
  EXPECT_TRUE(news->starts_with(R"({"op":"up_to_date")")) << *news;
  copy.apply(*news);
  // Nothing of what happened before it is still to be looked at.
  EXPECT_TRUE(changes_in(sync_once(server.port(), "scope=user:1&since=" + *copy.cursor())).empty());
}

TEST(FirstSlice, ACursorFromBeforeABackupWasRestoredStartsOver) {
  small_server server;
  {
    sql_file db(server.database);
    fill_items(db, 10);
    db.run("VACUUM INTO '" + server.directory.file("backup.db") + "'");
  }
  synced_copy at_backup, later;
  sync_once(server.port(), "resources=items", &at_backup);
  for (int i = 0; i < 5; ++i)
    ASSERT_EQ(server.send("PATCH", "/v1/items/1", fmt::format(R"({{"note":"{}"}})", i)).status, 200);
  sync_once(server.port(), "resources=items", &later);
  server.process->kill();
  for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(server.database + suffix);
  std::filesystem::copy_file(server.directory.file("backup.db"), server.database);
  server.process->start();
  EXPECT_EQ(reset_reason(server, "resources=items&since=" + *later.cursor()), "feed-went-back");
  // However much is written afterwards.
  for (int i = 0; i < 20; ++i)
    ASSERT_EQ(server.send("PATCH", "/v1/items/2", fmt::format(R"({{"note":"{}"}})", i)).status, 200);
  EXPECT_EQ(reset_reason(server, "resources=items&since=" + *later.cursor()), "feed-went-back");
  // Who was no further than the backup goes on.
  sync_once(server.port(), "resources=items&since=" + *at_backup.cursor(), &at_backup);
  sql_file db(server.database);
  EXPECT_EQ(at_backup.rows(), items_in(db));
}

// A body that ends as it should would be taken for the whole table.
TEST(FirstSlice, AStreamThatCannotGoOnIsCutAndNotEnded) {
  const small_server server;
  sql_file db(server.database);
  db.run(
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<6000) INSERT INTO "
      "items(id,owner,note) "
      "SELECT i, 1, hex(zeroblob(2000)) FROM n");
  net::http::testing::raw_client client(server.port(), 4096);
  client.send("GET /v1/sync?resources=items HTTP/1.1\r\nHost: a\r\n\r\n");
  const std::string head = client.receive_until("\"op\":\"put\"");
  ASSERT_NE(head.find("200 OK"), std::string::npos) << head;
  db.run("DROP TABLE items");
  const std::string rest = client.receive_all();
  EXPECT_EQ(rest.find("up_to_date"), std::string::npos);
  EXPECT_FALSE(rest.ends_with("\r\n0\r\n\r\n")) << "the body ended as if it were whole";
}

}  // namespace
}  // namespace syncline::e2e
