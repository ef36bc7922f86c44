// A few threads for what must not run on a core: file access, name resolution, deflate of large bodies.
//
// Use it for short jobs that block. Not for the database: the store has threads of its own that hold
// connections. Thread: any for try_post, a core for run(). Bound: `queue_limit_jobs` waiting; then
// errc::overloaded at once. Failure: a job that throws is logged and counted; run() answers errc::internal,
// or errc::overloaded when what it threw is std::bad_alloc.
// Lifetime: it outlives the tasks that call run(), so it is destroyed after the cores are stopped, and before
// the core objects are. A job that nobody waits for any more (deadline, cancellation) still runs, so it must
// own what it uses.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "net/core/request_context.h"
#include "net/core/task.h"

namespace syncline::net {

struct blocking_threads_options {
  std::string name = "blocking";  // thread name and metric label
  unsigned threads = 2;
  std::size_t queue_limit_jobs = 1024;
};

class blocking_threads {
 public:
  explicit blocking_threads(const blocking_threads_options& options);
  ~blocking_threads();  // runs what is queued, then joins

  // False when the queue is full.
  [[nodiscard]] bool try_post(std::function<void()> job);
  // Runs `job` on one of the threads and resumes the caller on its core. errc::overloaded, errc::timed_out,
  // errc::cancelled.
  [[nodiscard]] task<result<void>> run(request_context& context, std::function<void()> job);
  [[nodiscard]] std::size_t queued() const noexcept;

 private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace syncline::net
