// Reads that go to replicas: here a second schema of the same server, whose clock the test sets.
#include "storage/mysql/replica_reads.h"

#include "storage/mysql/mysql_store.h"
#include "tests/storage/mysql/faulty_proxy.h"
#include "tests/storage/mysql/mysql_store_fixture.h"

namespace syncline::storage::mysql {
namespace {

using namespace testing;

class MysqlReplicaReads : public mysql_store_test {
 protected:
  void SetUp() override {
    mysql_store_test::SetUp();
    if (IsSkipped()) return;
    copy_ = unique("syncline_replica");
    admin("CREATE DATABASE " + copy_);
    for (const char* each : {"users", "notes", "tags", "things"})
      admin("CREATE TABLE " + copy_ + "." + each + " LIKE " + schema_ + "." + each);
    admin("CREATE TABLE " + copy_ + ".syncline_clock(id TINYINT PRIMARY KEY, seq BIGINT NOT NULL)");
    admin("INSERT INTO " + copy_ + ".syncline_clock VALUES(1,0)");
    admin("INSERT INTO " + copy_ + ".users(id,name) VALUES(1,'replica')");
    proxy_ = std::make_unique<faulty_proxy>(host_, port_);
    session_options there = options_.primary;
    there.schema = copy_;
    there.socket_path.clear();
    there.host = "127.0.0.1";
    there.port = proxy_->port();
    options_.replicas.push_back(there);
    options_.replica_lag_max_ms = 300;
    open_store();
    admin("CREATE TABLE " + copy_ + ".syncline_generation AS SELECT * FROM " + schema_ +
          ".syncline_generation");
    batch_builder b(users(), write_kind::upsert);
    b.row({{"id", I(1)}, {"name", T("primary")}});
    ASSERT_EQ(fates(write(b)), "c");
  }
  void TearDown() override {
    if (proxy_) proxy_->restore();
    if (store_) store_->stop();
    if (!copy_.empty()) admin("DROP DATABASE IF EXISTS " + copy_);
  }
  void set_clock(std::int64_t seq) {
    admin("UPDATE " + copy_ + ".syncline_clock SET seq=" + std::to_string(seq));
  }
  // Who answers: every read must be answered by somebody.
  std::string name() {
    auto made = get(users(), {"1"});
    EXPECT_TRUE(made.has_value()) << made.error().text();
    if (!made) return {};
    const std::string json(made->json(made->slices[0]));
    return json.find("replica") != std::string::npos ? "replica" : "primary";
  }

  std::string copy_;
  std::unique_ptr<faulty_proxy> proxy_;
};

TEST_F(MysqlReplicaReads, AReplicaAnswersOnlyWhenItIsAsNewAsWhatWasPublished) {
  EXPECT_EQ(name(), "primary");
  set_clock(store_->watermark());
  EXPECT_TRUE(eventually([&] { return name() == "replica"; }));
  batch_builder b(users(), write_kind::upsert);
  b.row({{"id", I(1)}, {"name", T("primary 2")}});
  ASSERT_EQ(fates(write(b)), "u");
  for (int i = 0; i < 50; ++i) ASSERT_EQ(name(), "primary") << "the replica has not heard of the write";
  set_clock(store_->watermark());
  EXPECT_TRUE(eventually([&] { return name() == "replica"; }));
  list_query q;
  q.of = &users();
  q.what = projection::all(users());
  auto listed = list(q);
  ASSERT_TRUE(listed.has_value());
  EXPECT_NE(listed->bytes.find("replica"), std::string::npos);
  EXPECT_EQ(listed->position, store_->watermark());
  auto grouped = ask<rows>(
      [&](request_context& context) { return store_->rows_by(context, users(), {1}, {"replica"}, 10); });
  EXPECT_EQ(keys_of(grouped), "1");
}

TEST_F(MysqlReplicaReads, AReplicaThatHangsOrBreaksIsLeftOutAndTakenBack) {
  set_clock(1'000'000);
  ASSERT_TRUE(eventually([&] { return name() == "replica"; }));
  for (const auto how : {faulty_proxy::end::hold, faulty_proxy::end::reset}) {
    proxy_->after(0, how);
    EXPECT_TRUE(eventually([&] { return name() == "primary"; }));
    for (int i = 0; i < 5; ++i) EXPECT_EQ(name(), "primary");
    proxy_->restore();
    EXPECT_TRUE(eventually([&] { return name() == "replica"; }));
  }
}

// One that follows a primary that was lost: its clock may be higher than the one that counts now.
TEST_F(MysqlReplicaReads, AReplicaOfAnotherHistoryAnswersNothing) {
  set_clock(1'000'000);
  ASSERT_TRUE(eventually([&] { return name() == "replica"; }));
  admin("UPDATE " + copy_ + ".syncline_generation SET id=id+1");
  for (int i = 0; i < 50; ++i) ASSERT_EQ(name(), "primary");
  EXPECT_TRUE(eventually([&] { return metric("syncline_mysql_replicas_in_use ") == 0; }));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(name(), "primary");
  admin("UPDATE " + copy_ + ".syncline_generation SET id=id-1");
  EXPECT_TRUE(eventually([&] { return name() == "replica"; }));
}

TEST(MysqlReplica, OneInAnotherGenerationIsNotAskedAndIsLeftOutInTime) {
  replica other("r", nullptr, 1000);
  other.well(-1, 10, 1);
  EXPECT_FALSE(other.in_use());
  other.well(10, 10, 2);
  EXPECT_TRUE(other.try_use(10, 3));
  other.saw(-1, 10, 4);
  EXPECT_FALSE(other.try_use(10, 100)) << "not even to have a look";
  EXPECT_TRUE(other.in_use());
  other.well(-1, 10, 1100);
  EXPECT_FALSE(other.in_use());
  other.well(11, 11, 1200);
  EXPECT_TRUE(other.try_use(11, 1201));
}

TEST(MysqlReplica, OneWhoseFeedStandsStillIsLeftOutAndOneThatComesOnIsNot) {
  replica behind("r", nullptr, 1000);
  EXPECT_FALSE(behind.try_use(0, 0)) << "nobody has seen it yet";
  behind.well(10, 10, 1);
  EXPECT_TRUE(behind.try_use(10, 2));
  EXPECT_TRUE(behind.try_use(11, 10)) << "to have a look";
  EXPECT_FALSE(behind.try_use(11, 11)) << "one at a time";
  behind.saw(10, 11, 12);
  behind.saw(10, 12, 900);
  EXPECT_TRUE(behind.in_use());
  behind.saw(11, 13, 950);
  behind.saw(11, 14, 1900);
  EXPECT_TRUE(behind.in_use()) << "it moved 950 ms ago";
  behind.saw(11, 15, 1951);
  EXPECT_FALSE(behind.in_use());
  behind.well(11, 15, 2000);
  EXPECT_FALSE(behind.in_use()) << "it stands still";
  behind.well(12, 15, 2100);
  EXPECT_TRUE(behind.in_use());
}

}  // namespace
}  // namespace syncline::storage::mysql
