// What becomes of reads and writes when connections, the server or the schema fail under them.
#include <signal.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include "storage/mysql/mysql_store.h"
#include "tests/storage/mysql/mysql_faults_fixture.h"

namespace syncline::storage::mysql {
namespace {

using namespace testing;
using net::testing::start_task;

class MysqlStoreFaults : public mysql_faults_test {};

// Sessions are killed until some were in the middle of a read. A connect that is killed as well may make
// callers fail at once, as they do while a server refuses us; a read that was sent and lost may not.
TEST_F(MysqlStoreFaults, AReadWhoseConnectionIsLostIsMadeAgain) {
  open_store();
  create_users(1, 1);
  const double before = metric("syncline_mysql_read_retries_total ");
  std::atomic<bool> stopping{false};
  std::atomic<int> answered{0};
  std::vector<std::future<void>> readers;
  for (std::size_t i = 0; i < 8; ++i) {
    net::core& on = cores_.at(i % 2);
    readers.push_back(start_task(on, [&]() -> task<void> {
      while (!stopping) {
        request_context context(on);
        context.set_deadline(in_ms(10'000));
        std::vector<std::string> key{"1"};
        auto reading = store_->get(context, users(), projection::all(users()), std::move(key));
        const auto made = co_await std::move(reading);
        if (made) ++answered;
        if (made) continue;
        EXPECT_EQ(made.error().what, "the server cannot be reached") << made.error().text();
        request_context rest(on);
        auto resting = net::sleep_until(rest, in_ms(20));
        static_cast<void>(co_await std::move(resting));
      }
    }));
  }
  EXPECT_TRUE(eventually([&] {
    const int seen = answered;
    kill_sessions();
    EXPECT_TRUE(eventually([&] { return answered > seen + 50; })) << "it never came back";
    return metric("syncline_mysql_read_retries_total ") >= before + 3;
  }));
  stopping = true;
  for (auto& each : readers) ASSERT_EQ(each.wait_for(std::chrono::seconds(20)), std::future_status::ready);
  EXPECT_TRUE(nothing_is_leaked());
}

// The connection is cut after every few bytes, of some 4 KB in which it is opened and of a write's answers
// and its way into the feed behind them. Whatever is acknowledged is there, whatever is refused for good is
// not, and what is in doubt says so.
TEST_F(MysqlStoreFaults, AWriteIsAcknowledgedOnlyWhenItHappened) {
  open_through_proxy();
  int acknowledged = 0;
  for (int step = 0; step < 60; ++step) {
    const bool keyed = step % 2 == 0;
    const std::int64_t id = 100 + step;
    write_batch batch = user(id, "n" + std::to_string(step));
    if (keyed) {
      batch.remember.emplace();
      batch.remember->key = "cut" + std::to_string(step);
      batch.remember->complete = true;
    }
    proxy_->after(20 + step * 130, faulty_proxy::end::close);
    std::thread restores([&] {
      static_cast<void>(eventually([&] { return proxy_->struck(); }, std::chrono::milliseconds(300)));
      proxy_->restore();
    });
    const auto made = write(std::move(batch), within_ms(10'000));
    restores.join();
    const bool there = value("SELECT COUNT(*) FROM users WHERE id=" + std::to_string(id)) == "1";
    if (made) {
      EXPECT_EQ(fates(made), "c") << step;
      EXPECT_TRUE(there) << step;
      ++acknowledged;
    } else {
      EXPECT_TRUE(made.error().code == errc::down || made.error().code == errc::closed)
          << made.error().text();
    }
  }
  EXPECT_GT(acknowledged, 0);
  EXPECT_TRUE(nothing_is_leaked());
}

TEST_F(MysqlStoreFaults, AFrozenServerCostsTheCallerItsDeadlineAndNothingElse) {
  open_through_proxy();
  create_users(1, 3);
  proxy_->after(0, faulty_proxy::end::hold);
  const auto began = std::chrono::steady_clock::now();
  EXPECT_EQ(get_within(300, "1").error().code, errc::timed_out);
  const auto refused = write(user(1, "frozen"), within_ms(300));
  EXPECT_FALSE(refused.has_value());
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(10));
  proxy_->restore();
  EXPECT_TRUE(eventually([&] { return get_within(2000, "1").has_value(); }));
  EXPECT_TRUE(eventually([&] { return write(user(2, "thawed"), within_ms(3000)).has_value(); }));
  EXPECT_TRUE(nothing_is_leaked());
}

// Pages and batches of a stream have no deadline of their own.
TEST_F(MysqlStoreFaults, ASilentServerEndsAPageAndABatchWithoutADeadline) {
  options_.primary.limits.silence_timeout_ms = 400;
  options_.pool.connect_timeout_ms = 400;
  open_through_proxy();
  create_users(1, 3);
  const auto without_deadline = [](net::request_context& context) {
    context.set_deadline(net::steady_time::max());
  };
  const auto all = store_->make_stream({{&users(), ""}});
  const auto read = [&](const prepare_context& how) {
    return ask<feed_page>(
        [&](request_context& context) { return store_->read_page(context, all, std::nullopt, {}); }, how);
  };
  ASSERT_TRUE(read(without_deadline).has_value());
  for (const bool reads : {true, false}) {
    proxy_->after(0, faulty_proxy::end::hold);
    const auto began = std::chrono::steady_clock::now();
    const net::error got =
        reads ? read(without_deadline).error() : write(user(7, "x"), without_deadline).error();
    EXPECT_EQ(got.code, errc::down) << got.text();
    EXPECT_NE(got.what, "");
    EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(30)) << "300 s, once";
    proxy_->restore();
    EXPECT_TRUE(eventually([&] { return read(within_ms(2000)).has_value(); }));
  }
  EXPECT_TRUE(nothing_is_leaked());
}

TEST_F(MysqlStoreFaults, FewerConnectionsThanThePoolWantsAreShared) {
  const std::string account = unique("few");
  admin("CREATE USER '" + account + "'@'%' IDENTIFIED BY 'pw' WITH MAX_USER_CONNECTIONS 4");
  admin("GRANT ALL ON " + schema_ + ".* TO '" + account + "'@'%'");
  admin("GRANT SYSTEM_VARIABLES_ADMIN ON *.* TO '" + account + "'@'%'");
  options_.primary.user = account;
  options_.primary.password = "pw";
  open_store();
  create_users(1, 1);
  std::atomic<int> failed{0};
  std::vector<std::future<void>> all;
  for (std::size_t i = 0; i < 60; ++i) {
    net::core& on = cores_.at(i % 2);
    all.push_back(start_task(on, [&, i]() -> task<void> {
      request_context context(on);
      context.set_deadline(in_ms(20'000));
      if (i % 3 == 0) {
        auto writing = store_->write(context, user(static_cast<std::int64_t>(i) + 10, "w"));
        if (const auto made = co_await std::move(writing); !made) ++failed;
        co_return;
      }
      std::vector<std::string> key{"1"};
      auto reading = store_->get(context, users(), projection::all(users()), std::move(key));
      if (const auto made = co_await std::move(reading); !made) ++failed;
    }));
  }
  for (auto& each : all) ASSERT_EQ(each.wait_for(std::chrono::seconds(30)), std::future_status::ready);
  EXPECT_EQ(failed, 0);
  options_ = direct_;
  admin("DROP USER '" + account + "'@'%'");
}

TEST_F(MysqlStoreFaults, APasswordThatIsChangedUnderUsIsNamedToCallersAndGoesAwayWithIt) {
  const std::string account = unique("rotated");
  admin("CREATE USER '" + account + "'@'%' IDENTIFIED BY 'pw'");
  admin("GRANT ALL ON " + schema_ + ".* TO '" + account + "'@'%'");
  admin("GRANT SYSTEM_VARIABLES_ADMIN ON *.* TO '" + account + "'@'%'");
  options_.primary.user = account;
  options_.primary.password = "pw";
  open_store();
  create_users(1, 1);
  options_ = direct_;  // the test itself goes on as it was
  admin("ALTER USER '" + account + "'@'%' IDENTIFIED BY 'other'");
  std::string said;
  EXPECT_TRUE(eventually([&] {
    kill_sessions();
    const auto got = get_within(2000, "1");
    if (got.has_error()) said = got.error().text();
    return said.find("MySQL refuses this account") != std::string::npos;
  })) << said;
  EXPECT_EQ(said.find(account), std::string::npos) << "clients of the API see this text: " << said;
  admin("ALTER USER '" + account + "'@'%' IDENTIFIED BY 'pw'");
  EXPECT_TRUE(eventually([&] { return get_within(2000, "1").has_value(); }));
  admin("DROP USER '" + account + "'@'%'");
}

TEST_F(MysqlStoreFaults, AWrongPasswordAndAnUnknownSchemaAreSaidAtOnce) {
  auto wrong = options_;
  wrong.primary.password = "wrong";
  EXPECT_EQ(open_mysql_store(wrong, all_, cores_).error().code, errc::down);
  wrong = options_;
  wrong.primary.schema = "no_such_schema_here";
  const auto unknown = open_mysql_store(wrong, all_, cores_);
  ASSERT_FALSE(unknown.has_value());
  EXPECT_NE(unknown.error().text().find("no_such_schema_here"), std::string::npos) << unknown.error().text();
  wrong = options_;
  wrong.migrate_on_start = false;
  EXPECT_EQ(open_mysql_store(wrong, all_, cores_).error().code, errc::schema_mismatch);
}

// Such as one that waits for somebody else's lock.
TEST_F(MysqlStoreFaults, AStartAgainstAServerThatDoesNotAnswerEnds) {
  open_store();
  store_->stop();
  store_.reset();
  std::promise<void> locked;
  std::atomic<bool> enough{false};
  const mysql_work hold = [&](request_context& context, sql_connection& db) -> task<net::result<void>> {
    auto locking = db.sql(context, "LOCK TABLES syncline_resource WRITE");
    EXPECT_TRUE((co_await std::move(locking)).has_value());
    locked.set_value();
    while (!enough.load()) {
      auto sleeping = net::sleep_until(context, in_ms(10));
      static_cast<void>(co_await std::move(sleeping));
    }
    co_return net::result<void>();
  };
  std::thread holder([&] { EXPECT_TRUE(run_on_mysql(options_, hold).has_value()); });
  EXPECT_EQ(locked.get_future().wait_for(std::chrono::seconds(30)), std::future_status::ready);
  auto impatient = options_;
  impatient.migrate_on_start = false;
  impatient.start_timeout_s = 1;
  const auto opened = open_mysql_store(impatient, all_, cores_);
  enough.store(true);
  holder.join();
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().code, errc::down);
  EXPECT_NE(opened.error().text().find("start_timeout_s"), std::string::npos) << opened.error().text();
}

TEST_F(MysqlStoreFaults, AColumnDroppedUnderUsIsASchemaMismatchAndGoesAwayWithIt) {
  open_store();
  create_users(1, 1);
  ASSERT_NE(row_of(users(), "1"), "");
  sql("ALTER TABLE notes RENAME COLUMN body TO text_body");
  EXPECT_EQ(get(notes(), {"o,1"}).error().code, errc::schema_mismatch);
  batch_builder b(notes(), write_kind::upsert);
  b.row({{"owner", T("o")}, {"n", I(1)}, {"body", T("x")}});
  EXPECT_EQ(write(std::move(b.batch)).error().code, errc::schema_mismatch);
  const auto all = store_->make_stream({{&notes(), ""}});
  EXPECT_EQ(page(all, std::nullopt).error().code, errc::schema_mismatch);
  EXPECT_NE(row_of(users(), "1"), "") << "other tables go on";
  sql("ALTER TABLE notes RENAME COLUMN text_body TO body");
  EXPECT_TRUE(get(notes(), {"o,1"}).has_value());
  EXPECT_TRUE(page(all, std::nullopt).has_value());
  EXPECT_TRUE(nothing_is_leaked());
}

TEST_F(MysqlStoreFaults, AnotherNodesDeclarationIsInTheFigures) {
  options_.schema_check_s = 1;
  open_store();
  EXPECT_EQ(store_->read_figures().trouble, "");
  sql("UPDATE syncline_resource SET declaration='another' WHERE name='tags'");
  EXPECT_TRUE(eventually(
      [&] { return store_->read_figures().trouble.find("another declaration") != std::string::npos; }));
  EXPECT_TRUE(store_->read_figures().healthy) << "rows go on";
}

TEST_F(MysqlStoreFaults, ARowThatNoMessageHoldsIsARejectedRow) {
  options_.primary.limits.message_bytes_max = 1024UL * 1024;
  open_store();
  const std::string huge(2UL * 1024 * 1024, 'x');
  batch_builder b(notes(), write_kind::upsert);
  b.row({{"owner", T("o")}, {"n", I(1)}, {"body", T(huge)}})
      .row({{"owner", T("o")}, {"n", I(2)}, {"body", T("y")}});
  const auto made = write(b);
  ASSERT_EQ(fates(made), "xc");
  EXPECT_EQ(made->rows[0].why->text(), "the row is larger than MySQL takes");
}

TEST_F(MysqlStoreFaults, CallersThatLeaveInTheMiddleLeakNothing) {
  open_store();
  create_users(1, 50);
  for (int us = 0; us < 4000; us += 130) {
    net::core& on = cores_.at(0);
    auto context = std::make_shared<request_context>(on);
    auto ended = start_task(on, [&, context]() -> task<void> {
      batch_builder b(users(), write_kind::upsert);
      for (std::int64_t i = 1; i <= 50; ++i) b.row({{"id", I(i)}, {"name", T(std::to_string(us))}});
      auto writing = store_->write(*context, std::move(b.batch));
      static_cast<void>(co_await std::move(writing));
      std::vector<std::string> keys{"1", "2"};
      auto reading = store_->get(*context, users(), projection::all(users()), std::move(keys));
      static_cast<void>(co_await std::move(reading));
    });
    std::this_thread::sleep_for(std::chrono::microseconds(us));
    net::testing::run_on(on, [&] { context->cancel(); });
    ASSERT_EQ(ended.wait_for(std::chrono::seconds(20)), std::future_status::ready);
  }
  EXPECT_TRUE(nothing_is_leaked());
  EXPECT_EQ(fates(write(user(1, "last"))), "u");
}

constexpr std::chrono::milliseconds kCallDeadline{500};
constexpr std::chrono::milliseconds kSlack{5000};

// All threads of a process stand still while it exists.
class frozen_server {
 public:
  explicit frozen_server(pid_t pid) : pid_(pid) {
    if (pid <= 0 || ::kill(pid, SIGSTOP) != 0) ADD_FAILURE() << "there is no server to freeze";
    EXPECT_TRUE(eventually([&] { return stands(); }));
  }
  ~frozen_server() {
    if (pid_ > 0) ::kill(pid_, SIGCONT);
  }
  frozen_server(const frozen_server&) = delete;
  frozen_server& operator=(const frozen_server&) = delete;

 private:
  // A signal takes its time to reach each thread.
  [[nodiscard]] bool stands() const {
    std::error_code failed;
    for (const auto& each :
         std::filesystem::directory_iterator("/proc/" + std::to_string(pid_) + "/task", failed)) {
      std::ifstream file(each.path() / "stat");
      std::string line;
      std::getline(file, line);
      const std::size_t name_end = line.rfind(')');
      if (name_end == std::string::npos || line.substr(name_end + 2, 1) != "T") return false;
    }
    return !failed;
  }
  pid_t pid_;
};

struct frozen_call {
  std::int64_t id = 0;  // 0: a read
  bool in_freeze = false, ok = false;
  errc code = errc::internal;
  std::string text;
  std::chrono::steady_clock::duration took{};
};

// Nothing else may run beside these: they stop the server that all tests use.
class MysqlServerRestartStore : public MysqlStoreFaults {
 protected:
  // Fills in what became of it.
  task<void> call_once(net::core& on, frozen_call& made) {
    request_context context(on);
    const auto began = std::chrono::steady_clock::now();
    context.set_deadline(began + kCallDeadline);
    std::optional<net::error> failed;
    if (made.id == 0) {
      std::vector<std::string> key{"1"};
      auto reading = store_->get(context, users(), projection::all(users()), std::move(key));
      if (const auto got = co_await std::move(reading); !got) failed = got.error();
    } else {
      auto writing = store_->write(context, user(made.id, "frozen"));
      if (const auto got = co_await std::move(writing); !got) failed = got.error();
    }
    made.took = std::chrono::steady_clock::now() - began;
    made.ok = !failed;
    if (!failed) co_return;
    made.code = failed->code;
    made.text = failed->text();
  }
  // Reads and writes on both cores until `fault()` has come and gone; then everything works again.
  void under_load(const std::function<void()>& fault) {
    std::atomic<bool> stopping{false};
    std::atomic<std::int64_t> next_id{1000};
    std::mutex mutex;
    std::vector<std::int64_t> acknowledged;
    std::vector<std::future<void>> all;
    for (std::size_t i = 0; i < 24; ++i) {
      net::core& on = cores_.at(i % 2);
      all.push_back(start_task(on, [&, i]() -> task<void> {
        while (!stopping) {
          request_context context(on);
          context.set_deadline(in_ms(2000));
          if (i % 2 == 0) {
            std::vector<std::string> key{"1"};
            auto reading = store_->get(context, users(), projection::all(users()), std::move(key));
            static_cast<void>(co_await std::move(reading));
          } else {
            const std::int64_t id = next_id++;
            auto writing = store_->write(context, user(id, "load"));
            const auto made = co_await std::move(writing);
            const std::lock_guard lock(mutex);
            if (made) acknowledged.push_back(id);
          }
          request_context rest(on);
          auto resting = net::sleep_until(rest, in_ms(1));
          static_cast<void>(co_await std::move(resting));
        }
      }));
    }
    const auto count = [&] {
      const std::lock_guard lock(mutex);
      return acknowledged.size();
    };
    EXPECT_TRUE(eventually([&] { return count() > 50; }));
    fault();
    const std::size_t before = count();
    EXPECT_TRUE(eventually([&] { return count() > before + 50; })) << "it never came back";
    stopping = true;
    for (auto& each : all) ASSERT_EQ(each.wait_for(std::chrono::seconds(20)), std::future_status::ready);
    std::string ids;
    for (const std::int64_t id : acknowledged) ids += (ids.empty() ? "" : ",") + std::to_string(id);
    EXPECT_EQ(value("SELECT COUNT(*) FROM users WHERE id IN (" + ids + ")"),
              std::to_string(acknowledged.size()))
        << "an acknowledged write is gone";
    EXPECT_TRUE(nothing_is_leaked());
  }
};

TEST_F(MysqlServerRestartStore, AKilledServerLosesNothingThatWasAcknowledged) {
  open_store();
  create_users(1, 1);
  under_load([] {
    server_tool("kill");
    server_tool("start");
  });
}

TEST_F(MysqlServerRestartStore, AStoppedServerComesBack) {
  open_store();
  create_users(1, 1);
  under_load([] {
    server_tool("stop");
    server_tool("start");
  });
}

TEST_F(MysqlServerRestartStore, AFrozenServerComesBack) {
  open_store();
  create_users(1, 1);
  under_load([] {
    const pid_t pid = server_pid();
    ASSERT_GT(pid, 0);
    ::kill(pid, SIGSTOP);
    std::this_thread::sleep_for(std::chrono::milliseconds(1500));
    ::kill(pid, SIGCONT);
  });
}

// Callers come before and during the freeze, and it lasts until all of them have ended: nobody waits for it.
TEST_F(MysqlServerRestartStore, CallersOfAServerThatStaysFrozenEndByTheirDeadlines) {
  options_.pool.reserved_percent.fill(0);
  open_store();
  create_users(1, 1);
  std::atomic<bool> frozen{false};
  std::mutex mutex;
  std::vector<frozen_call> calls;
  std::vector<std::future<void>> all;
  for (std::size_t i = 0; i < 120; ++i) {
    net::core& on = cores_.at(i % 2);
    all.push_back(start_task(on, [&, i]() -> task<void> {
      for (std::int64_t n = 0, during = 0; during < 4; ++n) {
        frozen_call made;
        made.in_freeze = frozen;
        if (made.in_freeze) ++during;
        made.id = i % 4 < 2 ? 0 : 10'000 + static_cast<std::int64_t>(i) * 10'000 + n;
        auto calling = call_once(on, made);
        co_await std::move(calling);
        // Who is refused at once and asks again at once leaves its core no turn for anybody else.
        request_context pause(on);
        if (!made.ok) static_cast<void>(co_await net::sleep_until(pause, in_ms(5)));
        const std::lock_guard lock(mutex);
        calls.push_back(made);
      }
    }));
  }
  EXPECT_TRUE(eventually([&] {
    const std::lock_guard lock(mutex);
    return std::count_if(calls.begin(), calls.end(),
                         [](const frozen_call& each) { return each.ok && each.id != 0; }) > 30;
  }));
  bool ended = true;
  {
    const frozen_server freeze(server_pid());
    frozen = true;
    const auto until = std::chrono::steady_clock::now() + 5 * (kCallDeadline + kSlack);
    for (auto& each : all) ended = each.wait_until(until) == std::future_status::ready && ended;
  }
  EXPECT_TRUE(ended) << "a caller waited for the server";
  for (auto& each : all) ASSERT_EQ(each.wait_for(std::chrono::seconds(60)), std::future_status::ready);
  std::string ids;
  std::size_t acknowledged = 0;
  for (const frozen_call& each : calls) {
    EXPECT_LT(each.took, kCallDeadline + kSlack);
    EXPECT_FALSE(each.in_freeze && each.ok) << "nobody can have answered";
    if (!each.ok) {
      EXPECT_TRUE(each.code == errc::timed_out || each.code == errc::down || each.code == errc::overloaded)
          << each.text;
      EXPECT_NE(each.text, "");
    }
    if (!each.ok || each.id == 0) continue;
    ids += (ids.empty() ? "" : ",") + std::to_string(each.id);
    ++acknowledged;
  }
  EXPECT_TRUE(eventually([&] { return get_within(2000, "1").has_value(); }));
  EXPECT_TRUE(eventually([&] { return write(user(2, "thawed"), within_ms(3000)).has_value(); }));
  EXPECT_EQ(value("SELECT COUNT(*) FROM users WHERE id IN (" + ids + ")"), std::to_string(acknowledged))
      << "an acknowledged write is gone";
  EXPECT_TRUE(nothing_is_leaked());
  expect_every_connection_to_be_had();
}

}  // namespace
}  // namespace syncline::storage::mysql
