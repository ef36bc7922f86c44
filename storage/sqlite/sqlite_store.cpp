#include "storage/sqlite/sqlite_store.h"

#include <fmt/format.h>

#include "storage/sqlite/generation.h"
#include "storage/sqlite/idempotency_records.h"
#include "storage/sqlite/page_reader.h"
#include "storage/sqlite/reader_threads.h"
#include "storage/sqlite/row_reads.h"
#include "storage/sqlite/schema.h"
#include "storage/sqlite/scoped_transaction.h"
#include "storage/sqlite/watcher.h"
#include "storage/sqlite/writer.h"

namespace syncline::storage::sqlite {

namespace {

template <class T>
bool breaks_connection(const net::result<T>& made) {
  return !made && (made.error().code == net::errc::down || made.error().code == net::errc::corrupt);
}

std::uint64_t rows_in(const rows& made) {
  return made.slices.size();
}
std::uint64_t rows_in(const feed_page& made) {
  return made.changes.size();
}
std::uint64_t rows_in(const std::optional<idempotency>&) {
  return 0;
}

class sqlite_store final : public store {
 public:
  sqlite_store(const sqlite_options& options, catalog& all) : shared_(options, all) {}
  ~sqlite_store() override { sqlite_store::stop(); }

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
  std::int64_t watermark() const noexcept override { return shared_.front.watermark(); }
  bool keeps_write_order() const noexcept override { return true; }  // one writer
  store_figures read_figures() const override;
  void set_listener(feed_listener* listener) override { shared_.front.set_listener(listener); }
  void stop() override;

 private:
  net::result<void> prepare(connection& db);
  void add_gauges();

  // Queues a reading job that calls `work(connection, plans)`, which gives a result<T>.
  template <class T, class Work>
  net::result<std::shared_ptr<store_call<T>>> queue_read(net::request_context& context, Work work);
  [[nodiscard]] net::result<void> usable(const net::request_context& context) const;

  store_shared shared_;
  std::unique_ptr<writer> writer_;
  std::unique_ptr<reader_threads> readers_;
  std::unique_ptr<watcher> watcher_;
  std::vector<std::uint64_t> gauges_;
};

// Fits, migrates or checks, and records that a new run continues the feed.
net::result<void> sqlite_store::prepare(connection& db) {
  if (auto fits = fit_to_schema(db, *shared_.all); !fits) return fits;
  if (shared_.options.migrate_on_start)
    if (auto done = migrate(db, *shared_.all, false); !done) return done.error();
  auto gaps = find_gaps(db, *shared_.all);
  if (!gaps) return gaps.error();
  if (!gaps->objects.empty())
    return net::error(net::errc::schema_mismatch,
                      "the feed is not set up in this database; run `syncline migrate`",
                      fmt::format("missing or changed: {}", fmt::join(gaps->objects, ", ")));
  if (!gaps->rows.empty()) shared_.check_schema.store(true);  // the watcher goes on with them
  auto resources = resource_rows(db, *shared_.all);
  if (!resources) return resources.error();
  shared_.front.set_resources(std::move(*resources));
  auto transaction = scoped_transaction::begin(db);
  if (!transaction) return transaction.error();
  if (auto plans = shared_.writing_plans.current(db); !plans) return plans.error();
  auto now = read_clock(db);
  if (!now) return now.error();
  if (auto recorded = record_generation(db, now->seq, now->horizon); !recorded) return recorded;
  if (auto committed = transaction->commit(); !committed) return committed;
  shared_.front.start_at(now->seq);
  shared_.horizon.store(now->horizon);
  return {};
}

net::result<void> sqlite_store::open() {
  auto db = writer::open_connection(shared_.options);
  if (!db) return db.error();
  if (auto prepared = prepare(*db); !prepared) return prepared;
  writer_ = std::make_unique<writer>(shared_, std::move(*db));
  readers_ = std::make_unique<reader_threads>(shared_);
  watcher_ = std::make_unique<watcher>(shared_, *writer_);
  if (auto started = readers_->start(); !started) return started;
  if (auto started = watcher_->start(); !started) return started;
  writer_->start();
  add_gauges();
  return {};
}

void sqlite_store::add_gauges() {
  const auto add = [this](std::string_view name, std::string_view help, std::function<double()> read) {
    gauges_.push_back(perf::metrics::add_gauge_callback(name, help, {}, std::move(read)));
  };
  add("syncline_sqlite_write_queue_rows", "Rows that wait for the writer.",
      [this] { return static_cast<double>(writer_->queue().rows()); });
  add("syncline_sqlite_write_queue_batches", "Batches that wait for the writer.",
      [this] { return static_cast<double>(writer_->queue().batches()); });
  add("syncline_sqlite_read_queue_jobs", "Reading jobs that wait for a thread.",
      [this] { return static_cast<double>(readers_->queued()); });
  add("syncline_sqlite_feed_watermark", "The published feed position.",
      [this] { return static_cast<double>(watermark()); });
  add("syncline_sqlite_healthy", "1 while the store works.",
      [this] { return shared_.health.healthy() ? 1.0 : 0.0; });
}

void sqlite_store::stop() {
  for (const std::uint64_t each : gauges_) perf::metrics::remove_gauge_callback(each);
  gauges_.clear();
  if (watcher_) watcher_->stop();
  // Readers first: the last connection to close, the writer's, checkpoints and removes the log.
  if (readers_) readers_->stop();
  watcher_.reset();
  if (writer_) writer_->stop();
}

net::result<void> sqlite_store::usable(const net::request_context& context) const {
  if (context.cancelled()) return net::error(net::errc::cancelled, "the request was cancelled");
  if (context.expired()) return net::error(net::errc::timed_out, "the deadline passed");
  if (shared_.health.file_gone()) return shared_.health.file_error();
  return {};
}

template <class T, class Work>
net::result<std::shared_ptr<store_call<T>>> sqlite_store::queue_read(net::request_context& context,
                                                                     Work work) {
  if (auto ok = usable(context); !ok) return ok.error();
  auto call = std::make_shared<store_call<T>>(context);
  read_job job;
  job.call = call;
  job.run = [this, call = call.get(), work = std::move(work)](connection& db, schema_plans& plans) {
    net::result<T> made = work(db, plans);
    const bool broken = breaks_connection(made);
    if (made) {
      const std::uint64_t count = rows_in(*made);
      shared_.metrics.rows_read.add(count);
      shared_.rows_read.fetch_add(count, std::memory_order_relaxed);
    }
    call->answer.emplace(std::move(made));
    return broken;
  };
  if (auto queued = readers_->push(std::move(job)); !queued) return queued.error();
  return call;
}

net::task<net::result<rows>> sqlite_store::get(net::request_context& context, const resource& of,
                                               projection what, std::vector<std::string> keys) {
  auto call = queue_read<rows>(
      context, [&of, what = std::move(what), keys = std::move(keys)](connection& db, schema_plans& plans) {
        return read_by_key(db, plans, of, what, keys);
      });
  if (!call) co_return call.error();
  auto wait = answer_of(context, std::move(*call));
  co_return co_await std::move(wait);
}

net::task<net::result<rows>> sqlite_store::list(net::request_context& context, list_query query) {
  auto call = queue_read<rows>(context, [query = std::move(query)](connection& db, schema_plans& plans) {
    return read_list(db, plans, query);
  });
  if (!call) co_return call.error();
  auto wait = answer_of(context, std::move(*call));
  co_return co_await std::move(wait);
}

net::task<net::result<rows>> sqlite_store::rows_by(net::request_context& context, const resource& of,
                                                   std::vector<std::size_t> by, std::vector<std::string> keys,
                                                   std::uint32_t rows_max) {
  auto call = queue_read<rows>(context, [&of, by = std::move(by), keys = std::move(keys), rows_max](
                                            connection& db, schema_plans& plans) {
    return read_by_columns(db, plans, of, by, keys, rows_max);
  });
  if (!call) co_return call.error();
  auto wait = answer_of(context, std::move(*call));
  co_return co_await std::move(wait);
}

net::task<net::result<feed_page>> sqlite_store::read_page(net::request_context& context,
                                                          std::shared_ptr<const stream> what,
                                                          std::optional<cursor> from, page_limits limits) {
  auto call = queue_read<feed_page>(context, [this, what = std::move(what), from = std::move(from), limits](
                                                 connection& db, schema_plans& plans) {
    shared_.metrics.pages.add();
    return read_feed_page(db, plans, *what, from, limits);
  });
  if (!call) co_return call.error();
  auto wait = answer_of(context, std::move(*call));
  co_return co_await std::move(wait);
}

net::task<net::result<std::optional<idempotency>>> sqlite_store::recall(net::request_context& context,
                                                                        std::string key) {
  auto call = queue_read<std::optional<idempotency>>(
      context, [key = std::move(key)](connection& db, schema_plans&) { return read_idempotency(db, key); });
  if (!call) co_return call.error();
  auto wait = answer_of(context, std::move(*call));
  co_return co_await std::move(wait);
}

net::task<net::result<write_outcome>> sqlite_store::write(net::request_context& context, write_batch batch) {
  if (auto ok = usable(context); !ok) co_return ok.error();
  const std::uint64_t transaction = batch.transaction;
  auto call = std::make_shared<write_call>(context, std::move(batch));
  net::result<void> queued;
  if (transaction != 0) {
    transaction_step step;
    step.write = call;
    queued = writer_->queue().push(transaction, std::move(step));
  } else {
    queued = writer_->queue().push(call);
  }
  if (!queued) {
    if (queued.error().code == net::errc::overloaded) shared_.metrics.overloaded.add();
    co_return queued.error();
  }
  std::shared_ptr<store_call<write_outcome>> waiting = std::move(call);
  auto wait = answer_of(context, std::move(waiting));
  co_return co_await std::move(wait);
}

net::task<net::result<std::uint64_t>> sqlite_store::begin_transaction(net::request_context& context) {
  if (auto ok = usable(context); !ok) co_return ok.error();
  auto call = std::make_shared<begin_call>(context);
  if (auto queued = writer_->queue().push(call); !queued) co_return queued.error();
  auto wait = answer_of(context, std::move(call));
  co_return co_await std::move(wait);
}

net::task<net::result<std::int64_t>> sqlite_store::end_transaction(net::request_context& context,
                                                                   std::uint64_t transaction, bool commit) {
  // Asked for even when the request is over: a transaction that nobody ends would hold the writer until it is
  // idle for too long.
  auto call = std::make_shared<end_call>(context, commit);
  transaction_step step;
  step.end = call;
  if (auto queued = writer_->queue().push(transaction, std::move(step)); !queued) co_return queued.error();
  std::shared_ptr<store_call<std::int64_t>> waiting = std::move(call);
  auto wait = answer_of(context, std::move(waiting));
  co_return co_await std::move(wait);
}

std::shared_ptr<const stream> sqlite_store::make_stream(std::vector<stream_part> parts) const {
  const auto resources = shared_.front.resources();
  std::vector<std::int64_t> incarnations;
  for (const stream_part& part : parts)
    incarnations.push_back(part.of->ordinal < resources->size() ? (*resources)[part.of->ordinal].incarnation
                                                                : 0);
  auto made = std::make_shared<stream>();
  made->declaration = hash_of_stream(parts, incarnations);
  made->parts = std::move(parts);
  return made;
}

store_figures sqlite_store::read_figures() const {
  store_figures out;
  out.watermark = watermark();
  out.horizon = shared_.horizon.load(std::memory_order_relaxed);
  out.write_queue_rows = writer_->queue().rows();
  out.write_queue_batches = writer_->queue().batches();
  out.read_queue_jobs = readers_->queued();
  out.commits = shared_.commits.load(std::memory_order_relaxed);
  out.rows_written = shared_.rows_written.load(std::memory_order_relaxed);
  out.rows_read = shared_.rows_read.load(std::memory_order_relaxed);
  out.healthy = shared_.health.healthy();
  out.trouble = shared_.health.text();
  return out;
}

}  // namespace

net::result<std::unique_ptr<store>> open_sqlite_store(const sqlite_options& options, catalog& all) {
  auto made = std::make_unique<sqlite_store>(options, all);
  if (auto opened = made->open(); !opened) return opened.error();
  return std::unique_ptr<store>(std::move(made));
}

}  // namespace syncline::storage::sqlite
