// Keys and scopes on MySQL columns where several texts are one value: a stream, a subscription and L1 must
// mean the same row by each of them that is accepted.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include "tests/e2e/model_database.h"
#include "tests/e2e/small_server.h"
#include "tests/e2e/websocket_client.h"

namespace syncline::e2e {
namespace {

using ::testing::HasSubstr;

constexpr const char* kTables = R"(
CREATE TABLE visits(id BIGINT PRIMARY KEY, day DATE, at DATETIME, price DECIMAL(10,2), y YEAR, note VARCHAR(50), KEY(day), KEY(at), KEY(price), KEY(y));
CREATE TABLE moments(at DATETIME(3) PRIMARY KEY, note VARCHAR(50));
INSERT INTO visits VALUES(1,'2024-01-02','2024-01-02 03:04:05',1.5,1970,'first');
INSERT INTO moments VALUES('2024-01-02 03:04:05.250','first'))";

constexpr const char* kResources = R"({
    "visits": {"table": "visits", "key": "id",
      "columns": {"id": "int64", "day": "date", "at": "timestamp", "price": "decimal", "y": "int64", "note": "string"},
      "scope": {"day": "day", "at": "at", "price": "price", "y": "y"}},
    "moments": {"table": "moments", "key": "at", "columns": {"at": "timestamp", "note": "string"},
      "write": {"create": true, "update": true, "delete": true, "bulk": true}}
  })";

class SpelledValues : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = mysql_->missing(); !why.empty()) GTEST_SKIP() << why;
    mysql_->make_tables();
    run(kTables);
    server_.config = server_.directory.write(
        "spelled.json", fmt::format(R"({{"cores": {{"count": 2}}, "storage": {}, "resources": {}}})",
                                    mysql_->storage_json(), kResources));
    server_.process = std::make_unique<server_process>(server_.config);
  }
  void run(const std::string& sql) { ASSERT_TRUE(mysql_->open()->run(sql)) << sql; }
  // The note of a row, and the status where there is none.
  std::string note_at(const std::string& target) {
    const answer got = server_.get(target);
    if (got.status != 200) return std::to_string(got.status);
    return std::string(json_object(got.body).at("note").as_string());
  }

  std::unique_ptr<model_database> mysql_ = mysql_model();
  test_server server_;
};

struct spelled_scope {
  const char* text;   // as the query has it after percent-decoding
  const char* query;  // percent-encoded
};
constexpr spelled_scope kAccepted[] = {
    {"day:2024-01-02", "day:2024-01-02"},
    {"at:2024-01-02T03:04:05Z", "at:2024-01-02T03:04:05Z"},
    {"at:2024-01-02 03:04:05", "at:2024-01-02%2003:04:05"},
    {"at:2024-01-02 03:04:05.0", "at:2024-01-02%2003:04:05.0"},
    {"at:2024-01-02T03:04:05.000Z", "at:2024-01-02T03:04:05.000Z"},
    {"at:2024-01-02T05:04:05+02:00", "at:2024-01-02T05:04:05%2B02:00"},
    {"price:1.50", "price:1.50"},
    {"price:1.5", "price:1.5"},
    {"price:+01.500", "price:%2B01.500"},
    {"y:1970", "y:1970"},
};
constexpr spelled_scope kRefused[] = {
    {"day:2024-1-2", "day:2024-1-2"},
    {"day:2024-01-02T00:00:00", "day:2024-01-02T00:00:00"},
    {"at:2024-01-02", "at:2024-01-02"},
    {"at:2024-01-02T03:04:05", "at:2024-01-02T03:04:05"},
    {"at:2024-01-02 03:04:05.5", "at:2024-01-02%2003:04:05.5"},
    {"price:1.505", "price:1.505"},
    {"y:70", "y:70"},
};

TEST_F(SpelledValues, AStreamThatGetsTheFirstRowsGetsTheirChanges) {
  int n = 0;
  for (const spelled_scope& scope : kAccepted) {
    SCOPED_TRACE(scope.text);
    http_client client(server_.port());
    ASSERT_EQ(client.open_stream(fmt::format("/v1/sync?scope={}&live=1", scope.query)), 200);
    EXPECT_EQ(changes_in(read_until_up_to_date(client)), std::vector<std::string>{"put visits 1"});
    const std::string note = fmt::format("change {}", ++n);
    run("UPDATE visits SET note='" + note + "'");
    const auto line = next_news(client);
    ASSERT_TRUE(line.has_value()) << "no change came";
    EXPECT_THAT(*line, HasSubstr(note));
  }
}

TEST_F(SpelledValues, ASubscriptionThatGetsTheFirstRowsGetsTheirChanges) {
  websocket_client client(server_.port(), "/v1/subscribe");
  int n = 0;
  for (const spelled_scope& scope : kAccepted) {
    SCOPED_TRACE(scope.text);
    ++n;
    client.send_text(fmt::format(R"({{"op":"subscribe","id":{},"scope":"{}"}})", n, scope.text));
    std::string all;
    for (auto message = client.next_message(10000); message; message = client.next_message(10000)) {
      all += *message;
      if (message->find("\"up_to_date\"") != std::string::npos) break;
    }
    EXPECT_THAT(all, HasSubstr("\"put\""));
    const std::string note = fmt::format("change {}", n);
    run("UPDATE visits SET note='" + note + "'");
    const auto change = client.next_message(10000);
    ASSERT_TRUE(change.has_value()) << "no change came";
    EXPECT_THAT(*change, HasSubstr(note));
    client.send_text(fmt::format(R"({{"op":"unsubscribe","id":{}}})", n));
    for (auto message = client.next_message(10000); message; message = client.next_message(10000))
      if (message->find("\"unsubscribed\"") != std::string::npos) break;
  }
}

TEST_F(SpelledValues, AScopeThatNoRowCouldHaveIsRefusedWithTheExpectedForm) {
  for (const spelled_scope& scope : kRefused) {
    SCOPED_TRACE(scope.text);
    const answer got = server_.get(fmt::format("/v1/sync?scope={}", scope.query));
    EXPECT_EQ(got.status, 400);
    EXPECT_THAT(got.body, HasSubstr("written as"));
    EXPECT_EQ(server_.get(fmt::format("/v1/visits?scope={}", scope.query)).status, 400);
    websocket_client client(server_.port(), "/v1/subscribe");
    client.send_text(fmt::format(R"({{"op":"subscribe","id":1,"scope":"{}"}})", scope.text));
    const auto message = client.next_message(10000);
    ASSERT_TRUE(message.has_value());
    EXPECT_THAT(*message, HasSubstr(R"("op":"error")"));
    EXPECT_THAT(*message, HasSubstr("written as"));
  }
  EXPECT_THAT(server_.get("/v1/sync?scope=at:2024-01-02").body, HasSubstr("2026-11-20T12:00:00Z"));
  EXPECT_THAT(server_.get("/v1/sync?scope=price:1.505").body, HasSubstr("12.00"));
}

// In L1 each spelling would be an entry of its own, and the feed names one of them.
TEST_F(SpelledValues, ARowIsReadAndReadAgainByEverySpellingOfItsKey) {
  const std::vector<std::string> spelled = {
      "/v1/moments/2024-01-02T03:04:05.250Z", "/v1/moments/2024-01-02T03:04:05.25Z",
      "/v1/moments/2024-01-02%2003:04:05.250", "/v1/moments/2024-01-02T05:04:05.25%2B02:00"};
  for (const std::string& target : spelled) EXPECT_EQ(note_at(target), "first") << target;
  run("UPDATE moments SET note='second'");
  for (const std::string& target : spelled)
    EXPECT_TRUE(eventually([&] { return note_at(target) == "second"; })) << target;
  run("DELETE FROM moments");
  for (const std::string& target : spelled)
    EXPECT_TRUE(eventually([&] { return note_at(target) == "404"; })) << target;
  // What is known to be missing is kept as well.
  run("INSERT INTO moments VALUES('2024-01-02 03:04:05.250','third')");
  for (const std::string& target : spelled)
    EXPECT_TRUE(eventually([&] { return note_at(target) == "third"; })) << target;
  const answer by_ids =
      server_.get("/v1/moments?ids=2024-01-02T03:04:05.25Z,2024-01-02%2003:04:05.250,2024-01-02%2003:04:06");
  EXPECT_EQ(
      by_ids.body,
      R"({"rows":[{"at":"2024-01-02T03:04:05.250Z","note":"third"}],"missing":["2024-01-02T03:04:06.000Z"]})");
  EXPECT_EQ(note_at("/v1/moments/2024-01-02"), "400");
  EXPECT_THAT(server_.get("/v1/moments/2024-01-02").body, HasSubstr("2026-11-20T12:00:00.000Z"));
  EXPECT_EQ(server_.get("/v1/moments?after=2024-01-02%2003:04:05").status, 200);
  EXPECT_EQ(server_.get("/v1/moments?after=today").status, 400);
}

TEST_F(SpelledValues, AWriteMeansTheSameRowByEverySpellingOfItsKey) {
  EXPECT_EQ(server_.send("PUT", "/v1/moments/2024-01-02%2003:04:05.25", R"({"note":"put"})").status, 200);
  EXPECT_EQ(note_at("/v1/moments/2024-01-02T03:04:05.250Z"), "put");
  EXPECT_EQ(server_
                .send("PUT", "/v1/moments/2024-01-02T03:04:05.25Z",
                      R"({"at":"2024-01-02 03:04:05.250","note":"b"})")
                .status,
            200);
  EXPECT_EQ(note_at("/v1/moments/2024-01-02T03:04:05.250Z"), "b");
  const upload_answer up = upload(server_.port(), "/v1/moments/bulk",
                                  "{\"at\":\"2024-01-02 03:04:05.25\",\"note\":\"bulk\"}\n"
                                  "{\"at\":\"2024-01-02T05:04:05.25+02:00\",\"note\":\"twice\"}\n"
                                  "{\"at\":\"2024-01-02T03:04:05.2504Z\",\"note\":\"finer\"}\n");
  EXPECT_EQ(up.count("updated"), 1);
  EXPECT_EQ(up.rejected, (std::vector<std::string>{"2 duplicate-key", "3 refused-by-database"}));
  EXPECT_EQ(note_at("/v1/moments/2024-01-02T03:04:05.250Z"), "bulk");
  EXPECT_EQ(server_.send("DELETE", "/v1/moments/2024-01-02T05:04:05.25%2B02:00", "").status, 204);
  EXPECT_EQ(note_at("/v1/moments/2024-01-02T03:04:05.250Z"), "404");
}

}  // namespace
}  // namespace syncline::e2e
