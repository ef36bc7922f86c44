// The loop of a core: waiting, one turn, and the end.
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <string>
#include <system_error>
#include <utility>

#include <boost/asio/post.hpp>

#include "net/core/core_loop.h"
#include "perf/log_ring.h"

namespace syncline::net {

namespace {

// The head of a closed inbox. Never dereferenced.
core_message* closed_mark() noexcept {
  static char mark;
  return reinterpret_cast<core_message*>(&mark);
}

perf::labels label(const core& on) {
  return {{"core", std::to_string(on.id())}};
}

}  // namespace

kernel_descriptor::kernel_descriptor(int descriptor, const char* call) : descriptor_(descriptor) {
  if (descriptor < 0) throw std::system_error(errno, std::generic_category(), call);
}

kernel_descriptor::~kernel_descriptor() {
  ::close(descriptor_);
}

core::loop::loop(core& on, std::chrono::microseconds busy)
    : self(on),
      busy_poll(busy),
      wheel([](void* owner, steady_time when) noexcept { static_cast<loop*>(owner)->wake_at(when); }, this,
            std::chrono::steady_clock::now()),
      wake_descriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd"),
      alarm_descriptor(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), "timerfd_create"),
      alarm_target(*this),
      messages(
          perf::metrics::add_counter("syncline_core_messages_total", "Messages run on a core.", label(on))),
      uncaught(perf::metrics::add_counter("syncline_core_uncaught_total",
                                          "Exceptions that left a root task, a message or a handler.",
                                          label(on))),
      sleeps(perf::metrics::add_counter("syncline_core_sleeps_total", "Waits of a core with nothing to do.",
                                        label(on))),
      spin_hits(perf::metrics::add_counter("syncline_core_busy_poll_hits_total",
                                           "Times that work came while a core was busy polling.",
                                           label(on))) {
  tasks_gauge =
      perf::metrics::add_gauge_callback("syncline_core_tasks", "Root tasks that have not ended.", label(on),
                                        [&on] { return static_cast<double>(on.tasks_in_flight()); });
  // Edge-triggered, so neither is ever read: a write or an expiry is an edge.
  if (!poll.add_input(wake_descriptor.get(), wake_target, poller::edge::triggered) ||
      !poll.add_input(alarm_descriptor.get(), alarm_target, poller::edge::triggered))
    throw std::system_error(errno, std::generic_category(), "epoll_ctl");
}

core::loop::~loop() {
  perf::metrics::remove_gauge_callback(tasks_gauge);
}

boost::asio::io_context& core::loop::io() {
  if (!asio) asio.emplace(poll);
  asio->due();
  return asio->context();
}

void core::loop::wake_at(steady_time when) noexcept {
  using namespace std::chrono;
  // Zero would disarm it; a time that has passed fires at once.
  const nanoseconds at = std::max<nanoseconds>(when.time_since_epoch(), nanoseconds(1));
  itimerspec wanted{};
  wanted.it_value.tv_sec = static_cast<time_t>(duration_cast<seconds>(at).count());
  wanted.it_value.tv_nsec = static_cast<long>((at % seconds(1)).count());
  ::timerfd_settime(alarm_descriptor.get(), TFD_TIMER_ABSTIME, &wanted, nullptr);
}

void core::loop::alarmed::on_events(std::uint32_t) noexcept {
  of.wheel.advance(std::chrono::steady_clock::now());
  if (of.asio) of.asio->due();
}

void core::loop::push(std::unique_ptr<core_message> message) {
  core_message* head = inbox.load(std::memory_order_relaxed);
  do {
    if (head == closed_mark()) return;  // destroys the message here
    message->next = head;
  } while (!inbox.compare_exchange_weak(head, message.get(), std::memory_order_seq_cst,
                                        std::memory_order_relaxed));
  static_cast<void>(message.release());
  if (head != nullptr) return;  // the core knows, or is being woken
  if (!sleeping.load(std::memory_order_seq_cst) || !sleeping.exchange(false)) return;
  const std::uint64_t one = 1;
  static_cast<void>(!::write(wake_descriptor.get(), &one, sizeof one));
}

void core::loop::drain() noexcept {
  if (inbox.load(std::memory_order_relaxed) == nullptr) return;
  core_message* newest = inbox.exchange(nullptr, std::memory_order_acquire);
  core_message* oldest = nullptr;
  while (newest != nullptr) {
    core_message* next = newest->next;
    newest->next = oldest;
    oldest = newest;
    newest = next;
  }
  while (oldest != nullptr) {
    const std::unique_ptr<core_message> message(std::exchange(oldest, oldest->next));
    messages.add();
    try {
      message->run();
    } catch (...) {
      note_uncaught(self, "message");
    }
  }
  if (asio) asio->due();
}

// Looks for work without sleeping; false when there was none for as long as the core may look.
bool core::loop::spin() noexcept {
  const steady_time until = std::chrono::steady_clock::now() + busy_poll;
  do {
    if (poll.fetch(false) > 0 || inbox.load(std::memory_order_relaxed) != nullptr) {
      spin_hits.add();
      return true;
    }
  } while (std::chrono::steady_clock::now() < until);
  return false;
}

void core::loop::fetch() noexcept {
  if (poll.asked_again() || inbox.load(std::memory_order_relaxed) != nullptr) {
    static_cast<void>(poll.fetch(false));
    return;
  }
  // A handler that was posted by a handler of this round: one that is waiting for us in `ready`. To look
  // costs no system call, and this one runs now.
  bool more = true;
  try {
    more = ready.poll_one() != 0;
  } catch (...) {
    note_uncaught(self, "handler");
  }
  if (more) {
    static_cast<void>(poll.fetch(false));
    return;
  }
  if (busy_poll.count() > 0 && spin()) return;
  sleeping.store(true, std::memory_order_seq_cst);
  const bool wait = inbox.load(std::memory_order_seq_cst) == nullptr;
  if (wait) sleeps.add();
  static_cast<void>(poll.fetch(wait));
  sleeping.store(false, std::memory_order_relaxed);
}

void core::loop::turn() noexcept {
  ++turns;
  try {
    if (asio) asio->poll();
  } catch (...) {
    asio->due();  // others may be ready
    note_uncaught(self, "handler");
  }
  fetch();
  poll.dispatch();
  drain();
}

// Each handler that is in the queue now runs before the next turn, those that they post run after it.
void core::loop::run_ready() {
  for (;;) {
    turn();
    if (stopping) return ready.stop();
    try {
      return boost::asio::post(ready, [this] { run_ready(); });
    } catch (const std::bad_alloc&) {  // without a next turn the core would be lost
      note_uncaught(self, "turn");
    }
  }
}

void core::loop::run() {
  // Before memory can be short: what says that it is, and the thread's first allocation (see perf/log.cpp).
  perf::log_prepare_thread();
  messages.add(0);
  boost::asio::post(ready, [this] { run_ready(); });
  while (!stopping) {
    try {
      ready.restart();  // it never stops before we do; if it did, the core would be lost
      ready.run();
    } catch (...) {
      note_uncaught(self, "handler");
    }
  }
}

void core::loop::end() noexcept {
  core_message* left = inbox.exchange(closed_mark(), std::memory_order_acquire);
  ended = true;
  while (left != nullptr) {
    const std::unique_ptr<core_message> message(std::exchange(left, left->next));
  }
  while (waiters != nullptr) waiters->abandon(*waiters);
  ready_work.reset();
  // Twice: what one holds may, on its way out, post to the other.
  for (int i = 0; i < 2; ++i) {
    ready.destroy_pending();
    if (asio) asio->destroy_pending();
  }
  poll.forget_parts();
}

}  // namespace syncline::net
