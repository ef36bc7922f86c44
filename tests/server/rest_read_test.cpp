#include "tests/server/rest_fixture.h"

namespace syncline::server::testing {
namespace {

using RestReadTest = RestTest;

constexpr const char* kAda = R"({"id":1,"name":"Ada","age":36,"state":{"a":1}})";

TEST_F(RestReadTest, ARowIsJsonWithETagAndPosition) {
  const answer a = get("/v1/users/1");
  EXPECT_EQ(a.status, 200);
  EXPECT_EQ(a.content_type, "application/json");
  EXPECT_EQ(a.body, kAda);
  EXPECT_EQ(a.header("ETag"), storage::etag_of(kAda));
  EXPECT_EQ(a.header("Syncline-Position"), std::to_string(watched_->watermark()));
  EXPECT_EQ(a.header("Cache-Control"), "private, no-cache");
}

TEST_F(RestReadTest, TheSecondReadComesFromL1WithoutATask) {
  EXPECT_TRUE(get("/v1/users/1").was_task);
  const answer again = get("/v1/users/1");
  EXPECT_FALSE(again.was_task);
  EXPECT_EQ(again.body, kAda);
  EXPECT_EQ(again.header("ETag"), storage::etag_of(kAda));
  EXPECT_EQ(watched_->gets, 1);
}

TEST_F(RestReadTest, AKnownETagIsAnsweredNotModified) {
  const std::string etag = get("/v1/users/1").header("ETag");
  for (const std::string& sent : {etag, "W/" + etag, "\"x\", " + etag, std::string("*")}) {
    const answer a = get("/v1/users/1", {{"If-None-Match", sent}});
    EXPECT_EQ(a.status, 304) << sent;
    EXPECT_EQ(a.body, "");
    EXPECT_EQ(a.content_type, "");
    EXPECT_EQ(a.header("ETag"), etag);
    EXPECT_FALSE(a.was_task);
  }
  EXPECT_EQ(get("/v1/users/1", {{"If-None-Match", "\"other\""}}).status, 200);
}

TEST_F(RestReadTest, AMissingRowIsRememberedAsMissing) {
  const answer first = get("/v1/users/99");
  EXPECT_EQ(first.status, 404);
  EXPECT_TRUE(first.was_task);
  const answer again = get("/v1/users/99");
  EXPECT_EQ(again.status, 404);
  EXPECT_FALSE(again.was_task);
  EXPECT_NE(again.body.find("\"type\":\"/problems/not-found\""), std::string::npos);
}

TEST_F(RestReadTest, AWriteIsSeenByTheNextRead) {
  ASSERT_EQ(get("/v1/users/1").body, kAda);
  ASSERT_EQ(get("/v1/users/50").status, 404);
  const answer written = send("PATCH", "/v1/users/1", R"({"age":37})");
  ASSERT_EQ(written.status, 200);
  ASSERT_EQ(send("PUT", "/v1/users/50", R"({"name":"New"})").status, 201);
  const answer seen = get("/v1/users/1");
  EXPECT_EQ(seen.body, R"({"id":1,"name":"Ada","age":37,"state":{"a":1}})");
  EXPECT_GE(std::stoll(seen.header("Syncline-Position")), std::stoll(written.header("Syncline-Position")));
  EXPECT_EQ(get("/v1/users/50").status, 200);
}

TEST_F(RestReadTest, ARowIsReadAgainWhenItsTimeIsOver) {
  settings_.resources.find("users")->cache.ttl_s = 10;
  settings_.resources.find("users")->cache.negative_s = 5;
  l1_.set_time(1000);
  (void)get("/v1/users/1");
  (void)get("/v1/users/99");
  l1_.set_time(1005);
  EXPECT_FALSE(get("/v1/users/99").was_task);
  l1_.set_time(1006);
  EXPECT_TRUE(get("/v1/users/99").was_task);
  l1_.set_time(1010);
  EXPECT_FALSE(get("/v1/users/1").was_task);
  l1_.set_time(1011);
  EXPECT_TRUE(get("/v1/users/1").was_task);
  EXPECT_FALSE(get("/v1/users/1").was_task);
  EXPECT_EQ(watched_->gets, 4);
}

TEST_F(RestReadTest, RefreshReadsTheStore) {
  ASSERT_EQ(get("/v1/users/1").status, 200);
  EXPECT_EQ(get("/v1/users/1?refresh=1").body, kAda);
  EXPECT_EQ(watched_->gets, 2);
}

TEST_F(RestReadTest, FieldsAndShortNamesNarrowTheRow) {
  EXPECT_EQ(get("/v1/users/1?fields=age,id").body, R"({"age":36,"id":1})");
  EXPECT_EQ(get("/v1/users/1?fields=id,name&names=short").body, R"({"i":1,"n":"Ada"})");
  EXPECT_EQ(get("/v1/users/1?names=short").body, R"({"i":1,"n":"Ada","age":36,"state":{"a":1}})");
  EXPECT_EQ(get("/v1/users/1").body, kAda);
  EXPECT_EQ(get("/v1/users/99?fields=id").status, 404);
}

TEST_F(RestReadTest, BadParametersAreRefused) {
  for (const char* target : {"/v1/users/1?feilds=id",
                             "/v1/users/1?fields=password",
                             "/v1/users/1?fields=id,id",
                             "/v1/users/1?names=tiny",
                             "/v1/users/1?refresh=maybe",
                             "/v1/users/1?fields=id&fields=name",
                             "/v1/users/1?fields=%zz",
                             "/v1/users/abc",
                             "/v1/users/007",
                             "/v1/users/1,2",
                             "/v1/follows/1",
                             "/v1/users?limit=0",
                             "/v1/users?limit=51",
                             "/v1/users?limit=x",
                             "/v1/users?after=x",
                             "/v1/users?after=1&before=2",
                             "/v1/users?before=1&last=1",
                             "/v1/users?scope=team:1",
                             "/v1/users?scope=user",
                             "/v1/users?scope=user:x",
                             "/v1/notes?q=x",
                             "/v1/users?q=%20",
                             "/v1/users?merge=profile",
                             "/v1/users?ids=1&limit=2",
                             "/v1/users?ids=",
                             "/v1/users?ids=1,,2",
                             "/v1/users?ids=1,x",
                             "/v1/follows?ids=1,2,3",
                             "/v1/users?ids=1,2,3,4,5,6,7,8,9,10,11",
                             "/v1/users?ids=1&merge=nothing",
                             "/v1/users?ids=1&merge=profile&fields=id"}) {
    const answer a = get(target);
    EXPECT_EQ(a.status, 400) << target;
    EXPECT_NE(a.body.find("\"type\":\"/problems/invalid-request\""), std::string::npos) << target << a.body;
  }
}

TEST_F(RestReadTest, KeysOfSeveralColumnsAndOfText) {
  EXPECT_EQ(get("/v1/follows/1,2").body, R"({"user_id":1,"target_id":2})");
  EXPECT_EQ(get("/v1/follows/1,2").was_task, false);
  EXPECT_EQ(get("/v1/notes/plain").body, R"({"title":"plain","text":"x"})");
  EXPECT_EQ(get("/v1/notes/plain").was_task, false);
  EXPECT_EQ(get("/v1/notes/with%2Ccomma").body, R"({"title":"with,comma","text":"y"})");
  EXPECT_EQ(get("/v1/notes/50%25").body, R"({"title":"50%","text":"z"})");
}

TEST_F(RestReadTest, OneRowUnderTwoSpellingsIsOneCacheEntry) {
  ASSERT_EQ(get("/v1/notes/plain").status, 200);
  EXPECT_EQ(get("/v1/notes/%70lain").body, R"({"title":"plain","text":"x"})");
  EXPECT_EQ(watched_->gets, 1);
}

TEST_F(RestReadTest, AViewIsReadButNeverKept) {
  EXPECT_EQ(get("/v1/adults/1").body, R"({"id":1,"name":"Ada"})");
  EXPECT_EQ(get("/v1/adults/4").status, 404);
  ASSERT_EQ(send("PATCH", "/v1/users/4", R"({"age":18})").status, 200);
  EXPECT_EQ(get("/v1/adults/4").body, R"({"id":4,"name":"Kid"})");
}

TEST_F(RestReadTest, AFailedReadIsAProblemAndNotKept) {
  watched_->next_get_fails = net::error(net::errc::locked, "the database is locked");
  const answer failed = get("/v1/users/1");
  EXPECT_EQ(failed.status, 503);
  EXPECT_EQ(failed.header("Retry-After"), "1");
  EXPECT_NE(failed.body.find("\"type\":\"/problems/database-locked\""), std::string::npos);
  EXPECT_EQ(get("/v1/users/1").status, 200);
}

// As a copy that lags would have it; the store itself is asked then.
TEST_F(RestReadTest, WhatL1RefusesIsReadFromTheStore) {
  std::string key;
  append_l1_key(settings_.resources.find("users")->ordinal, "1", key);
  l1_.invalidate(key, store_->watermark() + 100);
  const answer one = get("/v1/users/1");
  EXPECT_EQ(one.status, 200);
  EXPECT_NE(one.body.find("\"Ada\""), std::string::npos) << one.body;
  const answer two = get("/v1/users?ids=1,2");
  EXPECT_EQ(two.status, 200);
  EXPECT_NE(two.body.find("\"Ada\""), std::string::npos) << two.body;
  EXPECT_NE(two.body.find("\"Grace\""), std::string::npos) << two.body;
}

TEST_F(RestReadTest, AnInternalErrorKeepsItsDetailToTheLog) {
  watched_->next_get_fails = net::error(net::errc::internal, "statement failed", "SELECT secret FROM users");
  const answer failed = get("/v1/users/1");
  EXPECT_EQ(failed.status, 500);
  EXPECT_EQ(failed.body.find("secret"), std::string::npos);
}

TEST_F(RestReadTest, IdsComeInOneBatchAndMissingOnesAreNamed) {
  const answer a = get("/v1/users?ids=3,99,1,3");
  EXPECT_EQ(a.status, 200);
  EXPECT_EQ(a.body, std::string(R"({"rows":[{"id":3,"name":"Alan","age":41,"state":null},)") + kAda +
                        R"(],"missing":[99]})");
  EXPECT_EQ(watched_->gets, 1);
  EXPECT_EQ(get("/v1/users?ids=1,3,99").status, 200);
  EXPECT_EQ(watched_->gets, 1);  // all three are in L1 now
  EXPECT_EQ(get("/v1/users/1").was_task, false);
}

TEST_F(RestReadTest, IdsOfSeveralColumnsAndWithFields) {
  EXPECT_EQ(get("/v1/follows?ids=1,2,7,7").body,
            R"({"rows":[{"user_id":1,"target_id":2}],"missing":["7,7"]})");
  EXPECT_EQ(get("/v1/users?ids=1,99&fields=name").body, R"({"rows":[{"name":"Ada"}],"missing":[99]})");
  EXPECT_EQ(get("/v1/notes?ids=with%252Ccomma,plain&fields=text").body,
            R"({"rows":[{"text":"y"},{"text":"x"}],"missing":[]})");
}

TEST_F(RestReadTest, PagesFollowTheirLinksForwardAndBack) {
  const answer first = get("/v1/users?limit=2&fields=id");
  EXPECT_EQ(first.body, R"({"rows":[{"id":1},{"id":2}]})");
  EXPECT_EQ(
      first.header("Link"),
      R"(</v1/users?limit=2&fields=id>; rel="first", </v1/users?limit=2&fields=id&after=2>; rel="next", )"
      R"(</v1/users?limit=2&fields=id&last=1>; rel="last")");
  const answer second = get("/v1/users?limit=2&fields=id&after=2");
  EXPECT_EQ(second.body, R"({"rows":[{"id":3},{"id":4}]})");
  EXPECT_EQ(second.header("Link").find("rel=\"next\""), std::string::npos);
  EXPECT_NE(second.header("Link").find("</v1/users?limit=2&fields=id&before=3>; rel=\"prev\""),
            std::string::npos);
  const answer back = get("/v1/users?limit=2&fields=id&before=3");
  EXPECT_EQ(back.body, first.body);
  EXPECT_NE(back.header("Link").find("after=2>; rel=\"next\""), std::string::npos);
  EXPECT_EQ(back.header("Link").find("rel=\"prev\""), std::string::npos);
  EXPECT_EQ(get("/v1/users?limit=3&fields=id&last=1").body, R"({"rows":[{"id":2},{"id":3},{"id":4}]})");
  EXPECT_EQ(get("/v1/users").header("Link").substr(0, 27), R"(</v1/users>; rel="first", <)");
}

TEST_F(RestReadTest, AnEmptyPageLinksBackToTheRows) {
  const answer behind = get("/v1/users?after=1000");
  EXPECT_EQ(behind.body, R"({"rows":[]})");
  EXPECT_NE(behind.header("Link").find("</v1/users?last=1>; rel=\"prev\""), std::string::npos);
  const answer ahead = get("/v1/users?before=-5");
  EXPECT_EQ(ahead.body, R"({"rows":[]})");
  EXPECT_NE(ahead.header("Link").find("</v1/users>; rel=\"next\""), std::string::npos);
}

TEST_F(RestReadTest, LinksCarryTextKeysAndSearchEncoded) {
  const answer a = get("/v1/notes?limit=2&fields=title");
  EXPECT_EQ(a.body, R"({"rows":[{"title":"50%"},{"title":"plain"}]})");
  EXPECT_NE(a.header("Link").find("after=plain>"), std::string::npos);
  const answer b = get("/v1/notes?limit=1&fields=title");
  EXPECT_NE(b.header("Link").find("after=50%2525>"), std::string::npos);
  EXPECT_EQ(get("/v1/notes?limit=1&fields=title&after=50%2525").body, R"({"rows":[{"title":"plain"}]})");
}

TEST_F(RestReadTest, SearchAndScopeNarrowAPage) {
  EXPECT_EQ(get("/v1/users?q=gra&fields=id").body, R"({"rows":[{"id":2}]})");
  EXPECT_EQ(get("/v1/follows?scope=user:2").body, R"({"rows":[{"user_id":2,"target_id":1}]})");
}

TEST_F(RestReadTest, APageHasAnETagOfItsBytes) {
  const answer page = get("/v1/users?limit=2");
  const answer again = get("/v1/users?limit=2", {{"If-None-Match", page.header("ETag")}});
  EXPECT_EQ(again.status, 304);
  EXPECT_EQ(again.header("Link"), page.header("Link"));
  ASSERT_EQ(send("PATCH", "/v1/users/1", R"({"age":1})").status, 200);
  EXPECT_EQ(get("/v1/users?limit=2", {{"If-None-Match", page.header("ETag")}}).status, 200);
}

TEST_F(RestReadTest, PagesDoNotFillL1) {
  ASSERT_EQ(get("/v1/users").status, 200);
  EXPECT_EQ(l1_.read_figures().entries, 0u);
}

TEST_F(RestReadTest, HeadIsAnsweredLikeGet) {
  const answer head = ask("HEAD", "/v1/users/1");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.header("ETag"), storage::etag_of(kAda));
  EXPECT_FALSE(ask("HEAD", "/v1/users/1").was_task);
}

}  // namespace
}  // namespace syncline::server::testing
