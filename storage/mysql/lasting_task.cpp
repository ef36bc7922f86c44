#include "storage/mysql/lasting_task.h"

#include <future>
#include <utility>

#include "net/core/core.h"
#include "perf/log.h"

namespace syncline::storage::mysql {

struct lasting_task::life : std::enable_shared_from_this<lasting_task::life> {
  life(net::core& core, std::string called, std::function<net::task<void>()> runs,
       std::function<void()> interrupts)
      : on(core),
        name(std::move(called)),
        body(std::move(runs)),
        interrupt(std::move(interrupts)),
        again([](void* mine) noexcept { static_cast<life*>(mine)->begin(); }, this) {}

  // Sees the end of a body, also of one that could not begin: it goes with the frame of the task.
  class end_watch {
   public:
    explicit end_watch(std::shared_ptr<life> of) noexcept : of_(std::move(of)) {}
    end_watch(end_watch&&) noexcept = default;
    end_watch& operator=(end_watch&&) = delete;
    ~end_watch() {
      if (of_ != nullptr) of_->body_ended();
    }

   private:
    std::shared_ptr<life> of_;
  };

  void begin() noexcept;
  void body_ended() noexcept;
  static net::task<void> run(life& of, end_watch watch);

  net::core& on;
  const std::string name;
  const std::function<net::task<void>()> body;
  const std::function<void()> interrupt;
  // The core's from here on.
  net::timer_entry again;
  bool stopping = false;
  bool body_runs = false;
  std::promise<void> ended;
};

net::task<void> lasting_task::life::run(life& of, end_watch) {
  try {
    auto running = of.body();
    co_await std::move(running);
  } catch (...) {
    perf::log_caught("background work broke off and begins again", "what", of.name);
  }
}

void lasting_task::life::begin() noexcept {
  body_runs = true;
  try {
    net::task<void> running = run(*this, end_watch(shared_from_this()));
    net::spawn(on, std::move(running));
  } catch (...) {
    perf::log_caught("background work could not begin", "what", name);  // the watch has seen it
  }
}

void lasting_task::life::body_ended() noexcept {
  body_runs = false;
  if (stopping) {
    ended.set_value();
  } else {
    on.timers().arm(again, std::chrono::steady_clock::now() + kLastingPause);
  }
}

lasting_task::lasting_task(net::core& on, std::string name, std::function<net::task<void>()> body,
                           std::function<void()> interrupt)
    : life_(std::make_shared<life>(on, std::move(name), std::move(body), std::move(interrupt))) {}

lasting_task::~lasting_task() {
  stop();
}

void lasting_task::start() {
  if (std::exchange(running_, true)) return;
  life_->on.post([kept = life_] { kept->begin(); });
}

void lasting_task::stop() {
  if (!std::exchange(running_, false)) return;
  life_->on.post([kept = life_] {
    kept->stopping = true;
    kept->again.disarm();
    kept->interrupt();
    if (!kept->body_runs) kept->begin();  // what it does at its end is still to be done
  });
  life_->ended.get_future().wait();
}

}  // namespace syncline::storage::mysql
