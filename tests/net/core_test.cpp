#include "net/core/core.h"

#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "net/core/event.h"
#include "net/core/poller.h"
#include "net/core/task.h"
#include "perf/metrics.h"
#include "tests/net/run_task.h"

namespace syncline::net {
namespace {

namespace asio = boost::asio;
using testing::eventually;
using testing::run_on;
using testing::run_task;
using executor = asio::io_context::executor_type;
constexpr auto kTuple = asio::as_tuple(asio::use_awaitable_t<executor>{});

std::uint64_t uncaught(unsigned id) {
  return perf::metrics::add_counter("syncline_core_uncaught_total",
                                    "Exceptions that left a root task, a message or a handler.",
                                    {{"core", std::to_string(id)}})
      .value();
}

TEST(Core, MessagesOfOneSenderArriveInOrder) {
  core on(0, false);
  on.start();
  constexpr std::size_t kSenders = 4;
  constexpr int kEach = 5000;
  std::array<int, kSenders> next{};  // touched on the core only
  std::atomic<int> wrong{0};
  std::atomic<std::size_t> arrived{0};
  std::vector<std::thread> senders;
  for (std::size_t s = 0; s < kSenders; ++s) {
    senders.emplace_back([&, s] {
      for (int i = 0; i < kEach; ++i) {
        on.post([&, s, i] {
          if (next[s]++ != i) wrong.fetch_add(1);
          arrived.fetch_add(1);
        });
      }
    });
  }
  for (std::thread& each : senders) each.join();
  EXPECT_TRUE(eventually([&] { return arrived.load() == kSenders * kEach; }));
  EXPECT_EQ(wrong.load(), 0);
}

TEST(Core, AMessagePostedByAMessageRunsAfterIt) {
  core on(0, false);
  on.start();
  std::string order;
  run_on(on, [&] {
    on.post([&] { order += "b"; });
    order += "a";
  });
  run_on(on, [&] { order += "c"; });
  EXPECT_EQ(order, "abc");
}

TEST(Core, KnowsWhichCoreAThreadIs) {
  core_group cores({.cores = 2, .pin = false});
  cores.start();
  EXPECT_EQ(core::current(), nullptr);
  for (std::size_t i = 0; i < cores.size(); ++i) {
    run_on(cores.at(i), [&cores, i] {
      EXPECT_EQ(core::current(), &cores.at(i));
      std::array<char, 16> name{};
      pthread_getname_np(pthread_self(), name.data(), name.size());
      EXPECT_EQ(std::string(name.data()), "core-" + std::to_string(i));
    });
  }
}

TEST(Core, APinnedCoreRunsOnOneProcessor) {
  core_group cores({.cores = 1, .pin = true});
  cores.start();
  run_on(cores.at(0), [] {
    cpu_set_t set;
    CPU_ZERO(&set);
    ASSERT_EQ(sched_getaffinity(0, sizeof set, &set), 0);
    EXPECT_EQ(CPU_COUNT(&set), 1);
  });
}

TEST(Core, AGroupHasACoreForEachProcessorItMayUse) {
  cpu_set_t set;
  CPU_ZERO(&set);
  ASSERT_EQ(sched_getaffinity(0, sizeof set, &set), 0);
  core_group cores({.cores = 0, .pin = false});
  EXPECT_EQ(cores.size(), static_cast<std::size_t>(CPU_COUNT(&set)));
}

TEST(Core, ExceptionsOfMessagesTasksAndHandlersAreCountedAndTheCoreGoesOn) {
  core on(7, false);
  on.start();
  const std::uint64_t before = uncaught(7);
  on.post([] { throw std::runtime_error("a message"); });
  auto throws = []() -> task<void> {
    co_await yield_core();
    throw std::runtime_error("a task");
  };
  spawn(on, throws());
  on.post([&on] { asio::post(on.io(), [] { throw 42; }); });
  EXPECT_TRUE(eventually([&] { return uncaught(7) == before + 3 && on.tasks_in_flight() == 0; }));
  run_on(on, [] {});
}

TEST(Core, NoWakeUpOfASleepingCoreIsLost) {
  core on(0, false);
  on.start();
  std::atomic<int> ran{0};
  std::vector<std::thread> senders;
  for (int s = 0; s < 4; ++s) {
    senders.emplace_back([&] {
      // Each waits for its message, so the core falls asleep all the time; a lost wake-up never returns.
      for (int i = 0; i < 3000; ++i) run_on(on, [&] { ran.fetch_add(1); });
    });
  }
  for (std::thread& each : senders) each.join();
  EXPECT_EQ(ran.load(), 12000);
}

task<void> waits_for_asio(core& on, std::atomic<int>& seen) {
  asio::steady_timer timer(on.io(), std::chrono::milliseconds(2));
  static_cast<void>(co_await timer.async_wait(kTuple));
  seen.fetch_add(1);
  asio::basic_socket_acceptor<asio::ip::tcp, executor> acceptor(
      on.io().get_executor(), asio::ip::tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  std::thread peer([to = acceptor.local_endpoint()] {
    asio::io_context mine;
    asio::ip::tcp::socket socket(mine);
    socket.connect(to);
    std::array<char, 1> byte{'x'};
    for (int i = 0; i < 100; ++i) {
      asio::write(socket, asio::buffer(byte));
      asio::read(socket, asio::buffer(byte));
    }
  });
  asio::basic_stream_socket<asio::ip::tcp, executor> socket(on.io().get_executor());
  static_cast<void>(co_await acceptor.async_accept(socket, kTuple));
  std::array<char, 1> byte{};
  for (int i = 0; i < 100; ++i) {
    static_cast<void>(co_await socket.async_read_some(asio::buffer(byte), kTuple));
    static_cast<void>(co_await socket.async_write_some(asio::buffer(byte), kTuple));
    seen.fetch_add(1);
  }
  peer.join();
}

TEST(Core, AsiosTimersAndSocketsWakeASleepingCore) {
  core on(0, false);
  on.start();
  std::atomic<int> seen{0};
  spawn(on, waits_for_asio(on, seen));
  EXPECT_TRUE(eventually([&] { return seen.load() == 101 && on.tasks_in_flight() == 0; }));
}

task<void> is_notified_by_asio(core& on) {
  request_context context(on);
  event done(on);
  asio::steady_timer timer(on.io(), std::chrono::milliseconds(1));
  timer.async_wait([&done](const boost::system::error_code&) { done.notify(); });
  static_cast<void>(co_await done.wait(context));
}

// A handler of Asio's objects resumes the last task there is: to Asio there is then no work left.
TEST(Core, GoesOnAfterItsLastTaskHasEnded) {
  core on(0, false);
  on.start();
  for (int round = 0; round < 20; ++round) {
    spawn(on, is_notified_by_asio(on));
    ASSERT_TRUE(eventually([&] { return on.tasks_in_flight() == 0; })) << round;
    run_on(on, [] {});
  }
}

// Asio puts an operation that is done at once into its queue, of which no descriptor tells.
task<void> finds_all_done_at_once(core& on, std::atomic<int>& seen) {
  using stream = asio::basic_stream_socket<asio::local::stream_protocol, executor>;
  stream a(on.io().get_executor()), b(on.io().get_executor());
  asio::local::connect_pair(a, b);
  std::array<char, 1> byte{'x'};
  for (int i = 0; i < 300; ++i) {
    for (int yields = i % 4; yields > 0; --yields) co_await yield_core();
    static_cast<void>(co_await a.async_write_some(asio::buffer(byte), kTuple));
    for (int yields = i / 4 % 4; yields > 0; --yields) co_await yield_core();
    static_cast<void>(co_await b.async_read_some(asio::buffer(byte), kTuple));
    seen.fetch_add(1);
  }
}

TEST(Core, WhatATaskFindsDoneAtOnceInAsioIsTold) {
  core on(0, false);
  on.start();
  for (int tasks = 1; tasks <= 3; ++tasks) {
    std::atomic<int> seen{0};
    for (int i = 0; i < tasks; ++i) spawn(on, finds_all_done_at_once(on, seen));
    EXPECT_TRUE(eventually([&] { return seen.load() == 300 * tasks && on.tasks_in_flight() == 0; }))
        << seen.load();
  }
}

TEST(Core, WhatAMessageOrATimerCancelsInAsioIsTold) {
  core on(0, false);
  on.start();
  std::atomic<int> told{0};
  std::unique_ptr<asio::steady_timer> first, second;
  run_on(on, [&] {
    for (auto* each : {&first, &second}) {
      *each = std::make_unique<asio::steady_timer>(on.io(), std::chrono::hours(1));
      (*each)->async_wait([&](const boost::system::error_code&) { told.fetch_add(1); });
    }
  });
  on.post([&] { first->cancel(); });
  EXPECT_TRUE(eventually([&] { return told.load() == 1; }));
  timer_entry later([](void* of) noexcept { static_cast<asio::steady_timer*>(of)->cancel(); }, second.get());
  run_on(on, [&] { on.timers().arm(later, std::chrono::steady_clock::now()); });
  EXPECT_TRUE(eventually([&] { return told.load() == 2; }));
  run_on(on, [&] {
    first.reset();
    second.reset();
  });
}

// One of two that are ready at once, which ends the other.
class rival final : public poll_target {
 public:
  explicit rival(core& on) : core_(&on) {
    int ends[2] = {-1, -1};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) != 0) throw std::runtime_error("no pair");
    mine_ = ends[0];
    other_end_ = ends[1];
    if (!on.poll().add(mine_, *this, poller::interest::input)) throw std::runtime_error("not watched");
  }
  ~rival() {
    core_->poll().forget(mine_, *this);
    ::close(mine_);
    ::close(other_end_);
  }
  rival(const rival&) = delete;
  rival& operator=(const rival&) = delete;
  void on_events(std::uint32_t events) noexcept override {
    ++heard;
    EXPECT_EQ(events & (EPOLLIN | EPOLLOUT), std::uint32_t{EPOLLIN}) << "nobody asked for room to write";
    if (against != nullptr) against->reset();
  }
  void write() const { EXPECT_EQ(::send(other_end_, "x", 1, 0), 1); }
  void ask_again() { EXPECT_TRUE(core_->poll().change(mine_, *this, poller::interest::input)); }

  std::unique_ptr<rival>* against = nullptr;
  int heard = 0;

 private:
  core* core_;
  int mine_ = -1, other_end_ = -1;
};

// Under ASan the dead one would be seen as well.
TEST(Core, ATargetThatIsForgottenHearsNothingOfTheBatchInProgress) {
  core on(0, false);
  on.start();
  std::unique_ptr<rival> a, b;
  run_on(on, [&] {
    a = std::make_unique<rival>(on);
    b = std::make_unique<rival>(on);
    a->against = &b;
    b->against = &a;
    a->write();
    b->write();
  });
  const bool one_is_left = eventually([&] {
    bool one_left = false;
    run_on(on, [&] { one_left = (a == nullptr) != (b == nullptr); });
    return one_left;
  });
  EXPECT_TRUE(one_is_left);
  run_on(on, [&] {
    if (one_is_left) {
      EXPECT_EQ((a != nullptr ? a : b)->heard, 1);
    }
    a.reset();
    b.reset();
  });
}

// Edge-triggered: what is left unread is told only to who asks.
TEST(Core, ATargetThatAsksAgainIsToldWhatIsReady) {
  core on(0, false);
  on.start();
  std::unique_ptr<rival> a;
  const auto heard = [&] {
    int times = 0;
    run_on(on, [&] { times = a->heard; });
    return times;
  };
  run_on(on, [&] {
    a = std::make_unique<rival>(on);
    a->write();
  });
  EXPECT_TRUE(eventually([&] { return heard() == 1; }));
  run_on(on, [&] { a->ask_again(); });
  EXPECT_TRUE(eventually([&] { return heard() == 2; }));
  run_on(on, [&] { a.reset(); });
}

std::uint64_t count_of(const char* name, unsigned id) {
  return perf::metrics::add_counter(name, "", {{"core", std::to_string(id)}}).value();
}

TEST(Core, BusyPollingFindsMessagesWithoutSleepingAndThenSleeps) {
  constexpr const char* kHits = "syncline_core_busy_poll_hits_total";
  constexpr const char* kSleeps = "syncline_core_sleeps_total";
  {
    core on(21, false, std::chrono::seconds(100));
    on.start();
    // One that comes while the core has not begun to look again is no hit.
    EXPECT_TRUE(eventually([&] {
      run_on(on, [] {});
      return count_of(kHits, 21) > 0;
    }));
    EXPECT_EQ(count_of(kSleeps, 21), 0U);
  }
  core on(22, false, std::chrono::microseconds(500));
  on.start();
  run_on(on, [] {});
  EXPECT_TRUE(eventually([&] { return count_of(kSleeps, 22) > 0; }));
  run_on(on, [] {});  // a message wakes it then
}

TEST(Core, ACoreWithoutWorkSleepsOnce) {
  core on(23, false);
  on.start();
  run_on(on, [] {});
  const auto sleeps = [] { return count_of("syncline_core_sleeps_total", 23); };
  EXPECT_TRUE(eventually([&] { return sleeps() > 0; }));
  const std::uint64_t before = sleeps();
  for (int i = 0; i < 50; ++i) std::this_thread::yield();
  run_on(on, [] {});
  EXPECT_LE(sleeps(), before + 2);  // before the message and after it
}

TEST(Core, ARootTaskSeesTotalCancellationAndDoesNotThrow) {
  core on(0, false);
  on.start();
  run_task(on, []() -> task<void> { EXPECT_FALSE(co_await asio::this_coro::throw_if_cancelled()); });
}

TEST(Core, RootTasksAreCountedUntilTheyEnd) {
  core on(0, false);
  on.start();
  event* gate = nullptr;
  auto waits = [&]() -> task<void> {
    request_context context(on);
    event mine(on);
    gate = &mine;
    static_cast<void>(co_await mine.wait(context));
  };
  spawn(on, waits());
  EXPECT_EQ(on.tasks_in_flight(), 1U);
  run_on(on, [&] { on.post([&] { gate->notify(); }); });
  EXPECT_TRUE(eventually([&] { return on.tasks_in_flight() == 0; }));
}

TEST(Core, StopRunsWhatTheSameThreadPostedBefore) {
  int ran = 0;
  core on(0, false);
  on.start();
  for (int i = 0; i < 1000; ++i) on.post([&ran] { ++ran; });
  on.stop();
  on.join();
  EXPECT_EQ(ran, 1000);
}

struct alive {
  explicit alive(std::atomic<int>& c) : count(&c) { ++*count; }
  alive(const alive& other) : count(other.count) { ++*count; }
  alive& operator=(const alive&) = delete;
  ~alive() { --*count; }
  std::atomic<int>* count;
};

TEST(Core, AMessageForACoreThatEndedIsDestroyedAndNotRun) {
  std::atomic<int> count{0};
  core on(0, false);
  on.start();
  on.stop();
  on.join();
  bool ran = false;
  on.post([&ran, kept = alive(count)] { ran = true; });
  auto nothing = [](alive) -> task<void> { co_return; };
  spawn(on, nothing(alive(count)));
  EXPECT_EQ(count.load(), 0);
  EXPECT_FALSE(ran);
  EXPECT_EQ(on.tasks_in_flight(), 0U);
}

TEST(Core, ACoreThatNeverRanDestroysWhatItWasGiven) {
  std::atomic<int> count{0};
  {
    core on(0, false);
    on.post([kept = alive(count)] {});
    auto nothing = [](alive) -> task<void> { co_return; };
    spawn(on, nothing(alive(count)));
    EXPECT_GE(count.load(), 2);
  }
  EXPECT_EQ(count.load(), 0);
}

// Destructors in the frames of tasks that are destroyed with their core use all of it, as leases and permits
// do.
struct busy_destructor {
  explicit busy_destructor(core& c, event& o, std::atomic<int>& n)
      : on(c), other(o), counted(n), timer([](void*) noexcept {}, this) {
    on.timers().arm(timer, std::chrono::steady_clock::now() + std::chrono::hours(1));
  }
  busy_destructor(const busy_destructor&) = delete;
  busy_destructor& operator=(const busy_destructor&) = delete;
  ~busy_destructor() {
    EXPECT_EQ(core::current(), &on);
    other.notify();
    on.post([kept = counted] { FAIL() << "a message ran on a core that has ended"; });
    auto late = [](alive) -> task<void> {
      ADD_FAILURE() << "a task ran on a core that has ended";
      co_return;
    };
    spawn(on, late(alive(counted)));
    on.timers().arm(timer, std::chrono::steady_clock::now());
  }
  core& on;
  event& other;
  alive counted;
  timer_entry timer;
};

task<void> waits_for_an_event(core& on, event& shared, std::atomic<int>& count, event& mine) {
  const busy_destructor busy(on, shared, count);
  request_context context(on);
  context.set_deadline(std::chrono::steady_clock::now() + std::chrono::hours(1));
  static_cast<void>(co_await mine.wait(context));
  ADD_FAILURE() << "it was resumed";
}

task<void> waits_for_its_own_event(core& on, event& shared, std::atomic<int>& count) {
  event mine(on);
  co_await waits_for_an_event(on, shared, count, mine);
}

task<void> waits_for_a_socket(core& on, event& shared, std::atomic<int>& count) {
  const busy_destructor busy(on, shared, count);
  asio::basic_socket_acceptor<asio::ip::tcp, executor> acceptor(
      on.io().get_executor(), asio::ip::tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  asio::basic_stream_socket<asio::ip::tcp, executor> socket(on.io().get_executor());
  static_cast<void>(co_await acceptor.async_accept(socket, kTuple));
  ADD_FAILURE() << "it was resumed";
}

task<void> waits_for_a_timer(core& on, event& shared, std::atomic<int>& count) {
  const busy_destructor busy(on, shared, count);
  asio::steady_timer timer(on.io(), std::chrono::hours(1));
  static_cast<void>(co_await timer.async_wait(kTuple));
  ADD_FAILURE() << "it was resumed";
}

TEST(Core, TasksThatAreSuspendedWhenTheCoreEndsAreDestroyedBeforeJoinReturns) {
  std::atomic<int> count{0};
  core on(0, false);
  asio::basic_socket_acceptor<asio::ip::tcp, executor> outside(
      on.io().get_executor(), asio::ip::tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  auto shared = std::make_unique<event>(on);
  auto long_lived = std::make_unique<event>(on);
  on.start();
  spawn(on, waits_for_an_event(on, *shared, count, *shared));
  spawn(on, waits_for_an_event(on, *shared, count, *long_lived));
  for (int i = 0; i < 3; ++i) {
    spawn(on, waits_for_its_own_event(on, *shared, count));
    spawn(on, waits_for_a_socket(on, *shared, count));
    spawn(on, waits_for_a_timer(on, *shared, count));
  }
  EXPECT_TRUE(eventually([&] { return count.load() == 11; }));
  run_on(on, [] {});
  on.stop();
  on.join();
  EXPECT_EQ(count.load(), 0);
  EXPECT_EQ(on.tasks_in_flight(), 0U);
  EXPECT_FALSE(shared->waiting());
  // What tasks used may die now; objects that hold sockets of this core as well.
  shared.reset();
  long_lived.reset();
  outside.close();
}

TEST(Core, CoresThatPostToEachOtherAndToThemselvesCanBeStopped) {
  for (int round = 0; round < 30; ++round) {
    std::atomic<int> count{0};
    auto cores = std::make_unique<core_group>(core_group_options{.cores = 3, .pin = false});
    struct bouncing {
      core_group& all;
      void hop(std::size_t to, alive kept) {
        all.at(to).post([this, to, kept] { hop((to + 1) % all.size(), kept); });
      }
    };
    bouncing ball{*cores};
    for (std::size_t i = 0; i < 20; ++i) ball.hop(i % 3, alive(count));
    cores->start();
    std::thread outsider([&] {
      for (int i = 0; i < 200; ++i) cores->at(static_cast<std::size_t>(i) % 3).post([kept = alive(count)] {});
    });
    cores->stop();
    outsider.join();
    EXPECT_EQ(count.load(), 0);
    cores.reset();
  }
}

}  // namespace
}  // namespace syncline::net
