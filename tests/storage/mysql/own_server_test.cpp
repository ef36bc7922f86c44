// What needs a MySQL of a special kind: a source and its replica, a binary log, a disk that is full.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "storage/mysql/mysql_store.h"
#include "tests/storage/mysql/faulty_proxy.h"
#include "tests/storage/mysql/mysql_store_fixture.h"
#include "tests/storage/mysql/own_server.h"

namespace syncline::storage::mysql {
namespace {

using namespace testing;
using ::testing::HasSubstr;

class MysqlOwnServer : public mysql_store_test {
 protected:
  // Started before the schema is made there.
  void begin(const std::string& options, int disk_mb = 0) {
    mysql_test::SetUp();
    if (IsSkipped()) return;
    server_ = std::make_unique<own_server>(options, disk_mb);
    cores_.start();
    make_schema();
  }
  void TearDown() override {
    if (store_) store_->stop();
    schema_.clear();  // goes with its server
  }
  [[nodiscard]] session_options server_options() const override {
    session_options out = *tcp_options();
    out.host = "127.0.0.1";
    out.port = server_->x_port();
    return out;
  }

  std::unique_ptr<own_server> server_;
};

// A source and a replica that follows it.
class MysqlOwnPair : public MysqlOwnServer {
 protected:
  static std::string options(int id) {
    return "--log-bin=binlog --gtid-mode=ON --enforce-gtid-consistency=ON --server-id=" + std::to_string(id);
  }
  void SetUp() override {
    begin(options(1));
    if (IsSkipped()) return;
    copy_ = std::make_unique<own_server>(options(2));
    on_copy_.primary = options_.primary;
    on_copy_.primary.port = copy_->x_port();
    on_copy_.primary.schema.clear();
    const session_options& as = options_.primary;
    on_copy(
        fmt::format("CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT={}, SOURCE_USER='{}', "
                    "SOURCE_PASSWORD='{}', GET_SOURCE_PUBLIC_KEY=1, SOURCE_AUTO_POSITION=1, "
                    "SOURCE_CONNECT_RETRY=1",
                    server_->classic_port(), as.user, as.password));
    on_copy("START REPLICA");
  }
  void on_copy(const std::string& text) { run_statement(on_copy_, text); }
  std::string value_on(const mysql_options& where, const std::string& text) {
    const mysql_options kept = std::exchange(options_, where);
    std::string out = value(text);
    options_ = kept;
    return out;
  }
  void write_name(int i) {
    batch_builder b(users(), write_kind::upsert);
    const std::string name = "name " + std::to_string(i);
    b.row({{"id", I(1)}, {"name", T(name)}});
    const auto made = write(b);
    ASSERT_TRUE(made.has_value()) << made.error().text();
  }

  std::unique_ptr<own_server> copy_;
  mysql_options on_copy_;
};

class MysqlOwnReplica : public MysqlOwnPair {
 protected:
  void SetUp() override {
    MysqlOwnPair::SetUp();
    if (!IsSkipped()) use_replica();
  }
  void use_replica() {
    session_options there = options_.primary;
    there.port = copy_->x_port();
    options_.replicas.push_back(there);
    options_.replica_lag_max_ms = 300;
    open_store();
  }
  // Reads what was written last, whoever answers; true when that was the replica.
  bool replica_answers(int i) {
    const double before = metric("syncline_mysql_replica_answers_total");
    EXPECT_THAT(row_of(users(), "1"), HasSubstr("\"name " + std::to_string(i) + "\""));
    return metric("syncline_mysql_replica_answers_total") > before;
  }
};

TEST_F(MysqlOwnReplica, ReadsGoToItAndNeverShowLessThanWasAcknowledged) {
  int last = 0;
  write_name(++last);
  EXPECT_TRUE(eventually([&] { return replica_answers(last); })) << "it has what was published";
  for (int i = 0; i < 100; ++i) {
    write_name(++last);
    replica_answers(last);
  }
  EXPECT_TRUE(eventually([&] { return replica_answers(last); }));

  on_copy("STOP REPLICA SQL_THREAD");
  write_name(++last);
  for (int i = 0; i < 50; ++i) EXPECT_FALSE(replica_answers(last)) << "it lags";
  on_copy("START REPLICA SQL_THREAD");
  EXPECT_TRUE(eventually([&] { return replica_answers(last); }));

  copy_->kill();
  for (int i = 0; i < 20; ++i) {
    write_name(++last);
    EXPECT_FALSE(replica_answers(last)) << "it is dead";
  }
  copy_->start();
  EXPECT_TRUE(eventually([&] { return replica_answers(last); }));
}

class MysqlOwnUnorderedReplica : public MysqlOwnReplica {
 protected:
  void SetUp() override {
    MysqlOwnPair::SetUp();
    if (IsSkipped()) return;
    keep_order("OFF");
    use_replica();
  }
  void keep_order(const std::string& how) {
    on_copy("STOP REPLICA SQL_THREAD");
    on_copy("SET GLOBAL replica_parallel_workers=4");
    on_copy("SET GLOBAL replica_preserve_commit_order=" + how);
    on_copy("START REPLICA SQL_THREAD");
  }
};

TEST_F(MysqlOwnUnorderedReplica, OneThatCommitsInAnotherOrderIsNotUsed) {
  write_name(1);
  EXPECT_TRUE(
      eventually([&] { return value_on(on_copy_, "SELECT COUNT(*) FROM " + schema_ + ".users") == "1"; }));
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  while (std::chrono::steady_clock::now() < until) ASSERT_FALSE(replica_answers(1));
  EXPECT_EQ(metric("syncline_mysql_replicas_in_use "), 0);
  keep_order("ON");
  EXPECT_TRUE(eventually([&] { return replica_answers(1); }));
}

// The old primary lives on, read-only, and new connections find the one that was promoted.
class MysqlOwnFailover : public MysqlOwnPair {
 protected:
  void SetUp() override {
    MysqlOwnPair::SetUp();
    if (IsSkipped()) return;
    direct_ = options_;
    proxy_ = std::make_unique<faulty_proxy>("127.0.0.1", server_->x_port());
    options_.primary.port = proxy_->port();
    open_store();
    write_name(1);
    fill_pool();
  }
  void TearDown() override {
    options_ = direct_;
    MysqlOwnPair::TearDown();
    proxy_.reset();
  }
  // Several connections on each core.
  void fill_pool() {
    std::vector<std::future<void>> all;
    for (std::size_t i = 0; i < 24; ++i) {
      net::core& on = cores_.at(i % 2);
      all.push_back(net::testing::start_task(on, [&]() -> task<void> {
        net::request_context context(on);
        context.set_deadline(in_ms(10'000));
        const auto what = store_->make_stream({{&users(), ""}});
        auto reading = store_->read_page(context, what, std::nullopt, {});
        const auto made = co_await std::move(reading);
        EXPECT_TRUE(made.has_value()) << made.error().text();
      }));
    }
    for (auto& each : all) each.get();
  }
  void fail_over() {
    run_statement(direct_, "SET GLOBAL super_read_only=ON");
    const std::string all = value_on(direct_, "SELECT @@GLOBAL.gtid_executed");
    const std::string waited = value_on(on_copy_, "SELECT WAIT_FOR_EXECUTED_GTID_SET('" + all + "',20)");
    ASSERT_EQ(waited, "0");
    on_copy("STOP REPLICA");
    on_copy("RESET REPLICA ALL");
    proxy_->lead_new_to(copy_->x_port());
  }
  std::string name_on_core(std::size_t core) {
    const auto made = ask<rows>(
        [this](net::request_context& context) {
          return store_->get(context, users(), projection::all(users()), {"1"});
        },
        {}, core);
    if (!made || made->slices.empty() || !made->slices[0].found) return {};
    return std::string(made->json(made->slices[0]));
  }

  std::unique_ptr<faulty_proxy> proxy_;
  mysql_options direct_;
};

TEST_F(MysqlOwnFailover, AWriteThatMeetsTheOldServerGoesToTheNewOne) {
  fail_over();
  write_name(2);
  EXPECT_EQ(value_on(direct_, "SELECT name FROM " + schema_ + ".users WHERE id=1"), "name 1");
  EXPECT_EQ(value_on(on_copy_, "SELECT name FROM " + schema_ + ".users WHERE id=1"), "name 2");
  EXPECT_EQ(value_on(on_copy_, "SELECT COUNT(*) FROM " + schema_ + ".syncline_pending"), "0")
      << "it was acknowledged by the feed of the server that has it";
  for (int i = 0; i < 40; ++i)
    ASSERT_THAT(name_on_core(static_cast<std::size_t>(i % 2)), HasSubstr("\"name 2\""));
}

TEST_F(MysqlOwnFailover, ReadsLeaveTheOldServerAlsoWhenNobodyWrites) {
  fail_over();
  ASSERT_TRUE(eventually([&] {
    const auto told = listener_.notices();
    return !told.empty() && told.back()->everything;
  })) << "a generation begins";
  on_copy("UPDATE " + schema_ + ".users SET name='by another' WHERE id=1");
  for (int i = 0; i < 40; ++i)
    ASSERT_THAT(name_on_core(static_cast<std::size_t>(i % 2)), HasSubstr("by another"));
}

TEST_F(MysqlOwnFailover, AServerThatIsOnlyReadOnlySaysDownAndComesBack) {
  run_statement(direct_, "SET GLOBAL super_read_only=ON");
  batch_builder b(users(), write_kind::upsert);
  b.row({{"id", I(1)}, {"name", T("refused")}});
  EXPECT_EQ(write(b).error().code, net::errc::down);
  EXPECT_THAT(name_on_core(0), HasSubstr("\"name 1\"")) << "reads go on";
  EXPECT_TRUE(eventually([&] { return !store_->read_figures().healthy; }));
  EXPECT_THAT(store_->read_figures().trouble, HasSubstr("1290"));
  run_statement(direct_, "SET GLOBAL super_read_only=OFF");
  run_statement(direct_, "SET GLOBAL read_only=OFF");
  EXPECT_TRUE(eventually([&] { return store_->read_figures().healthy; }));
  write_name(2);
}

class MysqlOwnBinaryLog : public MysqlOwnServer {
 protected:
  void SetUp() override { begin("--log-bin=binlog"); }
};

TEST_F(MysqlOwnBinaryLog, AnAccountThatMayMakeNoTriggersIsToldWhatToDo) {
  admin("CREATE USER 'limited'@'%' IDENTIFIED BY 'secret'");
  admin(
      "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, INDEX, ALTER, TRIGGER, CREATE TEMPORARY TABLES "
      "ON " +
      schema_ + ".* TO 'limited'@'%'");
  options_.primary.user = "limited";
  options_.primary.password = "secret";
  const auto refused = open_mysql_store(options_, all_, cores_);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, net::errc::unsupported);
  EXPECT_THAT(refused.error().text(), HasSubstr("log_bin_trust_function_creators"));
  EXPECT_THAT(refused.error().text(), HasSubstr("1419"));
  admin("SET PERSIST log_bin_trust_function_creators=1");
  open_store();
  create_users(1, 3);
  EXPECT_THAT(row_of(users(), "3"), HasSubstr("user 3"));
}

class MysqlOwnDisk : public MysqlOwnServer {
 protected:
  void SetUp() override {
    begin("--innodb-redo-log-capacity=8M", 320);
    if (!IsSkipped() && !server_->on_small_disk()) GTEST_SKIP() << "no small disk can be mounted here";
  }
  [[nodiscard]] net::result<write_outcome> write_note(std::int64_t n) {
    batch_builder b(notes(), write_kind::upsert);
    const std::string body(200'000, 'n');
    b.row({{"owner", T("o")}, {"n", I(n)}, {"body", T(body)}});
    return write(b);
  }
};

TEST_F(MysqlOwnDisk, AFullDiskIsSaidAndLosesNothingThatWasAcknowledged) {
  open_store();
  create_users(1, 20);
  server_->fill_disk();
  std::int64_t acknowledged = 0;
  net::result<write_outcome> made = write_note(1);
  for (; fates(made) == "c"; made = write_note(acknowledged + 1))
    ASSERT_LT(++acknowledged, 2000) << "the disk is never full";
  const net::error why = made ? made->rows.at(0).why.value() : made.error();
  // Or the row found room, and what the feed writes of it did not: then it is stored and not acknowledged.
  if (why.code != net::errc::disk_full) {
    EXPECT_EQ(value("SELECT COUNT(*) FROM notes"), std::to_string(acknowledged + 1)) << why.text();
  }
  EXPECT_THAT(row_of(users(), "20"), HasSubstr("user 20")) << "reads go on";

  server_->free_disk();
  EXPECT_TRUE(eventually([&] {
    const std::string fate = fates(write_note(acknowledged + 1));
    return fate == "c" || fate == "=";
  }));
  ++acknowledged;
  EXPECT_EQ(value("SELECT COUNT(*) FROM notes"), std::to_string(acknowledged));
  EXPECT_TRUE(eventually([&] {
    return value(
               "SELECT COUNT(*) FROM syncline_feed AS f JOIN syncline_resource AS r ON r.id=f.resource JOIN "
               "notes AS n ON f.`key`=CONCAT(n.owner,',',n.n) WHERE r.name='notes' AND f.scope='owner:o'") ==
           std::to_string(acknowledged);
  })) << "the feed has every row";
}

}  // namespace
}  // namespace syncline::storage::mysql
