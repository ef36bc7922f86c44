#include "net/core/core.h"

#include <pthread.h>
#include <sched.h>

#include <cassert>
#include <string>
#include <utility>

#include <boost/asio/post.hpp>

#include "net/core/core_loop.h"
#include "perf/log.h"

namespace syncline::net {

namespace {

thread_local core* current_core = nullptr;

// The head of a closed inbox. Never dereferenced.
core_message* closed_mark() noexcept {
  static char mark;
  return reinterpret_cast<core_message*>(&mark);
}

std::vector<unsigned> allowed_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<unsigned> out;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return out;
  for (unsigned i = 0; i < CPU_SETSIZE; ++i) {
    if (CPU_ISSET(i, &set)) out.push_back(i);
  }
  return out;
}

// Pins the calling thread to the id-th processor the process may run on; where it may not, the thread stays
// free.
void pin_to(unsigned id) {
  const std::vector<unsigned> processors = allowed_processors();
  if (processors.empty()) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processors[id % processors.size()], &set);
  if (pthread_setaffinity_np(pthread_self(), sizeof set, &set) != 0) {
    perf::log_warn("a core could not be pinned to a processor", {{"core", id}});
  }
}

struct function_message final : core_message {
  explicit function_message(std::function<void()> f) : function(std::move(f)) {}
  void run() override { function(); }
  std::function<void()> function;
};

}  // namespace

core::loop::loop(core& on)
    : self(on),
      wheel([](void* owner, steady_time when) noexcept { static_cast<loop*>(owner)->wake_at(when); }, this,
            std::chrono::steady_clock::now()),
      work(io.get_executor()),
      kernel_timer(std::in_place, io.get_executor()),
      messages(perf::metrics::add_counter("syncline_core_messages_total", "Messages run on a core.",
                                          {{"core", std::to_string(on.id())}})),
      uncaught(perf::metrics::add_counter("syncline_core_uncaught_total",
                                          "Exceptions that left a root task, a message or a handler.",
                                          {{"core", std::to_string(on.id())}})) {
  tasks_gauge = perf::metrics::add_gauge_callback(
      "syncline_core_tasks", "Root tasks that have not ended.", {{"core", std::to_string(on.id())}},
      [&on] { return static_cast<double>(on.tasks_in_flight()); });
  // Waiting once gives Asio's queue of timers its memory now: wake_at() is called where nothing may throw.
  kernel_timer->expires_at(steady_time::max());
  kernel_timer->async_wait([](const boost::system::error_code&) {});
}

core::loop::~loop() {
  perf::metrics::remove_gauge_callback(tasks_gauge);
}

void core::loop::wake_at(steady_time when) {
  if (ended) return;
  kernel_timer->expires_at(when);  // cancels the wait for a later time
  kernel_timer->async_wait([this](const boost::system::error_code& failure) {
    if (!failure) wheel.advance(std::chrono::steady_clock::now());
  });
}

void core::loop::push(std::unique_ptr<core_message> message) {
  core_message* head = inbox.load(std::memory_order_relaxed);
  do {
    if (head == closed_mark()) return;  // destroys the message here
    message->next = head;
  } while (!inbox.compare_exchange_weak(head, message.get(), std::memory_order_release,
                                        std::memory_order_relaxed));
  static_cast<void>(message.release());
  if (head != nullptr) return;  // a wake-up is on its way
  // The mutex keeps this wake-up from meeting the end of the loop; it is taken once per batch.
  const std::lock_guard lock(close_mutex);
  if (!closed) boost::asio::post(io, [this] { drain(); });
}

void core::loop::drain() noexcept {
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
}

void core::loop::run() {
  current_core = &self;
  for (;;) {
    try {
      io.run();
      break;
    } catch (...) {
      note_uncaught(self, "handler");
    }
  }
  end();
  current_core = nullptr;
}

void core::loop::end() noexcept {
  core_message* left = inbox.exchange(closed_mark(), std::memory_order_acquire);
  {
    const std::lock_guard lock(close_mutex);
    closed = true;
  }
  ended = true;
  while (left != nullptr) {
    const std::unique_ptr<core_message> message(std::exchange(left, left->next));
  }
  while (waiters != nullptr) waiters->abandon(*waiters);
  kernel_timer->cancel();
  work.reset();
  io.destroy_pending();
}

void core_access::deliver(core& on, std::unique_ptr<core_message> message) {
  on.loop_->push(std::move(message));
}

void core_access::link(core& on, core_waiter& waiter) noexcept {
  core_waiter*& first = on.loop_->waiters;
  waiter.previous = nullptr;
  waiter.next = first;
  if (first != nullptr) first->previous = &waiter;
  first = &waiter;
}

void core_access::unlink(core& on, core_waiter& waiter) noexcept {
  (waiter.previous != nullptr ? waiter.previous->next : on.loop_->waiters) = waiter.next;
  if (waiter.next != nullptr) waiter.next->previous = waiter.previous;
  waiter.previous = waiter.next = nullptr;
}

void core_access::count_uncaught(core& on) noexcept {
  on.loop_->uncaught.add();
}

void note_uncaught(core& on, std::string_view where) noexcept {
  core_access::count_uncaught(on);
  try {
    throw;
  } catch (const std::exception& e) {
    perf::log_error("an exception was not caught", {{"where", where}, {"core", on.id()}, {"text", e.what()}});
  } catch (...) {
    perf::log_error("an exception was not caught", {{"where", where}, {"core", on.id()}});
  }
}

core::core(unsigned id, bool pin) : id_(id), pin_(pin), loop_(std::make_unique<loop>(*this)) {}

core::~core() {
  stop();
  join();
}

boost::asio::io_context& core::io() noexcept {
  return loop_->io;
}

timer_wheel& core::timers() noexcept {
  return loop_->wheel;
}

void core::post(std::function<void()> message) {
  loop_->push(std::make_unique<function_message>(std::move(message)));
}

core* core::current() noexcept {
  return current_core;
}

void core::start() {
  assert(!loop_->thread.joinable());
  loop_->thread = std::thread([this] {
    pthread_setname_np(pthread_self(), ("core-" + std::to_string(id_)).c_str());
    if (pin_) pin_to(id_);
    loop_->run();
  });
}

void core::stop() {
  post([this] { loop_->io.stop(); });
}

void core::join() {
  if (loop_->thread.joinable()) {
    loop_->thread.join();
  } else if (!loop_->ended) {
    // It never had a thread: what was posted or spawned is destroyed here.
    core* const before = std::exchange(current_core, this);
    loop_->end();
    current_core = before;
  }
}

core_group::core_group(const core_group_options& options) {
  const std::size_t processors = allowed_processors().size();
  unsigned count = options.cores;
  if (count == 0) count = processors == 0 ? 1 : static_cast<unsigned>(processors);
  const bool pin = options.pin && count <= processors;
  cores_.reserve(count);
  for (unsigned i = 0; i < count; ++i) cores_.push_back(std::make_unique<core>(i, pin));
}

core_group::~core_group() {
  stop();
}

void core_group::start() {
  for (const auto& each : cores_) each->start();
}

void core_group::stop() {
  assert(core::current() == nullptr);
  for (const auto& each : cores_) each->stop();
  for (const auto& each : cores_) each->join();
}

}  // namespace syncline::net
