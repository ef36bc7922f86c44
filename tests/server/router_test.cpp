#include "server/router.h"

#include "tests/server/rest_fixture.h"

namespace syncline::server::testing {
namespace {

using RouterTest = RestTest;

TEST_F(RouterTest, WhatIsNotDeclaredDoesNotExist) {
  for (const char* path :
       {"/", "/v1", "/v1/", "/v2/users/1", "/v1/passwords", "/v1/users/1/nothing", "/v1/notes/plain/profile",
        "/v1/users/1/profile/more", "/v1/sync/1", "/v1/subscribe/1"}) {
    const answer a = get(path);
    EXPECT_EQ(a.status, 404) << path;
    EXPECT_EQ(a.content_type, "application/problem+json") << path;
    EXPECT_FALSE(a.was_task) << path;
  }
}

// The rest of such a request is not looked at: its parts would be compared with each other.
TEST_F(RouterTest, AStreamOfTooManyScopesIsRefusedBeforeItsLastOne) {
  std::string scopes = "user:0";
  for (std::uint32_t i = 1; i <= settings_.sync.parts_max; ++i) scopes += ",user:" + std::to_string(i);
  const answer a = get("/v1/sync?scope=" + scopes + ",no-scope-at-all");
  EXPECT_EQ(a.status, 400);
  EXPECT_NE(a.body.find("too many scopes and resources"), std::string::npos) << a.body;
}

TEST_F(RouterTest, EmptySegmentsDotsAndTrailingSlashesAreNoPaths) {
  for (const char* path : {"/v1//users", "/v1/users/", "/v1/users/1/", "/v1/users//1", "/v1/./users",
                           "/v1/../v1/users", "/v1/users/.", "/v1/users/..", "//v1/users"}) {
    EXPECT_EQ(get(path).status, 404) << path;
  }
}

TEST_F(RouterTest, AMethodThatAPathDoesNotHaveIsRefusedWithAllow) {
  const answer a = ask("DELETE", "/v1/users");
  EXPECT_EQ(a.status, 405);
  EXPECT_EQ(a.header("Allow"), "GET, HEAD, POST, OPTIONS");
  EXPECT_NE(a.body.find("\"type\":\"/problems/method-not-allowed\""), std::string::npos);
  EXPECT_EQ(ask("POST", "/v1/users/1").header("Allow"), "GET, HEAD, PUT, PATCH, DELETE, OPTIONS");
  EXPECT_EQ(ask("POST", "/v1/users/1/profile").header("Allow"), "GET, HEAD, OPTIONS");
  EXPECT_EQ(ask("POST", "/v1/sync").header("Allow"), "GET, OPTIONS");
  EXPECT_EQ(ask("BREW", "/v1/users").status, 405);
}

TEST_F(RouterTest, WriteRulesDecideWhichMethodsAPathHas) {
  EXPECT_EQ(ask("DELETE", "/v1/logs/1").header("Allow"), "GET, HEAD, PUT, OPTIONS");
  EXPECT_EQ(ask("POST", "/v1/settings").header("Allow"), "GET, HEAD, OPTIONS");
  EXPECT_EQ(ask("DELETE", "/v1/settings/1").header("Allow"), "GET, HEAD, PUT, PATCH, OPTIONS");
  EXPECT_EQ(ask("PUT", "/v1/adults/1").header("Allow"), "GET, HEAD, OPTIONS");
  EXPECT_EQ(ask("POST", "/v1/logs/bulk").status, 405);
}

TEST_F(RouterTest, OptionsListsMethodsAndPatchTypes) {
  const answer row = ask("OPTIONS", "/v1/users/1");
  EXPECT_EQ(row.status, 204);
  EXPECT_EQ(row.header("Allow"), "GET, HEAD, PUT, PATCH, DELETE, OPTIONS");
  EXPECT_EQ(row.header("Accept-Patch"), "application/merge-patch+json, application/json");
  const answer collection = ask("OPTIONS", "/v1/users");
  EXPECT_EQ(collection.header("Allow"), "GET, HEAD, POST, OPTIONS");
  EXPECT_EQ(collection.header("Accept-Patch"), "");
  EXPECT_EQ(ask("OPTIONS", "/v1/users/bulk").header("Allow"), "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
}

TEST_F(RouterTest, ARowMayBeCalledBulk) {
  ASSERT_EQ(send("PUT", "/v1/notes/bulk", R"({"text":"a row"})").status, 201);
  EXPECT_EQ(get("/v1/notes/bulk").body, R"({"title":"bulk","text":"a row"})");
}

}  // namespace
}  // namespace syncline::server::testing
