#include "net/core/timer_wheel.h"

#include <memory>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace syncline::net {
namespace {

using std::chrono::milliseconds;

// A wheel driven by hand: time is what the test says.
struct wheel_by_hand {
  steady_time start{std::chrono::hours(1)};
  steady_time now = start;
  steady_time asked = steady_time::max();
  int asks = 0;
  timer_wheel wheel{[](void* owner, steady_time when) noexcept {
                      auto* self = static_cast<wheel_by_hand*>(owner);
                      self->asked = when;
                      ++self->asks;
                    },
                    this, start};

  // Lets time pass as the core does: wakes the wheel at the times it asked for.
  void pass(milliseconds span) {
    const steady_time until = now + span;
    while (asked <= until) {
      now = asked > now ? asked : now;
      asked = steady_time::max();
      wheel.advance(now);
    }
    now = until;
  }
};

struct counted_timer {
  explicit counted_timer(wheel_by_hand& w) : hand(w) {}
  wheel_by_hand& hand;
  int fired = 0;
  steady_time fired_at{};
  timer_entry entry{[](void* owner) noexcept {
                      auto* self = static_cast<counted_timer*>(owner);
                      ++self->fired;
                      self->fired_at = self->hand.now;
                    },
                    this};
};

TEST(TimerWheel, FiresAtMostOneTickLateAndNeverEarly) {
  wheel_by_hand hand;
  std::vector<std::unique_ptr<counted_timer>> timers;
  const std::vector<int> dues{0, 1, 9, 10, 11, 15, 999, 10'239, 10'240, 10'241, 20'485, 100'000};
  for (const int due : dues) {
    timers.push_back(std::make_unique<counted_timer>(hand));
    hand.wheel.arm(timers.back()->entry, hand.start + milliseconds(due));
  }
  hand.pass(milliseconds(200'000));
  for (std::size_t i = 0; i < dues.size(); ++i) {
    EXPECT_EQ(timers[i]->fired, 1) << dues[i];
    const auto late = timers[i]->fired_at - (hand.start + milliseconds(dues[i]));
    EXPECT_GE(late, milliseconds(0)) << dues[i];
    EXPECT_LE(late, milliseconds(kTickMs)) << dues[i];
  }
  EXPECT_EQ(hand.wheel.armed_count(), 0U);
}

TEST(TimerWheel, AsksForNothingWhileEmpty) {
  wheel_by_hand hand;
  counted_timer timer(hand);
  hand.wheel.arm(timer.entry, hand.start + milliseconds(50));
  EXPECT_EQ(hand.asks, 1);
  timer.entry.disarm();
  hand.pass(milliseconds(100'000));
  EXPECT_EQ(hand.asks, 1) << "the wake-up that finds nothing asks for no other";
  EXPECT_EQ(timer.fired, 0);
}

TEST(TimerWheel, ArmAndDisarmPerRequestAskOnce) {
  wheel_by_hand hand;
  counted_timer timer(hand);
  for (int i = 0; i < 1000; ++i) {
    hand.wheel.arm(timer.entry, hand.start + milliseconds(500 + i));
    timer.entry.disarm();
  }
  EXPECT_EQ(hand.asks, 1);
}

TEST(TimerWheel, AnEarlierTimeMovesTheWakeUp) {
  wheel_by_hand hand;
  counted_timer late(hand);
  counted_timer early(hand);
  hand.wheel.arm(late.entry, hand.start + milliseconds(5000));
  hand.wheel.arm(early.entry, hand.start + milliseconds(20));
  EXPECT_EQ(hand.asked, hand.start + milliseconds(20));
  hand.pass(milliseconds(30));
  EXPECT_EQ(early.fired, 1);
  EXPECT_EQ(late.fired, 0);
  EXPECT_TRUE(late.entry.armed());
}

TEST(TimerWheel, ArmingAgainMovesTheEntry) {
  wheel_by_hand hand;
  counted_timer timer(hand);
  hand.wheel.arm(timer.entry, hand.start + milliseconds(20));
  hand.wheel.arm(timer.entry, hand.start + milliseconds(200));
  hand.pass(milliseconds(100));
  EXPECT_EQ(timer.fired, 0);
  hand.pass(milliseconds(200));
  EXPECT_EQ(timer.fired, 1);
}

TEST(TimerWheel, MaxIsNever) {
  wheel_by_hand hand;
  counted_timer timer(hand);
  hand.wheel.arm(timer.entry, steady_time::max());
  EXPECT_FALSE(timer.entry.armed());
  EXPECT_EQ(hand.asks, 0);
}

// While entries of one tick fire, the first destroys the second and re-arms itself.
TEST(TimerWheel, FireMayDestroyOtherEntriesAndReArmItself) {
  wheel_by_hand hand;
  struct killer {
    explicit killer(wheel_by_hand& w) : hand(w) {}
    wheel_by_hand& hand;
    std::vector<std::unique_ptr<killer>>* all = nullptr;
    int fired = 0;
    timer_entry entry{[](void* owner) noexcept {
                        auto* self = static_cast<killer*>(owner);
                        ++self->fired;
                        self->hand.wheel.arm(self->entry, self->hand.now);
                        for (auto& other : *self->all) {
                          if (other != nullptr && other.get() != self) other.reset();
                        }
                      },
                      this};
  };
  std::vector<std::unique_ptr<killer>> all;
  for (int i = 0; i < 3; ++i) {
    all.push_back(std::make_unique<killer>(hand));
    all.back()->all = &all;
    hand.wheel.arm(all.back()->entry, hand.start + milliseconds(30));
  }
  hand.now = hand.start + milliseconds(30);
  hand.wheel.advance(hand.now);
  int alive = 0;
  for (const auto& each : all) {
    if (each == nullptr) continue;
    ++alive;
    EXPECT_EQ(each->fired, 1) << "an entry re-armed for now waits for the next tick";
    EXPECT_TRUE(each->entry.armed());
  }
  EXPECT_EQ(alive, 1);
  EXPECT_EQ(hand.wheel.armed_count(), 1U);
}

TEST(TimerWheel, ALateWakeUpFiresWholeTurnsAtOnce) {
  wheel_by_hand hand;
  counted_timer a(hand);
  counted_timer b(hand);
  counted_timer c(hand);
  hand.wheel.arm(a.entry, hand.start + milliseconds(100));
  hand.wheel.arm(b.entry, hand.start + milliseconds(30'000));
  hand.wheel.arm(c.entry, hand.start + milliseconds(90'000));
  hand.now = hand.start + milliseconds(60'000);
  hand.wheel.advance(hand.now);
  EXPECT_EQ(a.fired, 1);
  EXPECT_EQ(b.fired, 1);
  EXPECT_EQ(c.fired, 0);
  hand.pass(milliseconds(40'000));
  EXPECT_EQ(c.fired, 1);
}

TEST(TimerWheel, ADyingWheelDisarmsItsEntries) {
  auto hand = std::make_unique<wheel_by_hand>();
  counted_timer timer(*hand);
  hand->wheel.arm(timer.entry, hand->start + milliseconds(20));
  hand.reset();
  EXPECT_FALSE(timer.entry.armed());
}

TEST(TimerWheel, RandomArmsAndDisarmsAgreeWithAModel) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  wheel_by_hand hand;
  struct timed {
    explicit timed(wheel_by_hand& w) : timer(w) {}
    counted_timer timer;
    steady_time due = steady_time::max();
  };
  std::vector<std::unique_ptr<timed>> all;
  for (int i = 0; i < 200; ++i) all.push_back(std::make_unique<timed>(hand));
  for (int round = 0; round < 3000; ++round) {
    timed& one = *all[random() % all.size()];
    if (random() % 4 == 0) {
      one.timer.entry.disarm();
      one.due = steady_time::max();
    } else {
      one.due = hand.now + milliseconds(random() % 25'000);
      hand.wheel.arm(one.timer.entry, one.due);
    }
    one.timer.fired = 0;
    hand.pass(milliseconds(random() % 40));
    for (const auto& each : all) {
      if (each->timer.fired == 0) {
        ASSERT_TRUE(each->due == steady_time::max() || each->due + milliseconds(kTickMs) > hand.now);
        continue;
      }
      ASSERT_EQ(each->timer.fired, 1);
      ASSERT_GE(each->timer.fired_at, each->due);
      each->timer.fired = 0;
      each->due = steady_time::max();
    }
  }
}

}  // namespace
}  // namespace syncline::net
