#include "server/idempotency.h"
#include "tests/server/rest_fixture.h"

namespace syncline::server::testing {
namespace {

using RestWriteTest = RestTest;

bool is_problem(const answer& a, int status, std::string_view type) {
  return a.status == status && a.content_type == "application/problem+json" &&
         a.body.find("\"type\":\"/problems/" + std::string(type) + "\"") != std::string::npos;
}

TEST_F(RestWriteTest, CreateAnswersLocationETagPositionAndRow) {
  const answer a = send("POST", "/v1/users", R"({"id":10,"name":"Edsger","age":72})");
  EXPECT_EQ(a.status, 201);
  EXPECT_EQ(a.body, R"({"id":10,"name":"Edsger","age":72,"state":null})");
  EXPECT_EQ(a.header("Location"), "/v1/users/10");
  EXPECT_EQ(a.header("ETag"), storage::etag_of(a.body));
  EXPECT_EQ(a.header("Syncline-Position"), std::to_string(watched_->watermark()));
  EXPECT_EQ(get(a.header("Location")).body, a.body);
}

TEST_F(RestWriteTest, TheDatabaseMayMakeTheKey) {
  const answer a = send("POST", "/v1/users", R"({"name":"Barbara"})");
  EXPECT_EQ(a.status, 201);
  EXPECT_EQ(a.header("Location"), "/v1/users/5");
  EXPECT_EQ(a.body, R"({"id":5,"name":"Barbara","age":null,"state":null})");
}

TEST_F(RestWriteTest, LocationEncodesTheKey) {
  EXPECT_EQ(send("POST", "/v1/follows", R"({"user_id":7,"target_id":8})").header("Location"),
            "/v1/follows/7,8");
  const answer a = send("POST", "/v1/notes", R"({"title":"a b/c,d","text":""})");
  EXPECT_EQ(a.status, 201);
  EXPECT_EQ(get(a.header("Location")).body, a.body) << a.header("Location");
}

TEST_F(RestWriteTest, AnExistingKeyOrUniqueValueIsAConflict) {
  EXPECT_TRUE(is_problem(send("POST", "/v1/users", R"({"id":1,"name":"Other"})"), 409, "conflict"));
  const answer unique = send("POST", "/v1/users", R"({"id":11,"name":"Ada"})");
  EXPECT_TRUE(is_problem(unique, 409, "conflict"));
  EXPECT_EQ(get("/v1/users/1?fields=name").body, R"({"name":"Ada"})");
}

TEST_F(RestWriteTest, PutCreatesThenReplaces) {
  const answer created = send("PUT", "/v1/users/20", R"({"name":"Niklaus","age":89})");
  EXPECT_EQ(created.status, 201);
  EXPECT_EQ(created.header("Location"), "/v1/users/20");
  const answer replaced = send("PUT", "/v1/users/20", R"({"id":20,"name":"Niklaus"})");
  EXPECT_EQ(replaced.status, 200);
  EXPECT_EQ(replaced.header("Location"), "");
  EXPECT_EQ(replaced.body, R"({"id":20,"name":"Niklaus","age":null,"state":null})");
  EXPECT_EQ(send("PUT", "/v1/users/20", R"({"id":20,"name":"Niklaus"})").status, 200);  // unchanged
}

TEST_F(RestWriteTest, PutDoesNotMoveARowToAnotherKey) {
  const answer a = send("PUT", "/v1/users/20", R"({"id":21,"name":"X"})");
  EXPECT_TRUE(is_problem(a, 422, "invalid-row"));
  EXPECT_NE(a.body.find(R"("code":"key-change","column":"id")"), std::string::npos) << a.body;
}

TEST_F(RestWriteTest, PatchMergesJsonColumnsAndLeavesTheRest) {
  const answer a = send("PATCH", "/v1/users/1", R"({"age":null,"state":{"b":[2],"a":null}})");
  EXPECT_EQ(a.status, 200);
  EXPECT_EQ(a.body, R"({"id":1,"name":"Ada","age":null,"state":{"b":[2]}})");
  EXPECT_EQ(ask("PATCH", "/v1/users/1", {{"Content-Type", "application/merge-patch+json; charset=utf-8"}},
                R"({"age":1})")
                .status,
            200);
  EXPECT_TRUE(is_problem(send("PATCH", "/v1/users/99", R"({"age":1})"), 404, "not-found"));
}

TEST_F(RestWriteTest, DeleteAnswersNoContentAndThenNotFound) {
  const answer a = ask("DELETE", "/v1/users/4");
  EXPECT_EQ(a.status, 204);
  EXPECT_EQ(a.body, "");
  EXPECT_EQ(a.header("Syncline-Position"), std::to_string(watched_->watermark()));
  EXPECT_EQ(get("/v1/users/4").status, 404);
  EXPECT_TRUE(is_problem(ask("DELETE", "/v1/users/4"), 404, "not-found"));
}

TEST_F(RestWriteTest, ConditionsAreComparedWithTheStoredRow) {
  const std::string etag = get("/v1/users/1").header("ETag");
  EXPECT_TRUE(is_problem(send("PATCH", "/v1/users/1", R"({"age":1})", {{"If-Match", "\"stale\""}}), 412,
                         "precondition-failed"));
  EXPECT_TRUE(is_problem(send("PATCH", "/v1/users/1", R"({"age":1})", {{"If-Match", "W/" + etag}}), 412,
                         "precondition-failed"));
  EXPECT_TRUE(is_problem(send("PUT", "/v1/users/1", R"({"name":"Ada"})", {{"If-None-Match", "*"}}), 412,
                         "precondition-failed"));
  EXPECT_TRUE(is_problem(ask("DELETE", "/v1/users/99", {{"If-Match", "*"}}), 412, "precondition-failed"));
  const answer good = send("PATCH", "/v1/users/1", R"({"age":1})", {{"If-Match", "\"stale\", " + etag}});
  EXPECT_EQ(good.status, 200);
  EXPECT_TRUE(is_problem(ask("DELETE", "/v1/users/1", {{"If-Match", etag}}), 412, "precondition-failed"));
  EXPECT_EQ(ask("DELETE", "/v1/users/1", {{"If-Match", good.header("ETag")}}).status, 204);
  EXPECT_EQ(send("PUT", "/v1/users/1", R"({"name":"Ada"})", {{"If-None-Match", "*"}}).status, 201);
  EXPECT_TRUE(
      is_problem(send("PATCH", "/v1/users/1", "{}", {{"If-Match", "nonsense"}}), 400, "invalid-request"));
}

TEST_F(RestWriteTest, PutKeepsToTheWriteRules) {
  EXPECT_EQ(send("PUT", "/v1/logs/1", R"({"line":"a"})").status, 201);
  EXPECT_TRUE(is_problem(send("PUT", "/v1/logs/1", R"({"line":"b"})"), 409, "conflict"));
  EXPECT_EQ(send("PUT", "/v1/settings/1", R"({"value":"new"})").status, 200);
  EXPECT_TRUE(is_problem(send("PUT", "/v1/settings/2", R"({"value":"new"})"), 404, "not-found"));
}

TEST_F(RestWriteTest, ARefusedRowSaysWhichColumnAndWhy) {
  struct row {
    const char* body;
    const char* code;
    const char* column;
  };
  for (const row& r :
       {row{"{", "malformed-json", nullptr}, row{"[]", "malformed-json", nullptr},
        row{R"({"id":9,"name":"x"} x)", "malformed-json", nullptr},
        row{R"({"id":9,"name":"x","pet":1})", "unknown-column", "pet"},
        row{R"({"id":9,"name":1})", "wrong-type", "name"}, row{R"({"id":9})", "missing-column", "name"},
        row{R"({"id":9,"name":null})", "null-not-allowed", "name"},
        row{R"({"id":9.5,"name":"x"})", "wrong-type", "id"},
        row{R"({"id":9,"id":9,"name":"x"})", "duplicate-member", "id"}}) {
    const answer a = send("POST", "/v1/users", r.body);
    EXPECT_TRUE(is_problem(a, 422, "invalid-row")) << r.body << a.body;
    EXPECT_NE(a.body.find("\"code\":\"" + std::string(r.code) + "\""), std::string::npos) << r.body << a.body;
    const std::string column = r.column == nullptr ? "" : ",\"column\":\"" + std::string(r.column) + "\"";
    EXPECT_NE(a.body.find(column), std::string::npos) << a.body;
  }
  EXPECT_TRUE(is_problem(send("PATCH", "/v1/users/1", R"({"id":2})"), 422, "invalid-row"));
  EXPECT_EQ(watched_->writes, 0);
}

TEST_F(RestWriteTest, OnlyJsonIsTaken) {
  const answer text = ask("POST", "/v1/users", {{"Content-Type", "text/plain"}}, "{}");
  EXPECT_TRUE(is_problem(text, 415, "unsupported-media-type"));
  EXPECT_EQ(text.header("Accept"), "application/json");
  EXPECT_EQ(ask("POST", "/v1/users", {}, "{}").status, 415);
  EXPECT_EQ(ask("PUT", "/v1/users/1", {{"Content-Type", "application/merge-patch+json"}}, "{}").status, 415);
  const answer patch = ask("PATCH", "/v1/users/1", {{"Content-Type", "application/json-patch+json"}}, "[]");
  EXPECT_TRUE(is_problem(patch, 415, "unsupported-media-type"));
  EXPECT_EQ(patch.header("Accept-Patch"), "application/merge-patch+json, application/json");
}

TEST_F(RestWriteTest, QueryParametersAreRefused) {
  EXPECT_TRUE(is_problem(send("POST", "/v1/users?dry_run=1", R"({"name":"x"})"), 400, "invalid-request"));
  EXPECT_EQ(watched_->writes, 0);
}

TEST_F(RestWriteTest, TheSameIdempotencyKeyWritesOnce) {
  const header_list key{{"Idempotency-Key", "tunnel-1"}};
  const answer first = send("POST", "/v1/users", R"({"name":"Once"})", key);
  ASSERT_EQ(first.status, 201);
  EXPECT_EQ(first.header("Idempotency-Replayed"), "");
  const answer again = send("POST", "/v1/users", R"({"name":"Once"})", key);
  EXPECT_EQ(again.status, 201);
  EXPECT_EQ(again.header("Idempotency-Replayed"), "true");
  EXPECT_EQ(again.header("Location"), first.header("Location"));
  EXPECT_EQ(again.header("ETag"), first.header("ETag"));
  EXPECT_EQ(again.body, first.body);
  EXPECT_EQ(get("/v1/users?fields=id").body, R"({"rows":[{"id":1},{"id":2},{"id":3},{"id":4},{"id":5}]})");
}

TEST_F(RestWriteTest, ReplayedWritesAnswerTheStatusOfThen) {
  const header_list key{{"Idempotency-Key", "k"}};
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(send("PUT", "/v1/users/30", R"({"name":"P"})", key).status, 201) << i;
    EXPECT_EQ(send("PATCH", "/v1/users/2", R"({"age":86})", key).status, 200) << i;
    EXPECT_EQ(ask("DELETE", "/v1/users/4", key).status, 204) << i;
  }
  EXPECT_EQ(ask("DELETE", "/v1/users/4", key).header("Idempotency-Replayed"), "true");
  EXPECT_EQ(ask("DELETE", "/v1/users/4").status, 404);
}

TEST_F(RestWriteTest, ARetryAfterTheRowIsGoneIsStillDone) {
  const header_list key{{"Idempotency-Key", "k"}};
  ASSERT_EQ(send("POST", "/v1/users", R"({"id":40,"name":"G"})", key).status, 201);
  ASSERT_EQ(ask("DELETE", "/v1/users/40").status, 204);
  const answer again = send("POST", "/v1/users", R"({"id":40,"name":"G"})", key);
  EXPECT_EQ(again.status, 204);
  EXPECT_EQ(again.header("Idempotency-Replayed"), "true");
  EXPECT_EQ(get("/v1/users/40").status, 404);
}

TEST_F(RestWriteTest, ALostSecondWriteStillWritesOnce) {
  const header_list key{{"Idempotency-Key", "k"}};
  watched_->drop_markers = true;
  ASSERT_EQ(send("POST", "/v1/users", R"({"name":"L"})", key).status, 201);
  const answer again = send("POST", "/v1/users", R"({"name":"L"})", key);
  EXPECT_EQ(again.status, 204);
  EXPECT_EQ(again.header("Idempotency-Replayed"), "true");
}

TEST_F(RestWriteTest, AReusedKeyWithAnotherBodyIsRefused) {
  const header_list key{{"Idempotency-Key", "k"}};
  ASSERT_EQ(send("POST", "/v1/users", R"({"name":"A1"})", key).status, 201);
  EXPECT_TRUE(is_problem(send("POST", "/v1/users", R"({"name":"A2"})", key), 422, "idempotency-key-reused"));
  EXPECT_EQ(send("POST", "/v1/notes", R"({"title":"A2"})", key).status, 201);  // another path, another key
}

TEST_F(RestWriteTest, ARefusedWriteIsNotRemembered) {
  const header_list key{{"Idempotency-Key", "k"}};
  ASSERT_EQ(send("POST", "/v1/users", R"({"id":1,"name":"B"})", key).status, 409);
  ASSERT_EQ(ask("DELETE", "/v1/users/1").status, 204);
  EXPECT_EQ(send("POST", "/v1/users", R"({"id":1,"name":"B"})", key).status, 201);
}

TEST_F(RestWriteTest, TheSameKeyAtTheSameTimeIsRefused) {
  const header_list headers{{"Idempotency-Key", "k"}, {"Content-Type", "application/json"}};
  net::event gate(core());
  watched_->gate = &gate;
  watched_->hold_writes = true;
  auto first = begin("POST", "/v1/users", headers, R"({"name":"C"})");
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (watched_->writes == 0 && std::chrono::steady_clock::now() < until) std::this_thread::yield();
  const answer second = ask("POST", "/v1/users", headers, R"({"name":"C"})");
  EXPECT_TRUE(is_problem(second, 409, "idempotency-in-progress")) << second.body;
  watched_->hold_writes = false;
  core().post([&gate] { gate.notify(); });
  ASSERT_EQ(first.wait_for(std::chrono::seconds(30)), std::future_status::ready);
  EXPECT_EQ(first.get().status, 201);
  EXPECT_EQ(ask("POST", "/v1/users", headers, R"({"name":"C"})").header("Idempotency-Replayed"), "true");
}

TEST_F(RestWriteTest, BadIdempotencyKeysAreRefused) {
  for (const std::string& key :
       {std::string(), std::string(201, 'x'), std::string("a b"), std::string("\xc3\xbc")}) {
    EXPECT_TRUE(is_problem(send("POST", "/v1/users", R"({"name":"D"})", {{"Idempotency-Key", key}}), 400,
                           "invalid-request"))
        << key;
  }
  const header_list twice{{"Idempotency-Key", "a"}, {"Idempotency-Key", "b"}};
  EXPECT_TRUE(is_problem(send("POST", "/v1/users", R"({"name":"D"})", twice), 400, "invalid-request"));
  EXPECT_EQ(watched_->writes, 0);
}

TEST(SavedWrite, ComesBackFromItsText) {
  const saved_write what{201, "a b,c"};
  const auto read = saved_write::parse(what.text());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->status, 201);
  EXPECT_EQ(read->key, "a b,c");
  EXPECT_EQ(saved_write::parse("201 ")->key, "");
  EXPECT_FALSE(saved_write::parse("201"));
  EXPECT_FALSE(saved_write::parse("x y"));
}

}  // namespace
}  // namespace syncline::server::testing
