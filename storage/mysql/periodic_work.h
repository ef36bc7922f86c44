// A piece of work with a connection of its own, done at start and again after every `every`: the connection
// is open only meanwhile.
//
// Thread: made, started and stopped on threads that are no core; the work runs on the core given. Bound: one
// run at a time. Failure: the work's error, or what it throws, is logged when its text changes;
// the next run tries again.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "storage/mysql/lasting_task.h"
#include "storage/mysql/sequencer.h"

namespace syncline::storage::mysql {

class periodic_work {
 public:
  using work = std::function<net::task<net::result<void>>(net::request_context& context, sql_connection& db)>;
  periodic_work(net::core& on, std::string name, std::chrono::milliseconds every, connection_maker connect,
                work what);
  ~periodic_work();
  periodic_work(const periodic_work&) = delete;
  periodic_work& operator=(const periodic_work&) = delete;

  void start();
  void stop();  // waits for a run that is under way; the core's loop still runs

 private:
  struct state;
  std::shared_ptr<state> state_;
  lasting_task task_;
};

// Takes expired tombstones out of the feed and forgets old Idempotency-Keys, in small transactions.
[[nodiscard]] periodic_work::work purge_work(const mysql_options& options, const catalog& all);

}  // namespace syncline::storage::mysql
