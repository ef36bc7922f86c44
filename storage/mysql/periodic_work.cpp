#include "storage/mysql/periodic_work.h"

#include <utility>

#include "net/core/core.h"
#include "net/core/event.h"
#include "perf/log.h"
#include "storage/mysql/idempotency_records.h"

namespace syncline::storage::mysql {

namespace {

constexpr std::chrono::seconds kRunMax{30};
constexpr std::chrono::seconds kBatchMax{5};  // none is begun that may not end in time
constexpr std::uint32_t kPurgeRows = 500;     // a transaction that holds the clock for some milliseconds

net::task<net::result<void>> purge_expired(net::request_context& context, sql_connection& db,
                                           const catalog& all, std::int64_t tombstones_s,
                                           std::int64_t records_s) {
  const auto now =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  bool tombstones = true;
  bool records = true;
  // In turns, so that a run whose time is up has left neither out.
  while ((tombstones || records) && std::chrono::steady_clock::now() + kBatchMax < context.deadline()) {
    if (tombstones) {
      auto purging = purge_tombstones(context, db, all, tombstones_s, kPurgeRows);
      const net::result<purge_result> done = co_await std::move(purging);
      if (!done) co_return done.error();
      tombstones = done->more;
    }
    if (records) {
      auto forgetting = purge_idempotency(context, db, now - records_s, kPurgeRows);
      const net::result<std::uint64_t> forgotten = co_await std::move(forgetting);
      if (!forgotten) co_return forgotten.error();
      records = *forgotten == kPurgeRows;
    }
  }
  co_return net::result<void>();
}

}  // namespace

struct periodic_work::state {
  state(net::core& core, std::string called, std::chrono::milliseconds pause, connection_maker maker,
        work done)
      : on(core),
        name(std::move(called)),
        every(pause),
        connect(std::move(maker)),
        what(std::move(done)),
        context(core, net::work_class::refresh),
        wake(core) {}

  net::task<net::result<void>> run_once();
  net::task<void> run_until_stopped();

  net::core& on;
  const std::string name;
  const std::chrono::milliseconds every;
  connection_maker connect;
  work what;
  net::request_context context;
  net::event wake;
  std::string trouble;
  bool stopping = false;
};

net::task<net::result<void>> periodic_work::state::run_once() {
  context.set_deadline(std::chrono::steady_clock::now() + kRunMax);
  auto connecting = connect(context);
  net::result<std::unique_ptr<sql_connection>> db = co_await std::move(connecting);
  if (!db) co_return db.error();
  auto working = what(context, **db);
  co_return co_await std::move(working);
}

net::task<void> periodic_work::state::run_until_stopped() {
  while (!stopping) {
    net::result<void> done;
    try {
      auto running_once = run_once();
      done = co_await std::move(running_once);
    } catch (...) {
      done = net::caught_error("upkeep threw");
    }
    if (stopping) break;
    std::string text = done ? std::string() : done.error().text();
    if (!text.empty() && text != trouble) perf::log_warn("upkeep failed", {{"what", name}, {"why", text}});
    trouble = std::move(text);
    context.set_deadline(net::steady_time::max());
    static_cast<void>(co_await wake.wait(context, std::chrono::steady_clock::now() + every));
  }
}

periodic_work::periodic_work(net::core& on, std::string name, std::chrono::milliseconds every,
                             connection_maker connect, work what)
    : state_(std::make_shared<state>(on, name, every, std::move(connect), std::move(what))),
      task_(
          on, std::move(name), [kept = state_] { return kept->run_until_stopped(); },
          [kept = state_] {
            kept->stopping = true;
            kept->context.cancel();
            kept->wake.notify();
          }) {}

periodic_work::~periodic_work() {
  stop();
}

void periodic_work::start() {
  task_.start();
}

void periodic_work::stop() {
  task_.stop();
}

periodic_work::work purge_work(const mysql_options& options, const catalog& all) {
  return [&all, tombstones_s = std::int64_t{options.tombstone_days} * 86'400,
          records_s = std::int64_t{options.idempotency_keep_h} * 3600](net::request_context& context,
                                                                       sql_connection& db) {
    return purge_expired(context, db, all, tombstones_s, records_s);
  };
}

}  // namespace syncline::storage::mysql
