// A few threads that read, each with a connection and plans of its own.
//
// A job is short: one read transaction, bounded by its limits. Thread: push() on any thread. Bound:
// `limit_jobs` waiting jobs over all classes. Failure: errc::overloaded when full or when the estimated wait
// would miss the deadline, errc::closed after stop(). A job whose caller stopped waiting is dropped. A
// job that throws fails alone. A connection that broke is opened again before the next job.
//
// Invariants
//  1. Interactive jobs go first, but one job in kFairTurn is the oldest of the least urgent class, so none
//  starves.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "storage/sqlite/store_call.h"
#include "storage/sqlite/store_shared.h"

namespace syncline::storage::sqlite {

struct read_job {
  std::shared_ptr<call_base> call;
  // Fills the answer; true when the connection should be opened again.
  std::function<bool(connection&, schema_plans&)> run;
};

class reader_threads {
 public:
  static constexpr std::uint32_t kFairTurn = 8;

  explicit reader_threads(store_shared& shared) : shared_(shared) {}
  ~reader_threads() { stop(); }
  reader_threads(const reader_threads&) = delete;
  reader_threads& operator=(const reader_threads&) = delete;

  // Opens the connections and starts the threads.
  [[nodiscard]] net::result<void> start();
  void stop();  // finishes what is queued
  [[nodiscard]] net::result<void> push(read_job job);
  [[nodiscard]] std::uint64_t queued() const;

 private:
  void run(unsigned number, connection db);
  void run_job(read_job& job, connection& db, schema_plans& plans);
  [[nodiscard]] bool take(read_job& out);
  [[nodiscard]] net::result<connection> open_connection() const;

  store_shared& shared_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::array<std::deque<read_job>, net::kWorkClasses> queues_;
  std::size_t queued_ = 0;
  std::uint32_t turn_ = 0;
  double us_per_job_ = 100;  // moving average
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace syncline::storage::sqlite
