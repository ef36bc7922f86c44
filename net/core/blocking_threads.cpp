#include "net/core/blocking_threads.h"

#include <pthread.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "net/core/core.h"
#include "net/core/remote_event.h"
#include "perf/log.h"
#include "perf/metrics.h"

namespace syncline::net {

namespace {

// What the caller and its job share; it outlives the one that goes first.
struct handed_job {
  handed_job(core& on, std::function<void()> what) : done(on), job(std::move(what)) {}
  remote_event done;
  std::function<void()> job;
  std::optional<error> failure;  // written before the core is told
};

}  // namespace

struct blocking_threads::state {
  explicit state(const blocking_threads_options& options);
  ~state();
  state(const state&) = delete;
  state& operator=(const state&) = delete;

  void work() noexcept;
  void run_handed(const std::shared_ptr<handed_job>& handed) noexcept;
  void note_failed() noexcept;  // in a catch block

  const std::string name;
  const std::size_t queue_limit_jobs;
  mutable std::mutex mutex;
  std::condition_variable wake;
  std::deque<std::function<void()>> queue;
  bool stopping = false;
  perf::counter jobs_total;
  perf::counter rejected_total;
  perf::counter failed_total;
  std::uint64_t queue_gauge;
  std::vector<std::thread> threads;
};

blocking_threads::state::state(const blocking_threads_options& options)
    : name(options.name), queue_limit_jobs(options.queue_limit_jobs) {
  const perf::labels mine{{"threads", name}};
  jobs_total =
      perf::metrics::add_counter("syncline_blocking_jobs_total", "Jobs run on blocking threads.", mine);
  rejected_total = perf::metrics::add_counter("syncline_blocking_rejected_total",
                                              "Jobs refused because the queue was full.", mine);
  failed_total = perf::metrics::add_counter("syncline_blocking_failed_total", "Jobs that threw.", mine);
  queue_gauge = perf::metrics::add_gauge_callback("syncline_blocking_queue_jobs",
                                                  "Jobs waiting for a blocking thread.", mine, [this] {
                                                    const std::lock_guard lock(mutex);
                                                    return static_cast<double>(queue.size());
                                                  });
  const unsigned count = options.threads == 0 ? 1 : options.threads;
  threads.reserve(count);
  for (unsigned i = 0; i < count; ++i) {
    threads.emplace_back([this, i] {
      // The kernel keeps 15 characters; the number matters more than the end of the name.
      const std::string number = "-" + std::to_string(i);
      const std::string shown = name.substr(0, 15 - number.size()) + number;
      jobs_total.add(0);  // see perf/log.cpp: the first allocation of a thread must not meet a lack of memory
      pthread_setname_np(pthread_self(), shown.c_str());
      work();
    });
  }
}

blocking_threads::state::~state() {
  {
    const std::lock_guard lock(mutex);
    stopping = true;
  }
  wake.notify_all();
  for (std::thread& each : threads) each.join();
  perf::metrics::remove_gauge_callback(queue_gauge);
}

void blocking_threads::state::work() noexcept {
  for (;;) {
    std::function<void()> job;
    {
      std::unique_lock lock(mutex);
      wake.wait(lock, [this] { return stopping || !queue.empty(); });
      if (queue.empty()) return;
      job = std::move(queue.front());
      queue.pop_front();
    }
    jobs_total.add();
    try {
      job();
    } catch (...) {
      note_failed();
    }
  }
}

void blocking_threads::state::run_handed(const std::shared_ptr<handed_job>& handed) noexcept {
  try {
    handed->job();
  } catch (...) {
    note_failed();
    handed->failure = caught_error("a blocking job threw");
  }
  // What the job holds is freed here, not on the core.
  handed->job = nullptr;
  handed->done.notify(handed);
}

void blocking_threads::state::note_failed() noexcept {
  failed_total.add();
  perf::log_caught("a blocking job threw", "threads", name);
}

blocking_threads::blocking_threads(const blocking_threads_options& options)
    : state_(std::make_unique<state>(options)) {}

blocking_threads::~blocking_threads() = default;

bool blocking_threads::try_post(std::function<void()> job) {
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->queue.size() >= state_->queue_limit_jobs) {
      state_->rejected_total.add();
      return false;
    }
    state_->queue.push_back(std::move(job));
  }
  state_->wake.notify_one();
  return true;
}

task<result<void>> blocking_threads::run(request_context& context, std::function<void()> job) {
  if (context.cancelled()) co_return error(errc::cancelled, "the request was cancelled");
  if (context.expired()) co_return error(errc::timed_out, "the deadline passed");
  auto handed = std::make_shared<handed_job>(context.on(), std::move(job));
  const bool posted = try_post([handed, of = state_.get()] { of->run_handed(handed); });
  if (!posted) {
    error full(errc::overloaded, "the queue of the blocking threads is full", state_->name);
    full.retry_after_ms = 1000;
    co_return full;
  }
  result<void> ended = co_await handed->done.wait(context);
  if (ended.has_error()) co_return ended;
  if (handed->failure) co_return std::move(*handed->failure);
  co_return ended;
}

std::size_t blocking_threads::queued() const noexcept {
  const std::lock_guard lock(state_->mutex);
  return state_->queue.size();
}

}  // namespace syncline::net
