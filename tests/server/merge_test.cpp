#include "server/merge_read.h"

#include "tests/server/rest_fixture.h"

namespace syncline::server::testing {
namespace {

using MergeTest = RestTest;

constexpr const char* kGrace =
    R"({"id":2,"user":{"id":2,"name":"Grace","age":85,"state":null},"state":null,"follows":[{"user_id":2,"target_id":1}],)"
    R"("blocks":[{"user_id":2,"target_id":4}]})";
constexpr const char* kAlan =
    R"({"id":3,"user":{"id":3,"name":"Alan","age":41,"state":null},"state":null,"follows":[],"blocks":[]})";

TEST_F(MergeTest, OneDocumentHoldsAllParts) {
  const answer a = get("/v1/users/2/profile");
  EXPECT_EQ(a.status, 200);
  EXPECT_EQ(a.body, kGrace);
  EXPECT_EQ(a.header("Syncline-Position"), std::to_string(watched_->watermark()));
}

TEST_F(MergeTest, APartThatWasCutIsNamed) {
  EXPECT_EQ(
      get("/v1/users/1/profile").body,
      R"({"id":1,"user":{"id":1,"name":"Ada","age":36,"state":{"a":1}},"state":{"user_id":1,"mood":"curious"},)"
      R"("follows":[{"user_id":1,"target_id":2},{"user_id":1,"target_id":3},{"user_id":1,"target_id":4}],"blocks":[],)"
      R"("truncated":["follows"]})");
}

TEST_F(MergeTest, SeveralKeysCostOneBatchPerPart) {
  const answer a = get("/v1/users?ids=3,99,2&merge=profile");
  EXPECT_EQ(a.body, std::string(R"({"rows":[)") + kAlan + "," + kGrace + R"(],"missing":[99]})");
  EXPECT_EQ(watched_->rows_bys, 4);
  EXPECT_EQ(watched_->gets, 0);
}

TEST_F(MergeTest, AMissingRootIsNotFound) {
  EXPECT_EQ(get("/v1/users/99/profile").status, 404);
}

TEST_F(MergeTest, AMergeWithoutItsRootStillKnowsWhoExists) {
  EXPECT_EQ(get("/v1/users/3/circle").body, R"({"id":3,"follows":[]})");
  EXPECT_EQ(get("/v1/users/99/circle").status, 404);
  EXPECT_EQ(get("/v1/users?ids=2,99&merge=circle").body,
            R"({"rows":[{"id":2,"follows":[{"user_id":2,"target_id":1}]}],"missing":[99]})");
}

TEST_F(MergeTest, AWriteToAPartIsSeen) {
  const std::string etag = get("/v1/users/3/profile").header("ETag");
  EXPECT_EQ(get("/v1/users/3/profile", {{"If-None-Match", etag}}).status, 304);
  ASSERT_EQ(send("POST", "/v1/blocks", R"({"user_id":3,"target_id":1})").status, 201);
  const answer a = get("/v1/users/3/profile", {{"If-None-Match", etag}});
  EXPECT_EQ(a.status, 200);
  EXPECT_NE(a.body.find(R"("blocks":[{"user_id":3,"target_id":1}])"), std::string::npos);
}

TEST_F(MergeTest, AnAnswerThatTheStoreCutIsTooLargeAndNotMissing) {
  watched_->cut_rows_by = true;
  EXPECT_EQ(get("/v1/users/2/profile").status, 413);
  EXPECT_EQ(get("/v1/users?ids=2,3&merge=profile").status, 413);
}

TEST_F(MergeTest, ParametersAreChecked) {
  EXPECT_EQ(get("/v1/users/3/profile?fields=id").status, 400);
  EXPECT_EQ(get("/v1/users/x/profile").status, 400);
}

}  // namespace
}  // namespace syncline::server::testing
