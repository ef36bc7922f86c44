#include "storage/mysql/mysql_store.h"

#include <future>
#include <random>

#include <fmt/format.h>

#include "net/core/blocking_threads.h"
#include "storage/mysql/blocking_run.h"
#include "storage/mysql/idempotency_records.h"
#include "storage/mysql/open_connection.h"
#include "storage/mysql/open_transactions.h"
#include "storage/mysql/page_reader.h"
#include "storage/mysql/periodic_work.h"
#include "storage/mysql/row_reads.h"
#include "storage/mysql/schema_watch.h"
#include "storage/mysql/session_setup.h"
#include "storage/mysql/store_shared.h"
#include "storage/mysql/store_writes.h"

namespace syncline::storage::mysql {

namespace {

using net::errc;

// After an administrator killed every session a read may meet more than one that has not noticed yet.
constexpr int kReadTries = 3;
constexpr std::chrono::milliseconds kReplicaAnswerMax{500};
constexpr std::chrono::seconds kCatchUpMax{5};
constexpr std::chrono::seconds kLastRoundMax{1};
constexpr unsigned kFeedCore = 1000;  // a name for the log; it serves no requests

class mysql_store final : public store {
 public:
  mysql_store(const mysql_options& options, catalog& all, net::core_group& cores)
      : feed_core_(kFeedCore, false), names_({"mysql-names", 1, 64}), shared_(options, all), cores_(cores) {}
  ~mysql_store() override { mysql_store::stop(); }

  net::result<void> open();

  net::task<net::result<rows>> get(net::request_context& context, const resource& of, projection what,
                                   std::vector<std::string> keys) override;
  net::task<net::result<rows>> list(net::request_context& context, list_query query) override;
  net::task<net::result<rows>> rows_by(net::request_context& context, const resource& of,
                                       std::vector<std::size_t> by, std::vector<std::string> keys,
                                       std::uint32_t rows_max) override;
  net::task<net::result<feed_page>> read_page(net::request_context& context,
                                              std::shared_ptr<const stream> what, std::optional<cursor> from,
                                              page_limits limits) override;
  net::task<net::result<write_outcome>> write(net::request_context& context, write_batch batch) override;
  net::task<net::result<std::uint64_t>> begin_transaction(net::request_context& context) override;
  net::task<net::result<std::int64_t>> end_transaction(net::request_context& context,
                                                       std::uint64_t transaction, bool commit) override;
  net::task<net::result<std::optional<idempotency>>> recall(net::request_context& context,
                                                            std::string key) override;

  std::shared_ptr<const stream> make_stream(std::vector<stream_part> parts) const override;
  std::int64_t watermark() const noexcept override { return shared_.feed->watermark(); }
  bool keeps_write_order() const noexcept override { return false; }
  store_figures read_figures() const override;
  void set_listener(feed_listener* listener) override { shared_.feed->set_listener(listener); }
  void stop() override;

 private:
  [[nodiscard]] net::task<net::result<void>> prepare(net::request_context& context, sql_connection& db);
  [[nodiscard]] net::result<void> make_servers(const mysql_options& options);
  // What others committed is in the feed, or that time has passed.
  void catch_up(std::chrono::milliseconds within);
  void add_gauges();
  [[nodiscard]] open_transactions& transactions(const net::request_context& context) {
    return *transactions_[context.on().id() % transactions_.size()];
  }
  // `read(connection)` on a shared connection of the primary, once more when that was lost.
  template <class T, class Read>
  [[nodiscard]] net::task<net::result<T>> read_shared(net::request_context& context, Read read);
  template <class Read>
  [[nodiscard]] net::task<std::optional<rows>> read_replica(net::request_context& context,
                                                            published_feed needed, Read read);
  template <class Read>
  [[nodiscard]] net::task<std::optional<rows>> ask_replica(net::request_context& context, replica& from,
                                                           published_feed needed, Read read);
  // The watermark first: the generation is then the one that it was published in, or a newer one.
  [[nodiscard]] published_feed published() const noexcept {
    published_feed out;
    out.watermark = shared_.feed->watermark();
    out.generation = shared_.feed->generation_id();
    return out;
  }
  // `read(connection, clock)` for rows, on a replica or the primary; they get their position.
  template <class Read>
  [[nodiscard]] net::task<net::result<rows>> read_rows(net::request_context& context, Read read);

  net::core feed_core_;
  net::blocking_threads names_;  // ends before the core object, after its loop
  store_shared shared_;
  net::core_group& cores_;
  std::unique_ptr<schema_watch> watch_;
  std::unique_ptr<periodic_work> purge_;
  std::vector<std::unique_ptr<open_transactions>> transactions_;
  std::vector<std::uint64_t> gauges_;
  [[nodiscard]] net::steady_time start_until() const noexcept {
    return std::chrono::steady_clock::now() + std::chrono::seconds(shared_.options.start_timeout_s);
  }

  // From prepare() for the sequencer.
  feed_position position_;
  std::vector<resource_row> resources_;
  bool running_ = false;
};

net::task<net::result<void>> mysql_store::prepare(net::request_context& context, sql_connection& db) {
  catalog& all = *shared_.all;
  // Only what is migrated may take as long as an index does.
  auto fitting = fit_to_schema(context, db, all);
  if (const net::result<void> fits = co_await std::move(fitting); !fits) co_return fits;
  if (shared_.options.migrate_on_start) {
    context.set_deadline(net::steady_time::max());
    migrate_progress silent;
    auto migrating = migrate(context, db, all, false, std::move(silent));
    const net::result<migrate_report> done = co_await std::move(migrating);
    if (!done) co_return done.error();
    context.set_deadline(start_until());
  }
  auto looking = missing_objects(context, db, all);
  const net::result<std::vector<std::string>> missing = co_await std::move(looking);
  if (!missing) co_return missing.error();
  if (!missing->empty())
    co_return net::error(errc::schema_mismatch,
                         "the feed is not set up in this database; run `syncline migrate`",
                         fmt::format("missing or changed: {}", fmt::join(*missing, ", ")));
  auto naming = resource_rows(context, db, all);
  net::result<std::vector<resource_row>> named = co_await std::move(naming);
  if (!named) co_return named.error();
  resources_ = std::move(*named);
  auto planning = table_plans::read(context, db, all);
  net::result<table_plans> plans = co_await std::move(planning);
  if (!plans) co_return plans.error();
  shared_.plans = std::move(*plans);
  auto recording = record_generation(context, db);
  const net::result<feed_position> position = co_await std::move(recording);
  if (!position) co_return position.error();
  position_ = *position;
  co_return net::result<void>();
}

net::result<void> mysql_store::make_servers(const mysql_options& options) {
  auto primary = store_session(options, options.primary);
  if (!primary) return primary.error();
  std::random_device random;
  net::pool_options pool = options.pool;
  shared_.primary = std::make_unique<server_pools>(cores_, pool, *primary, random());
  connection_maker connect = [how = *primary](net::request_context& context) {
    return open_connection(context, how);
  };
  auto patient = patient_session(options, options.primary, kWatchSilenceMs);
  if (!patient) return patient.error();
  connection_maker connect_for_ddl = [how = *patient](net::request_context& context) {
    return open_connection(context, how);
  };
  watch_ =
      std::make_unique<schema_watch>(feed_core_, shared_.options, *shared_.all, std::move(connect_for_ddl));
  purge_ = std::make_unique<periodic_work>(feed_core_, "purge",
                                           std::chrono::seconds(shared_.options.purge_interval_s), connect,
                                           purge_work(shared_.options, *shared_.all));
  shared_.feed = std::make_unique<sequencer>(feed_core_, shared_.options, *shared_.all, std::move(connect));
  shared_.feed->on_other_server([this] { shared_.primary->expire(); });
  if (options.replicas.empty()) return {};
  shared_.replicas = std::make_unique<replica_set>([this] { return published(); });
  for (std::size_t i = 0; i < options.replicas.size(); ++i) {
    auto how = store_session(options, options.replicas[i]);
    if (!how) return how.error();
    pool.name = fmt::format("{}-replica-{}", options.pool.name, i + 1);
    shared_.replicas->add(pool.name, std::make_unique<server_pools>(cores_, pool, *how, random()), *how,
                          shared_.options.replica_lag_max_ms);
  }
  return {};
}

net::result<void> mysql_store::open() {
  mysql_options options = shared_.options;
  if (options.primary.resolver == nullptr) options.primary.resolver = &names_;
  for (session_options& each : options.replicas)
    if (each.resolver == nullptr) each.resolver = &names_;
  feed_core_.start();
  running_ = true;
  const mysql_work preparing = [this](net::request_context& context, sql_connection& db) {
    return prepare(context, db);
  };
  if (auto prepared = run_on_mysql(feed_core_, options, preparing, start_until()); !prepared) {
    if (prepared.error().code != errc::timed_out) return prepared;
    return net::error(errc::down, "MySQL does not say in time what the schema is like",
                      fmt::format("allowed: {} s (start_timeout_s)", options.start_timeout_s));
  }
  if (auto made = make_servers(options); !made) return made;
  for (std::size_t i = 0; i < cores_.size(); ++i)
    transactions_.push_back(std::make_unique<open_transactions>(shared_, i, cores_.size()));
  shared_.feed->start_at(position_.seq, position_.horizon, std::move(resources_));
  shared_.feed->start();
  if (shared_.replicas) shared_.replicas->start(feed_core_);
  catch_up(kCatchUpMax);  // what happened while nobody ran
  watch_->start();
  purge_->start();
  add_gauges();
  return {};
}

void mysql_store::catch_up(std::chrono::milliseconds within) {
  std::promise<void> ended;
  const auto settle = [within](sequencer& feed, net::core& on, std::promise<void>& done) -> net::task<void> {
    net::request_context context(on);
    context.set_deadline(std::chrono::steady_clock::now() + within);
    auto settling = feed.settle(context);
    static_cast<void>(co_await std::move(settling));
    done.set_value();
  };
  net::spawn(feed_core_, settle(*shared_.feed, feed_core_, ended));
  ended.get_future().wait();
}

void mysql_store::add_gauges() {
  const auto add = [this](std::string_view name, std::string_view help, std::function<double()> read) {
    gauges_.push_back(perf::metrics::add_gauge_callback(name, help, {}, std::move(read)));
  };
  add("syncline_mysql_rows_in_writes", "Rows of the batches that are being written or wait for it.",
      [this] { return static_cast<double>(shared_.rows_in_writes.load(std::memory_order_relaxed)); });
  add("syncline_mysql_reads_under_way", "Reads that run or wait for a connection.",
      [this] { return static_cast<double>(shared_.reads_under_way.load(std::memory_order_relaxed)); });
  add("syncline_mysql_feed_watermark", "The published feed position.",
      [this] { return static_cast<double>(watermark()); });
  if (shared_.replicas)
    add("syncline_mysql_replicas_in_use", "Replicas that reads may go to.", [this] {
      double count = 0;
      for (std::size_t i = 0; i < shared_.replicas->size(); ++i)
        count += shared_.replicas->at(i).in_use() ? 1 : 0;
      return count;
    });
  add("syncline_mysql_healthy", "1 while the feed is followed.",
      [this] { return shared_.feed->healthy() ? 1.0 : 0.0; });
}

void mysql_store::stop() {
  if (!std::exchange(running_, false)) return;
  for (const std::uint64_t each : gauges_) perf::metrics::remove_gauge_callback(each);
  gauges_.clear();
  shared_.stopping.store(true);
  // Pools first: what still writes is acknowledged by the sequencer.
  if (shared_.primary) shared_.primary->stop([this](std::size_t core) { transactions_[core]->close_all(); });
  if (shared_.replicas) shared_.replicas->stop();
  if (watch_) watch_->stop();
  if (purge_) purge_->stop();
  // Cursors that stand above the clock, for the sake of what is not numbered, shall be good at the next
  // start.
  if (shared_.feed && shared_.feed->healthy()) catch_up(kLastRoundMax);
  if (shared_.feed) shared_.feed->stop();
  feed_core_.stop();
  feed_core_.join();
  wait_for_closed_connections();
}

template <class T, class Read>
net::task<net::result<T>> mysql_store::read_shared(net::request_context& context, Read read) {
  if (auto ok = usable(shared_, context); !ok) co_return ok.error();
  const net::steady_time began = std::chrono::steady_clock::now();
  shared_.metrics.reads.add();
  shared_.reads_under_way.fetch_add(1, std::memory_order_relaxed);
  std::optional<net::result<T>> made;
  for (int tries = 0; tries < kReadTries; ++tries) {
    auto acquiring = shared_.primary->acquire(context, net::lease_kind::shared);
    net::result<db_lease> lease = co_await std::move(acquiring);
    if (!lease) {
      made.emplace(lease.error());
      break;
    }
    auto reading = read(**lease);
    made.emplace(co_await std::move(reading));
    if (*made || !lost_connection(made->error(), **lease, context)) break;
    // A session that was killed says so to the statement under way before it ends: nobody else is to meet it.
    lease->mark_broken();
    shared_.metrics.read_retries.add();
  }
  shared_.reads_under_way.fetch_sub(1, std::memory_order_relaxed);
  const std::uint64_t spent = us_since(began);
  shared_.metrics.read_time.record_us(spent);
  context.stage_us[static_cast<std::size_t>(net::stage::storage)] += static_cast<std::uint32_t>(spent);
  co_return std::move(*made);
}

// What a replica that is new enough answers; nothing: the primary is to be asked.
template <class Read>
net::task<std::optional<rows>> mysql_store::read_replica(net::request_context& context, published_feed needed,
                                                         Read read) {
  replica* const from = shared_.replicas ? shared_.replicas->choose(needed.watermark) : nullptr;
  if (from == nullptr) co_return std::nullopt;
  // A replica that hangs must leave time for the primary.
  const net::steady_time deadline = context.deadline();
  context.set_deadline(std::min(deadline, std::chrono::steady_clock::now() + kReplicaAnswerMax));
  auto asking = ask_replica(context, *from, needed, std::move(read));
  std::optional<rows> made = co_await std::move(asking);
  context.set_deadline(deadline);
  if (made) shared_.metrics.replica_answers.add();
  if (!made) shared_.metrics.replica_misses.add();
  co_return made;
}

template <class Read>
net::task<std::optional<rows>> mysql_store::ask_replica(net::request_context& context, replica& from,
                                                        published_feed needed, Read read) {
  auto acquiring = from.pools().acquire(context, net::lease_kind::shared);
  net::result<db_lease> lease = co_await std::move(acquiring);
  if (!lease) {
    if (lease.error().code == errc::down || context.expired()) from.failed(lease.error());
    co_return std::nullopt;
  }
  clock_sink clock;
  auto reading = read(**lease, &clock);
  net::result<rows> made = co_await std::move(reading);
  const std::int64_t seq = clock.seq_in(needed.generation);
  if (clock.read()) from.saw(seq, needed.watermark, steady_ms());
  if (made && seq >= needed.watermark) co_return std::move(*made);
  if (!made && lost_connection(made.error(), **lease, context)) lease->mark_broken();
  if (!made && ((*lease)->broken() || context.expired())) from.failed(made.error());
  co_return std::nullopt;
}

template <class Read>
net::task<net::result<rows>> mysql_store::read_rows(net::request_context& context, Read read) {
  // Before it is sent: what it finds is at least as new.
  const published_feed before = published();
  net::result<rows> made = net::error();
  auto asking = read_replica(context, before, read);
  std::optional<rows> found = co_await std::move(asking);
  if (found) {
    made = std::move(*found);
  } else {
    auto from_primary = [&](sql_connection& db) { return read(db, nullptr); };
    auto reading = read_shared<rows>(context, from_primary);
    made = co_await std::move(reading);
  }
  if (made) {
    made->position = before.watermark;
    shared_.metrics.rows_read.add(made->slices.size());
    shared_.rows_read.fetch_add(made->slices.size(), std::memory_order_relaxed);
  }
  co_return made;
}

net::task<net::result<rows>> mysql_store::get(net::request_context& context, const resource& of,
                                              projection what, std::vector<std::string> keys) {
  auto read = [&](sql_connection& db, clock_sink* clock) {
    return read_by_key(context, db, shared_.plans.of(of), what, keys, clock);
  };
  auto reading = read_rows(context, read);
  co_return co_await std::move(reading);
}

net::task<net::result<rows>> mysql_store::list(net::request_context& context, list_query query) {
  auto read = [&](sql_connection& db, clock_sink* clock) {
    return read_list(context, db, shared_.plans.of(*query.of), query, clock);
  };
  auto reading = read_rows(context, read);
  co_return co_await std::move(reading);
}

net::task<net::result<rows>> mysql_store::rows_by(net::request_context& context, const resource& of,
                                                  std::vector<std::size_t> by, std::vector<std::string> keys,
                                                  std::uint32_t rows_max) {
  auto read = [&](sql_connection& db, clock_sink* clock) {
    return read_by_columns(context, db, shared_.plans.of(of), by, keys, rows_max, clock);
  };
  auto reading = read_rows(context, read);
  co_return co_await std::move(reading);
}

net::task<net::result<std::optional<idempotency>>> mysql_store::recall(net::request_context& context,
                                                                       std::string key) {
  auto read = [&](sql_connection& db) { return read_idempotency(context, db, key, false); };
  auto reading = read_shared<std::optional<idempotency>>(context, read);
  co_return co_await std::move(reading);
}

net::task<net::result<feed_page>> mysql_store::read_page(net::request_context& context,
                                                         std::shared_ptr<const stream> what,
                                                         std::optional<cursor> from, page_limits limits) {
  if (auto ok = usable(shared_, context); !ok) co_return ok.error();
  const net::steady_time began = std::chrono::steady_clock::now();
  net::result<feed_page> made = net::error();
  for (int tries = 0; tries < kReadTries; ++tries) {
    auto acquiring = shared_.primary->acquire(context, net::lease_kind::exclusive);
    net::result<db_lease> lease = co_await std::move(acquiring);
    if (!lease) co_return lease.error();
    // Unless the reading says that it is in order.
    struct guard {
      db_lease& on;
      bool clean = false;
      ~guard() {
        if (!clean) on.mark_broken();
      }
    };
    guard snapshot{*lease};
    auto reading =
        read_feed_page(context, **lease, shared_.plans, shared_.feed->resources(), what, from, limits);
    page_outcome outcome = co_await std::move(reading);
    snapshot.clean = outcome.clean;
    made = std::move(outcome.page);
    if (made || !lost_connection(made.error(), **lease, context)) break;
    shared_.metrics.read_retries.add();
  }
  if (made) {
    shared_.metrics.pages.add();
    shared_.metrics.rows_read.add(made->changes.size());
    shared_.rows_read.fetch_add(made->changes.size(), std::memory_order_relaxed);
  }
  context.stage_us[static_cast<std::size_t>(net::stage::storage)] +=
      static_cast<std::uint32_t>(us_since(began));
  co_return made;
}

net::task<net::result<write_outcome>> mysql_store::write(net::request_context& context, write_batch batch) {
  if (auto ok = usable(shared_, context); !ok) co_return ok.error();
  if (batch.of->view) co_return net::error(errc::unsupported, "a view cannot be written", batch.of->name);
  if (batch.transaction != 0) {
    auto writing = transactions(context).write(context, std::move(batch));
    co_return co_await std::move(writing);
  }
  auto writing = write_batch_alone(context, shared_, std::move(batch));
  co_return co_await std::move(writing);
}

net::task<net::result<std::uint64_t>> mysql_store::begin_transaction(net::request_context& context) {
  if (auto ok = usable(shared_, context); !ok) co_return ok.error();
  auto beginning = transactions(context).begin(context);
  co_return co_await std::move(beginning);
}

net::task<net::result<std::int64_t>> mysql_store::end_transaction(net::request_context& context,
                                                                  std::uint64_t transaction, bool commit) {
  auto ending = transactions(context).end(context, transaction, commit);
  co_return co_await std::move(ending);
}

std::shared_ptr<const stream> mysql_store::make_stream(std::vector<stream_part> parts) const {
  const auto resources = shared_.feed->resources();
  std::vector<std::int64_t> incarnations;
  incarnations.reserve(parts.size());
  for (const stream_part& part : parts)
    incarnations.push_back(part.of->ordinal < resources->size() ? (*resources)[part.of->ordinal].incarnation
                                                                : 0);
  auto made = std::make_shared<stream>();
  made->declaration = hash_of_stream(parts, incarnations);
  made->parts = std::move(parts);
  return made;
}

store_figures mysql_store::read_figures() const {
  store_figures out;
  out.watermark = watermark();
  out.horizon = shared_.feed->horizon();
  out.write_queue_rows = shared_.rows_in_writes.load(std::memory_order_relaxed);
  out.write_queue_batches = shared_.batches_in_writes.load(std::memory_order_relaxed);
  out.read_queue_jobs = shared_.reads_under_way.load(std::memory_order_relaxed);
  out.commits = shared_.commits.load(std::memory_order_relaxed);
  out.rows_written = shared_.rows_written.load(std::memory_order_relaxed);
  out.rows_read = shared_.rows_read.load(std::memory_order_relaxed);
  out.healthy = shared_.feed->healthy();
  out.trouble = shared_.feed->trouble();
  if (const std::string schema = watch_->trouble(); !schema.empty())
    out.trouble += (out.trouble.empty() ? "" : "; ") + schema;
  return out;
}

}  // namespace

net::result<std::unique_ptr<store>> open_mysql_store(const mysql_options& options, catalog& all,
                                                     net::core_group& cores) {
  auto made = std::make_unique<mysql_store>(options, all, cores);
  if (auto opened = made->open(); !opened) return opened.error();
  return std::unique_ptr<store>(std::move(made));
}

}  // namespace syncline::storage::mysql
