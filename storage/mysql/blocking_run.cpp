#include "storage/mysql/blocking_run.h"

#include <future>
#include <memory>
#include <optional>
#include <utility>

#include "net/core/blocking_threads.h"
#include "net/core/core.h"
#include "storage/mysql/open_connection.h"
#include "storage/mysql/session_setup.h"

namespace syncline::storage::mysql {

namespace {

net::task<net::result<void>> connect_and_work(net::core& on, std::shared_ptr<const session_options> how,
                                              const mysql_work& work, net::steady_time until) {
  net::request_context context(on, net::work_class::bulk);
  context.set_deadline(until);
  context.request_id = "syncline";
  auto opening = open_connection(context, std::move(how));
  net::result<std::unique_ptr<sql_connection>> made = co_await std::move(opening);
  if (!made) co_return made.error();
  const std::unique_ptr<sql_connection> db = std::move(*made);
  auto working = work(context, *db);
  co_return co_await std::move(working);
}

using ended_promise = std::promise<net::result<void>>;

// `ended` is the caller's, who waits for it.
net::task<void> run_and_tell(net::core& on, std::shared_ptr<const session_options> how,
                             const mysql_work& work, net::steady_time until, ended_promise& ended) {
  std::optional<net::result<void>> made;
  try {
    auto running = connect_and_work(on, std::move(how), work, until);
    made.emplace(co_await std::move(running));
  } catch (...) {
    ended.set_exception(std::current_exception());
    co_return;
  }
  ended.set_value(std::move(*made));
}

}  // namespace

net::result<void> run_on_mysql(net::core& on, const mysql_options& options, const mysql_work& work,
                               net::steady_time until) {
  auto how = patient_session(options, options.primary, kMigrateSilenceMs);
  if (!how) return how.error();
  ended_promise ended;
  auto answer = ended.get_future();
  net::spawn(on, run_and_tell(on, std::move(*how), work, until, ended));
  return answer.get();
}

net::result<void> run_on_mysql(const mysql_options& options, const mysql_work& work) {
  mysql_options how = options;
  net::core on(0, false);
  std::optional<net::blocking_threads> names;  // ends before the core object, after its loop
  if (how.primary.resolver == nullptr) {
    names.emplace(net::blocking_threads_options{"mysql-names", 1, 16});
    how.primary.resolver = &*names;
  }
  on.start();
  // Whatever is thrown, the loop ends before what its tasks refer to.
  struct ending {
    net::core& of;
    ~ending() {
      of.stop();
      of.join();
      wait_for_closed_connections();
    }
  };
  const ending at_the_end{on};
  return run_on_mysql(on, how, work);
}

}  // namespace syncline::storage::mysql
