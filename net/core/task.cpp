#include "net/core/task.h"

#include <utility>

#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/this_coro.hpp>

#include "net/core/core_access.h"

namespace syncline::net {

namespace {

// Counts a root task from spawn() until its frame is gone, whether it ran, was never started or was
// destroyed.
class root_count {
 public:
  explicit root_count(core& on) noexcept : on_(&on) { core_access::root_begins(on); }
  root_count(root_count&& other) noexcept : on_(std::exchange(other.on_, nullptr)) {}
  root_count& operator=(root_count&&) = delete;
  ~root_count() {
    if (on_ != nullptr) core_access::root_ended(*on_);
  }

 private:
  core* on_;
};

// Asio starts a coroutine with terminal cancellation only and throws at the first operation after it was
// cancelled; both would turn a closed connection into an exception.
task<void> run_root(core& on, root_count counted, task<void> root) {
  const root_count until_gone(std::move(counted));
  co_await boost::asio::this_coro::reset_cancellation_state(boost::asio::enable_total_cancellation());
  co_await boost::asio::this_coro::throw_if_cancelled(false);
  try {
    co_await std::move(root);
  } catch (...) {
    note_uncaught(on, "task");
  }
}

struct spawn_message final : core_message {
  spawn_message(core& where, task<void> what) : on(where), counted(where), root(std::move(what)) {}
  void run() override {
    task<void> wrapped = run_root(on, std::move(counted), std::move(root));
    boost::asio::co_spawn(core_access::ready(on).get_executor(), std::move(wrapped), boost::asio::detached);
  }
  core& on;
  root_count counted;
  task<void> root;
};

}  // namespace

void spawn(core& on, task<void> root) {
  core_access::deliver(on, std::make_unique<spawn_message>(on, std::move(root)));
}

}  // namespace syncline::net
