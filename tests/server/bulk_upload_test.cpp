// What an upload tells when the store fails in the middle, and what it keeps to itself.
#include "net/core/blocking_threads.h"
#include "tests/server/rest_fixture.h"

namespace syncline::server::testing {
namespace {

class BulkUploadTest : public RestTest {
 protected:
  void SetUp() override {
    RestTest::SetUp();
    settings_.bulk.batch_rows = 10;
    pool_ = std::make_unique<net::blocking_threads>(net::blocking_threads_options{});
    shared_.threads = pool_.get();
    router_ = std::make_unique<router>(shared_);
  }
  void TearDown() override {
    RestTest::TearDown();
    pool_.reset();
  }
  answer upload(const std::string& target, const std::string& body) {
    return ask("POST", "/v1/logs/bulk" + target, {{"Content-Type", "application/x-ndjson"}}, body);
  }
  static std::string rows(int first, int last) {
    std::string out;
    for (int id = first; id <= last; ++id) out += "{\"id\":" + std::to_string(id) + ",\"line\":\"x\"}\n";
    return out;
  }
  // The numbers after `name` in the answer's lines, in order.
  static std::vector<int> numbers(const std::string& body, const std::string& name) {
    std::vector<int> out;
    const std::string mark = "\"" + name + "\":";
    for (std::size_t at = body.find(mark); at != std::string::npos; at = body.find(mark, at + 1))
      out.push_back(std::stoi(body.substr(at + mark.size())));
    return out;
  }
  std::unique_ptr<net::blocking_threads> pool_;
};

TEST_F(BulkUploadTest, BatchesBehindOneThatFailedAreToldAndSettleNothing) {
  settings_.resources.find("logs")->write.bulk = true;
  watched_->failing_write = 2;
  const answer got = upload("?conflict=insert", rows(1, 50));
  EXPECT_EQ(got.status, 200);
  EXPECT_EQ(numbers(got.body, "lines_done"), (std::vector<int>{10, 10, 10, 10})) << got.body;
  EXPECT_EQ(numbers(got.body, "created"), (std::vector<int>{10, 10, 10, 10})) << got.body;
  EXPECT_NE(got.body.find("\"line\":\"error\",\"type\":\"/problems/disk-full\""), std::string::npos)
      << got.body;
}

TEST_F(BulkUploadTest, AtomicTellsOfNoBatchBeforeTheEnd) {
  settings_.resources.find("logs")->write.bulk = true;
  const answer good = upload("?atomic=1&conflict=insert", rows(1, 50));
  EXPECT_EQ(good.body.find("\"line\":\"batch\""), std::string::npos) << good.body;
  EXPECT_EQ(numbers(good.body, "created"), std::vector<int>{50}) << good.body;
  watched_->failing_write = watched_->writes + 4;
  const answer bad = upload("?atomic=1&conflict=insert", rows(101, 150));
  EXPECT_EQ(bad.body.find("\"created\""), std::string::npos) << bad.body;
  EXPECT_EQ(ask("GET", "/v1/logs/101").status, 404);
}

}  // namespace
}  // namespace syncline::server::testing
