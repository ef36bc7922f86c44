// Deadlines, cancellation at every suspension point, and a network that delays, holds, cuts and resets. Each
// ends in time, with a clear error, and leaves a session that works or one that says why it does not.
#include <atomic>
#include <cstdlib>
#include <future>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "storage/mysql/server_error.h"
#include "tests/storage/mysql/faulty_proxy.h"
#include "tests/storage/mysql/mysql_fixture.h"

namespace syncline::storage::mysql {
namespace {

using namespace testing;
using net::testing::kTestWait;
using net::testing::start_task;

constexpr const char* kFourRows =
    "SELECT REPEAT('a', 100) UNION ALL SELECT 'b' UNION ALL SELECT 'c' UNION ALL SELECT 'd'";
// Takes minutes and, unlike SLEEP(), is an error when it is interrupted.
constexpr const char* kEndless =
    "SELECT COUNT(*) FROM information_schema.COLLATIONS a, information_schema.COLLATIONS b, "
    "information_schema.COLLATIONS c, information_schema.COLLATIONS d";

class MysqlFaults : public mysql_test {
 protected:
  [[nodiscard]] std::shared_ptr<session_options> through(const faulty_proxy& proxy, bool tls) const {
    auto out = tcp_options();
    out->host = "127.0.0.1";
    out->port = proxy.port();
    if (!tls) out->tls.mode = net::tls_mode::disabled;
    out->limits.drain_timeout_ms = 20'000;  // a busy machine is no fault
    return out;
  }
  void TearDown() override {
    if (IsSkipped()) return;
    EXPECT_TRUE(eventually([this] { return on_.tasks_in_flight() == 0; }));
    net::testing::run_on(on_,
                         [this] { EXPECT_EQ(on_.timers().armed_count(), 0U) << "a timer was left behind"; });
  }
  // Holds the answer back at every few bytes, cancels there, lets the rest come, and goes on with the same
  // session.
  void cancel_anywhere(faulty_proxy& proxy, bool tls, bool prepared) {
    const auto ask = [prepared](session& with, request_context& context) {
      return prepared ? with.execute(context, kFourRows) : with.sql(context, kFourRows);
    };
    std::unique_ptr<session> with;
    long whole = 0;
    run([&]() -> task<void> {
      request_context context(on_);
      with = co_await opened(context, through(proxy, tls));
      EXPECT_EQ(co_await one(context, *with, "SELECT 1"), "1");  // what follows a handshake has come
      const long before = proxy.forwarded();
      const auto got = co_await ask(*with, context);
      EXPECT_TRUE(got.has_value());
      whole = proxy.forwarded() - before;
    });
    ASSERT_GT(whole, 100);
    // The first answer told of the Prepare, later ones do not.
    if (prepared) whole -= 10;
    for (long at = 0; at < whole - 30; at += 5) {
      proxy.after(at, faulty_proxy::end::hold);
      request_context context(on_);
      std::atomic<bool> cancelled{false};
      std::future<void> ended = start_task(on_, [&]() -> task<void> {
        const auto got = co_await ask(*with, context);
        cancelled = got.has_error() && got.error().code == errc::cancelled;
      });
      EXPECT_TRUE(eventually([&] { return proxy.struck(); })) << at;
      on_.post([&context] { context.cancel(); });
      ASSERT_EQ(ended.wait_for(kTestWait), std::future_status::ready);
      EXPECT_TRUE(cancelled) << at;
      proxy.restore();
      run([&]() -> task<void> {
        request_context next(on_);
        // With or without waiting for the rest of the old answer.
        if (at % 2 == 0) {
          const net::result<void> settled = co_await with->settle(next);
          EXPECT_TRUE(settled.has_value()) << at;
          EXPECT_TRUE(with->idle());
        }
        EXPECT_EQ(co_await one(next, *with, "SELECT 'new'"), "new") << at;
      });
    }
    net::testing::run_on(on_, [&] { with.reset(); });
  }
  // Bytes the server sends until a session is open.
  [[nodiscard]] long opening_bytes(faulty_proxy& proxy, bool tls) {
    const long before = proxy.forwarded();
    long after = 0;
    run([&]() -> task<void> {
      request_context context(on_);
      const auto with = co_await opened(context, through(proxy, tls));
      after = proxy.forwarded();  // its close is answered too
    });
    return after - before;
  }
};

TEST_F(MysqlFaults, OpeningEndsWhereverTheConnectionIsCutOrReset) {
  faulty_proxy proxy(host_, port_);
  for (const bool tls : {false, true}) {
    static_cast<void>(opening_bytes(proxy, tls));  // a server that does not know the account yet says more
    const long whole = opening_bytes(proxy, tls);
    ASSERT_GT(whole, 50);
    int round = 0;
    for (long at = 0; at < whole - 1; at += 1 + whole / 40) {
      const auto how = ++round % 2 == 0 ? faulty_proxy::end::close : faulty_proxy::end::reset;
      proxy.after(at, how);
      run([&]() -> task<void> {
        request_context context(on_);
        const auto made = co_await session::open(context, through(proxy, tls));
        EXPECT_TRUE(made.has_error()) << at;
        if (made.has_error()) {
          EXPECT_EQ(made.error().code, errc::down) << at << ": " << made.error().text();
        }
      });
    }
    proxy.restore();
    EXPECT_GT(opening_bytes(proxy, tls), 0) << "afterwards it works again";
  }
}

TEST_F(MysqlFaults, OpeningEndsAtOnceWhereverItIsCancelled) {
  faulty_proxy proxy(host_, port_);
  for (const bool tls : {false, true}) {
    const long whole = opening_bytes(proxy, tls);
    for (long at = 0; at < whole - 1; at += 1 + whole / 25) {
      proxy.after(at, faulty_proxy::end::hold);
      request_context context(on_);
      std::atomic<bool> right{false};
      std::future<void> ended = start_task(on_, [&]() -> task<void> {
        const auto made = co_await session::open(context, through(proxy, tls));
        right = made.has_error() && made.error().code == errc::cancelled;
      });
      EXPECT_TRUE(eventually([&] { return proxy.struck(); })) << at;
      on_.post([&context] { context.cancel(); });
      ASSERT_EQ(ended.wait_for(kTestWait), std::future_status::ready) << at;
      EXPECT_TRUE(right) << at;
    }
    proxy.restore();
  }
}

TEST_F(MysqlFaults, OpeningIsBoundedByItsTimeoutAndByTheDeadline) {
  faulty_proxy proxy(host_, port_);
  for (const bool tls : {false, true}) {
    proxy.after(0, faulty_proxy::end::hold);
    run([&]() -> task<void> {
      auto options = through(proxy, tls);
      options->connect_timeout_ms = 60;
      request_context context(on_);
      const auto silent = co_await session::open(context, options);
      EXPECT_EQ(silent.error().code, errc::down) << silent.error().text();
      EXPECT_NE(silent.error().text().find("in time"), std::string::npos) << silent.error().text();
      options->connect_timeout_ms = 60'000;
      context.set_deadline(in_ms(60));
      const auto late = co_await session::open(context, options);
      EXPECT_EQ(late.error().code, errc::timed_out) << late.error().text();
    });
    proxy.restore();
  }
}

// The heart of it: the answer stops at any byte, the request is cancelled there, and then the rest comes
// after all.
TEST_F(MysqlFaults, AStatementCancelledAnywhereLeavesAWorkingSession) {
  for (const bool tls : {false, true}) {
    for (const bool prepared : {false, true}) {
      SCOPED_TRACE(std::string(tls ? "tls" : "tcp") + (prepared ? " prepared" : " sql"));
      faulty_proxy proxy(host_, port_);
      cancel_anywhere(proxy, tls, prepared);
    }
  }
}

TEST_F(MysqlFaults, AResetThatIsCancelledDestroysTheSession) {
  faulty_proxy proxy(host_, port_);
  for (const long at : {0L, 2L, 5L}) {
    proxy.restore();
    std::unique_ptr<session> with;
    run([&]() -> task<void> {
      request_context context(on_);
      auto options = through(proxy, false);
      options->setup = {"SET @x = 1"};
      with = co_await opened(context, options);
    });
    proxy.after(at, faulty_proxy::end::hold);
    request_context context(on_);
    std::future<void> ended = start_task(on_, [&]() -> task<void> {
      const auto done = co_await with->reset(context);
      EXPECT_EQ(done.error().code, errc::cancelled);
      EXPECT_FALSE(with->usable()) << "neither old nor new";
      with.reset();
    });
    EXPECT_TRUE(eventually([&] { return proxy.struck(); })) << at;
    on_.post([&context] { context.cancel(); });
    ASSERT_EQ(ended.wait_for(kTestWait), std::future_status::ready) << at;
  }
}

TEST_F(MysqlFaults, ACancelledStatementThatDoesNotEndDestroysTheSession) {
  run([this]() -> task<void> {
    request_context context(on_);
    auto options = unix_options();
    options->limits.drain_timeout_ms = 50;
    auto with = co_await opened(context, options);
    request_context impatient(on_);
    impatient.set_deadline(in_ms(30));
    const auto late = co_await with->sql(impatient, "SELECT SLEEP(5)");
    EXPECT_EQ(late.error().code, errc::timed_out);
    const auto behind = co_await with->sql(context, "SELECT 1");
    EXPECT_EQ(behind.error().code, errc::down) << "what waits behind it is told";
    EXPECT_FALSE(with->usable());
    EXPECT_TRUE((co_await with->settle(context)).has_error());
    EXPECT_EQ(with->start_sql("SELECT 1").error().code, errc::down);
  });
}

TEST_F(MysqlFaults, AnAnswerLeftUnreadIsDroppedOnlyUpToABound) {
  run([this]() -> task<void> {
    request_context context(on_);
    auto options = unix_options();
    options->limits.drain_bytes_max = 100'000;
    auto with = co_await opened(context, options);
    for (const int kilobytes : {50, 400}) {
      {
        const std::string text = "SELECT REPEAT('x', " + std::to_string(kilobytes) +
                                 "000) UNION ALL SELECT 'y' UNION ALL SELECT REPEAT('x', " +
                                 std::to_string(kilobytes) + "0)";
        net::result<answer> sent = with->start_sql(text);
        EXPECT_TRUE(sent.has_value());
      }
      const auto settled = co_await with->settle(context);
      EXPECT_EQ(settled.has_value(), kilobytes == 50);
    }
    EXPECT_FALSE(with->usable());
  });
}

TEST_F(MysqlFaults, AStatementEndsWhereverTheConnectionIsLost) {
  faulty_proxy proxy(host_, port_);
  // Packed, the first answer has come whole after 170 bytes.
  const long last = tcp_options()->compression == compression_mode::disabled ? 170L : 60L;
  for (const bool tls : {false, true}) {
    for (const auto how : {faulty_proxy::end::close, faulty_proxy::end::reset}) {
      for (const long at : {0L, 3L, 30L, 120L, last}) {
        proxy.restore();
        run([&]() -> task<void> {
          request_context context(on_);
          auto with = co_await opened(context, through(proxy, tls));
          proxy.after(at, how);
          auto first = with->start_sql(kFourRows);
          auto second = with->start_prepared("SELECT 2");
          EXPECT_EQ((co_await first->finish(context)).error().code, errc::down) << at;
          EXPECT_EQ((co_await second->finish(context)).error().code, errc::down) << at;
          EXPECT_FALSE(with->usable());
          EXPECT_NE(with->failure(), nullptr);
        });
      }
    }
  }
}

TEST_F(MysqlFaults, AnIdleSessionNoticesThatItsServerIsGone) {
  faulty_proxy proxy(host_, port_);
  std::unique_ptr<session> with;
  run([&]() -> task<void> {
    request_context context(on_);
    with = co_await opened(context, through(proxy, true));
    EXPECT_EQ(co_await one(context, *with, "SELECT 1"), "1");
  });
  proxy.after(0, faulty_proxy::end::close);
  EXPECT_TRUE(eventually([&] {
    bool usable = true;
    net::testing::run_on(on_, [&] { usable = with->usable(); });
    return !usable;
  })) << "without a statement";
  net::testing::run_on(on_, [&] { with.reset(); });
}

TEST_F(MysqlFaults, ASilentServerIsTakenForDead) {
  faulty_proxy proxy(host_, port_);
  run([&]() -> task<void> {
    request_context context(on_);
    auto options = through(proxy, true);
    options->limits.silence_timeout_ms = 60;
    auto with = co_await opened(context, options);
    proxy.after(0, faulty_proxy::end::hold);
    const auto got = co_await with->sql(context, "SELECT 1");
    EXPECT_EQ(got.error().code, errc::down);
    EXPECT_FALSE(with->usable());
  });
}

TEST_F(MysqlFaults, AllIsSentBeforeTheFirstAnswerComes) {
  faulty_proxy proxy(host_, port_);
  proxy.delay(5);
  std::unique_ptr<session> with;
  std::vector<answer> sent;
  run([&]() -> task<void> {
    request_context context(on_);
    with = co_await opened(context, through(proxy, false));
    EXPECT_TRUE((co_await with->execute(context, "SELECT 1")).has_value());
  });
  const long before = proxy.sent();
  proxy.after(0, faulty_proxy::end::hold);
  net::testing::run_on(on_, [&] {
    for (int i = 0; i < 16; ++i) sent.push_back(std::move(*with->start_prepared("SELECT 1")));
  });
  constexpr long kExecuteBytes = 9;  // head, statement id, compact metadata
  EXPECT_TRUE(eventually([&] { return proxy.sent() - before >= 16 * kExecuteBytes; }));
  proxy.restore();
  run([&]() -> task<void> {
    request_context context(on_);
    for (answer& each : sent) EXPECT_TRUE((co_await each.finish(context)).has_value());
    sent.clear();
    with.reset();
  });
}

TEST_F(MysqlFaults, AMessageLargerThanItsBoundIsRefusedBothWays) {
  run([this]() -> task<void> {
    request_context context(on_);
    auto options = unix_options();
    options->limits.message_bytes_max = 100'000;
    auto with = co_await opened(context, options);
    const std::string large = "SELECT '" + std::string(200'000, 'x') + "'";
    EXPECT_EQ((co_await with->sql(context, large)).error().code, errc::too_large);
    EXPECT_TRUE(with->usable()) << "nothing was sent";
    EXPECT_EQ((co_await with->execute(context, large)).error().code, errc::too_large);
    EXPECT_EQ(co_await one(context, *with, "SELECT 1"), "1");
    EXPECT_EQ((co_await with->sql(context, "SELECT REPEAT('x', 200000)")).error().code, errc::too_large);
    EXPECT_FALSE(with->usable()) << "there is no way to skip it";
  });
}

TEST_F(MysqlFaults, AStatementLargerThanTheServerTakesEndsClearly) {
  run([this]() -> task<void> {
    request_context context(on_);
    auto with = co_await opened(context, tcp_options());
    // Over mysqlx_max_allowed_packet the server closes the connection without a word.
    auto options = tcp_options();
    options->limits.message_bytes_max = 80UL * 1024 * 1024;
    with = co_await opened(context, options);
    std::string large = "SELECT LENGTH('";
    large.append(70UL * 1024 * 1024, 'x').append("')");
    const auto got = co_await with->sql(context, large);
    EXPECT_EQ(got.error().code, errc::down) << got.error().text();
    EXPECT_FALSE(with->usable());
  });
}

TEST_F(MysqlFaults, ASessionThatIsKilledSaysSo) {
  run([this]() -> task<void> {
    request_context context(on_);
    auto admin = co_await opened(context, unix_options());
    auto victim = co_await opened(context, unix_options());
    const std::string number = co_await one(context, *victim, "SELECT CONNECTION_ID()");
    auto sleeps = victim->start_sql(kEndless);
    co_await must(context, *admin, "DO SLEEP(0.05)");
    co_await must(context, *admin, "KILL " + number);
    const auto killed = co_await sleeps->finish(context);
    EXPECT_TRUE(killed.has_error());
    // It may still answer what was under way; soon it is gone.
    for (int i = 0; i < 1000 && victim->usable(); ++i) {
      static_cast<void>(co_await victim->sql(context, "SELECT 1"));
      static_cast<void>(co_await net::sleep_until(context, in_ms(5)));
    }
    EXPECT_FALSE(victim->usable());
  });
}

TEST_F(MysqlFaults, ALockThatIsNotToBeHadIsAnErrorOfTheStatement) {
  run([this]() -> task<void> {
    request_context context(on_);
    auto first = co_await opened(context, unix_options());
    auto second = co_await opened(context, unix_options());
    const std::string name = unique("locked");
    co_await must(context, *first, "CREATE TABLE " + name + " (id INT PRIMARY KEY)");
    co_await must(context, *first, "INSERT INTO " + name + " VALUES (1), (2)");
    for (session* each : {first.get(), second.get()}) co_await must(context, *each, "START TRANSACTION");
    co_await must(context, *first, "SELECT * FROM " + name + " WHERE id = 1 FOR UPDATE");
    co_await must(context, *second, "SELECT * FROM " + name + " WHERE id = 2 FOR UPDATE");
    const auto nowait =
        co_await second->sql(context, "SELECT * FROM " + name + " WHERE id = 1 FOR UPDATE NOWAIT");
    EXPECT_EQ(nowait.error().code, errc::locked) << nowait.error().text();
    auto crosses = first->start_sql("SELECT * FROM " + name + " WHERE id = 2 FOR UPDATE");
    EXPECT_TRUE(crosses.has_value());
    // Sent before the other can close the circle.
    request_context brief(on_);
    brief.set_deadline(in_ms(50));
    EXPECT_EQ((co_await crosses->finish(brief)).error().code, errc::timed_out);
    auto closes = second->start_sql("SELECT * FROM " + name + " WHERE id = 1 FOR UPDATE");
    const auto one_way = co_await crosses->finish(context);
    const auto other_way = co_await closes->finish(context);
    EXPECT_NE(one_way.has_error(), other_way.has_error()) << "one of the two is chosen";
    const net::error& why = one_way.has_error() ? one_way.error() : other_way.error();
    EXPECT_EQ(server_code(why), code::kDeadlock);
    EXPECT_EQ(why.code, errc::locked);
    co_await must(context, *first, "ROLLBACK");
    co_await must(context, *second, "ROLLBACK");
    co_await must(context, *first, "DROP TABLE " + name);
  });
}

// The frames of tasks that wait are destroyed with the core, in an order nobody chose.
TEST_F(MysqlFaults, ACoreMayEndWithSessionsAtWork) {
  for (const int settle_ms : {0, 5, 60}) {
    net::core ends(1, false);
    ends.start();
    std::atomic<int> begun{0};
    auto works = [&ends, &begun](std::shared_ptr<const session_options> options) -> task<void> {
      request_context context(ends);
      ++begun;
      auto made = co_await session::open(context, std::move(options));
      if (made.has_error()) co_return;
      const std::unique_ptr<session> mine = std::move(*made);
      auto kept = mine->start_prepared("SELECT 1");
      co_await must(context, *mine, "SELECT SLEEP(10)");
    };
    for (int i = 0; i < 6; ++i) net::spawn(ends, works(i % 2 == 0 ? tcp_options() : unix_options()));
    EXPECT_TRUE(eventually([&] { return begun == 6; }));
    std::this_thread::sleep_for(std::chrono::milliseconds(settle_ms));
    ends.stop();
    ends.join();
    EXPECT_EQ(ends.tasks_in_flight(), 0U);
  }
}

// Run alone (see tests/CMakeLists.txt): the server is everybody's.
class MysqlServerRestart : public MysqlFaults {};

TEST_F(MysqlServerRestart, SessionsEndAndNewOnesWorkWhenTheServerIsBack) {
  for (const char* const how : {"kill", "stop"}) {
    std::unique_ptr<session> busy;
    std::unique_ptr<session> idle;
    run([&]() -> task<void> {
      request_context context(on_);
      busy = co_await opened(context, tcp_options());
      idle = co_await opened(context, unix_options());
    });
    std::atomic<errc> ended{errc::internal};
    std::future<void> slept = start_task(on_, [&]() -> task<void> {
      request_context context(on_);
      const auto got = co_await busy->sql(context, kEndless);
      if (got.has_error()) ended = got.error().code;
    });
    server_tool(how);
    ASSERT_EQ(slept.wait_for(kTestWait), std::future_status::ready) << how;
    EXPECT_TRUE(ended == errc::down || ended == errc::cancelled)
        << how << " " << net::to_string(ended.load());
    EXPECT_TRUE(eventually([&] {
      bool usable = true;
      net::testing::run_on(on_, [&] { usable = idle->usable(); });
      return !usable;
    })) << how;
    run([&]() -> task<void> {
      request_context context(on_);
      EXPECT_EQ((co_await session::open(context, tcp_options())).error().code, errc::down);
      EXPECT_EQ((co_await session::open(context, unix_options())).error().code, errc::down);
      busy.reset();
      idle.reset();
    });
    server_tool("start");
    run([&]() -> task<void> {
      request_context context(on_);
      // No account is in the server's cache now.
      auto options = tcp_options();
      options->tls.mode = net::tls_mode::disabled;
      auto again = co_await opened(context, options);
      EXPECT_EQ(co_await one(context, *again, "SELECT 1"), "1");
    });
  }
}

}  // namespace
}  // namespace syncline::storage::mysql
