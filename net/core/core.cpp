#include "net/core/core.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <cassert>
#include <string>
#include <utility>

#include "net/core/core_loop.h"
#include "perf/log.h"

namespace syncline::net {

namespace {

thread_local core* current_core = nullptr;

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

boost::asio::io_context& core_access::ready(core& on) noexcept {
  core::loop& of = *on.loop_;
  if (of.asio) of.asio->due();  // the task may start or cancel something there
  return of.ready;
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

core::core(unsigned id, bool pin, std::chrono::microseconds busy_poll)
    : id_(id), pin_(pin), loop_(std::make_unique<loop>(*this, busy_poll)) {}

core::~core() {
  stop();
  join();
}

boost::asio::io_context& core::io() {
  return loop_->io();
}

poller& core::poll() noexcept {
  return loop_->poll;
}

timer_wheel& core::timers() noexcept {
  return loop_->wheel;
}

void core::post(std::function<void()> message) {
  loop_->push(std::make_unique<function_message>(std::move(message)));
}

std::uint64_t core::turns() const noexcept {
  return loop_->turns;
}

core* core::current() noexcept {
  return current_core;
}

void core::start() {
  assert(!loop_->thread.joinable());
  loop_->thread = std::thread([this] {
    pthread_setname_np(pthread_self(), ("core-" + std::to_string(id_)).c_str());
    // sendfile has no MSG_NOSIGNAL: a peer that is gone is an error of its write, whatever the process does
    // with the signal.
    sigset_t broken_pipe;
    sigemptyset(&broken_pipe);
    sigaddset(&broken_pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &broken_pipe, nullptr);
    if (pin_) pin_to(id_);
    current_core = this;
    loop_->run();
    loop_->end();
    current_core = nullptr;
  });
}

void core::stop() {
  post([this] { loop_->stopping = true; });
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
  const auto busy_poll = std::chrono::microseconds(options.busy_poll_us);
  cores_.reserve(count);
  for (unsigned i = 0; i < count; ++i) cores_.push_back(std::make_unique<core>(i, pin, busy_poll));
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
