// Many tasks on one session, deadlines and cancellations at random moments: nobody ever gets somebody else's
// answer, and the session works or says that it does not.
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/storage/mysql/faulty_proxy.h"
#include "tests/storage/mysql/mysql_fixture.h"

namespace syncline::storage::mysql {
namespace {

using namespace testing;

class MysqlRandom : public mysql_test {};

struct shared_session {
  explicit shared_session(net::core& on, unsigned seed) : all(on), random(seed) {}
  std::shared_ptr<session> now;
  std::shared_ptr<const session_options> options;
  net::event all;
  std::mt19937 random;
  int tasks_left = 0;
  int answered = 0, given_up = 0, broken = 0;

  [[nodiscard]] int below(int limit) { return std::uniform_int_distribution<int>(0, limit - 1)(random); }
};

// One statement with its own deadline; whatever is answered must be the answer to it.
task<void> ask(net::core& on, shared_session& shared) {
  const std::shared_ptr<session> with = shared.now;
  const int number = shared.below(1'000'000);
  request_context context(on);
  const bool impatient = shared.below(3) == 0;
  if (impatient) context.set_deadline(in_ms(shared.below(30)));
  const std::string text =
      shared.below(8) == 0 ? "SELECT ? + 1, SLEEP(0.01)" : "SELECT ? + 1, REPEAT('x', 3000)";
  const std::vector<argument> values = {argument::of_int(number)};
  net::result<answer> sent =
      shared.below(2) == 0 ? with->start_sql(text, values) : with->start_prepared(text, values);
  net::result<result_rows> got = co_await collect(context, std::move(sent), 1 << 20);
  if (got.has_value()) {
    text_arena arena;
    ++shared.answered;
    EXPECT_EQ(decode_value(got->columns[0], got->rows[0][0], arena)->integer, number + 1);
  } else if (got.error().code == errc::timed_out || got.error().code == errc::cancelled) {
    EXPECT_TRUE(impatient);
    ++shared.given_up;
  } else {
    // Destroyed since somebody's answer did not end in time.
    EXPECT_TRUE(got.error().code == errc::down || got.error().code == errc::overloaded) << got.error().text();
    ++shared.broken;
  }
}

task<void> work(net::core& on, shared_session& shared) {
  for (int i = 0; i < 60; ++i) {
    if (!shared.now->usable()) {
      request_context context(on);
      net::result<std::unique_ptr<session>> made = co_await session::open(context, shared.options);
      EXPECT_TRUE(made.has_value()) << made.error().text();
      if (made.has_error()) break;
      shared.now = std::move(*made);
    }
    co_await ask(on, shared);
  }
  if (--shared.tasks_left == 0) shared.all.notify();
}

TEST_F(MysqlRandom, NobodyGetsTheAnswerOfAnother) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(seed);
  faulty_proxy proxy(host_, port_);
  proxy.delay(2);
  run([&]() -> task<void> {
    request_context context(on_);
    shared_session shared(on_, seed);
    auto options = tcp_options();
    options->host = "127.0.0.1";
    options->port = proxy.port();
    options->limits.drain_timeout_ms = 40;  // now and then too short for those behind a SLEEP
    shared.options = options;
    shared.now = co_await opened(context, shared.options);
    shared.tasks_left = 8;
    for (int i = 0; i < 8; ++i) net::spawn(on_, work(on_, shared));
    EXPECT_TRUE((co_await shared.all.wait(context, in_ms(25'000))).has_value()) << "somebody waits for ever";
    EXPECT_EQ(shared.answered + shared.given_up + shared.broken, 8 * 60);
    EXPECT_GT(shared.answered, 100);
    EXPECT_GT(shared.given_up, 5);
    request_context last(on_);
    const net::result<void> settled = co_await shared.now->settle(last);
    if (settled.has_value()) {
      EXPECT_EQ(co_await one(last, *shared.now, "SELECT 'whole'"), "whole");
    }
    shared.now.reset();
  });
  EXPECT_TRUE(eventually([this] { return on_.tasks_in_flight() == 0; }));
}

}  // namespace
}  // namespace syncline::storage::mysql
