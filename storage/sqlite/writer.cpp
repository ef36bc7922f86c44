#include "storage/sqlite/writer.h"

#include <algorithm>
#include <utility>

#include "perf/log.h"
#include "storage/sqlite/clocks.h"
#include "storage/sqlite/generation.h"
#include "storage/sqlite/search_refresh.h"

namespace syncline::storage::sqlite {

namespace {

using clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kBusyStepMax{10};
constexpr std::chrono::milliseconds kBusyAtStopMax{200};
constexpr int kChoreBusyMs = 200;
constexpr std::chrono::milliseconds kAbandonedLook{100};
constexpr std::size_t kInteractive = static_cast<std::size_t>(write_queue::lane::interactive);
constexpr int kSliceStretch = 8;
constexpr std::chrono::seconds kWordsAgain{10};
constexpr std::chrono::milliseconds kMemoryPause{10};

// The connection itself may be at fault; a new one may work.
bool breaks_connection(net::errc code) {
  return code == net::errc::down || code == net::errc::corrupt;
}

}  // namespace

writer::writer(store_shared& shared, connection db)
    : shared_(shared), queue_(shared.options.write_queue_limit_rows), db_(std::move(db)) {}

writer::~writer() {
  stop();
}

net::result<connection> writer::open_connection(const sqlite_options& options) {
  connection_options how;
  how.path = options.path;
  how.synchronous = options.synchronous;
  how.cache_kb = options.cache_kb;
  how.busy_timeout_ms = static_cast<int>(options.busy_timeout_ms);
  how.statements_max = 1024;
  auto db = connection::open(how);
  if (!db) return db;
  // After a checkpoint the log is cut to this size instead of keeping its largest. The triggers make each row
  // a nested savepoint of several pages; in a temporary file those cost 30 system calls a row, and more time
  // than all the rest.
  if (auto set = db->exec("PRAGMA journal_size_limit=67108864;PRAGMA temp_store=MEMORY"); !set)
    return set.error();
  return db;
}

void writer::start() {
  thread_ = std::thread([this] { run(); });
}

void writer::stop() {
  queue_.stop();
  if (thread_.joinable()) thread_.join();
}

void writer::run() {
  shared_.metrics.commits.add(
      0);  // see perf/log.cpp: a thread's first allocation must not meet a lack of memory
  name_this_thread("sqlite-write");
  for (;;) {
    const write_queue::work next = queue_.wait(!retry_.empty());
    if (next == write_queue::work::end) break;
    try {
      if (next == write_queue::work::group) run_group();
      if (next == write_queue::work::transaction) run_transaction();
      if (next == write_queue::work::chore) run_chore();
    } catch (...) {
      recover(next);
    }
  }
  if (db_ && !shared_.health.file_gone())
    sqlite3_wal_checkpoint_v2(db_.get(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  rows_.reset();
  db_ = connection();
}

void writer::recover(write_queue::work during) noexcept {
  perf::log_caught("the database's writer threw");
  const net::error why = net::caught_error("the database's writer threw");
  shared_.metrics.failed_groups.add();
  if (db_) roll_back();
  // Nothing was begun: without an answer they would make the next group, which may end the same way.
  if (during == write_queue::work::group && !current_ && group_.empty()) fail_older(clock::now(), why);
  if (current_) fail(std::exchange(current_, nullptr), why);
  fail_group(why);
  close_transaction(why);
}

void writer::fail(const std::shared_ptr<call_base>& call, const net::error& why) noexcept {
  call->fail(net::copy_of(why));
  complete(call);
}

bool writer::ready() {
  if (shared_.health.file_gone()) return false;
  if (db_ && !broken_) return true;
  rows_.reset();
  db_ = connection();
  auto opened = open_connection(shared_.options);
  if (!opened) {
    shared_.health.trouble(store_health::part::writes, opened.error().text());
    return false;
  }
  db_ = std::move(*opened);
  broken_ = false;
  return true;
}

net::result<void> writer::begin(net::steady_time started) {
  sqlite3_busy_timeout(db_.get(), 0);
  const auto limit = std::chrono::milliseconds(shared_.options.busy_timeout_ms);
  for (;;) {
    auto begun = db_.exec("BEGIN IMMEDIATE");
    if (begun) break;
    if (begun.error().code != net::errc::locked) return begun;
    const auto waited = clock::now() - started;
    if (waited >= limit || (waited >= kBusyAtStopMax && queue_.stopping())) return begun;
    shared_.metrics.busy_waits.add();
    const auto step = std::chrono::duration_cast<std::chrono::milliseconds>(waited / 8);
    std::this_thread::sleep_for(std::clamp(step, std::chrono::milliseconds(1), kBusyStepMax));
  }
  // No other process can write now, nor change the schema.
  auto plans = shared_.writing_plans.current(db_);
  if (!plans) {
    roll_back();
    return plans.error();
  }
  if (!rows_ || rows_->plans() != *plans) rows_.emplace(db_, std::move(*plans));
  // A clock that stands below what we told of means that an older state of the file was put back.
  auto now = read_clock(db_);
  if (!now) {
    roll_back();
    return now.error();
  }
  const auto waits = search_waits(db_);
  words_wait_ = waits && *waits;
  restarted_ = now->seq < shared_.front.watermark();
  if (!restarted_) return {};
  perf::log_warn("the database went back to an older state",
                 {{"seq", now->seq}, {"was", shared_.front.watermark()}});
  auto recorded = record_generation(db_, shared_.front.lowest_seen(now->seq), now->horizon);
  if (!recorded) roll_back();
  return recorded;
}

void writer::roll_back() noexcept {
  if (sqlite3_get_autocommit(db_.get()) == 0) sqlite3_exec(db_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
}

// An index that cannot be written refuses no write.
net::result<void> writer::index_words() {
  const auto waits = search_waits(db_);
  if (!waits || !*waits || clock::now() < words_again_) return {};
  if (auto begun = db_.exec("SAVEPOINT syncline_words"); !begun) return begun;
  auto made = refresh_search(db_, *shared_.all, *rows_->plans(), *shared_.front.resources(),
                             words_wait_ ? kSearchRefreshRows : UINT64_MAX);
  if (!made) {
    if (sqlite3_get_autocommit(db_.get()) != 0) return made.error();
    words_again_ = clock::now() + kWordsAgain;
    perf::log_warn("a keyword index could not be written", {{"why", made.error().text()}});
    if (auto undone = db_.exec("ROLLBACK TO syncline_words"); !undone) return undone;
  }
  return db_.exec("RELEASE syncline_words");
}

// Makes the open transaction durable and tells the listener; the position that contains it.
net::result<std::int64_t> writer::commit() {
  if (auto indexed = index_words(); !indexed) {
    roll_back();
    return indexed.error();
  }
  auto at = read_clock(db_);
  if (!at) {
    roll_back();
    return at.error();
  }
  const auto started = clock::now();
  auto committed = db_.exec("COMMIT");
  shared_.metrics.commit_time.record_us(us_since(started));
  if (!committed) {
    roll_back();
    return committed.error();
  }
  shared_.metrics.commits.add();
  shared_.commits.fetch_add(1, std::memory_order_relaxed);
  tell(at->seq);
  return at->seq;
}

// The commit is durable, so it is acknowledged whatever happens here; and nobody may be acknowledged while
// the listener still answers with what was before.
void writer::tell(std::int64_t seq) noexcept {
  const bool restarted = std::exchange(restarted_, false);
  if (restarted) shared_.check_schema.store(true);
  bool everything = false;  // rather than miss something
  for (;;) {
    try {
      if (restarted) {
        shared_.front.restart(seq);
      } else if (everything) {
        shared_.front.tell_everything(seq);
      } else if (auto told = shared_.front.advance(db_); !told) {
        everything = true;
        perf::log_error("the feed could not be read after a commit", {{"why", told.error().text()}});
        continue;
      }
      return shared_.health.well(store_health::part::writes);
    } catch (...) {
      perf::log_caught("the feed could not be told after a commit");
      if (everything) std::this_thread::sleep_for(kMemoryPause);
      everything = true;
    }
  }
}

void writer::note_failure(const net::error& why) {
  if (breaks_connection(why.code)) broken_ = true;
  shared_.metrics.failed_groups.add();
  shared_.health.trouble(store_health::part::writes, why.text());
}

void writer::fail_older(net::steady_time started, const net::error& why) noexcept {
  while (const auto call = queue_.take_older(started)) fail(call, why);
  for (const auto& call : retry_) fail(call, why);
  retry_.clear();
}

bool writer::take_next(net::steady_time started, std::shared_ptr<write_call>& out) {
  if (!retry_.empty()) {
    out = std::move(retry_.front());
    retry_.erase(retry_.begin());
    return true;
  }
  const auto age = clock::now() - started;
  const std::chrono::milliseconds turn(shared_.options.group_commit_max_ms);
  for (std::size_t i = 0; i < write_queue::kLanes; ++i) {
    const bool own_time =
        i == kInteractive ? age < turn : !lane_ran_[kInteractive] && age < turn * kSliceStretch;
    if (!own_time && lane_ran_[i]) continue;
    if (!own_time && lane_ran_[kInteractive] && !lane_waited_[i]) {
      lane_passed_[i] = true;
      continue;
    }
    out = queue_.take(static_cast<write_queue::lane>(i));
    if (!out) continue;
    lane_ran_[i] = true;
    return true;
  }
  return false;
}

void writer::run_group() {
  const auto started = clock::now();
  if (!ready()) {
    const net::error why =
        shared_.health.file_gone()
            ? shared_.health.file_error()
            : net::error(net::errc::down, "the database cannot be opened", shared_.health.text());
    fail_older(started, why);
    return;
  }
  if (auto begun = begin(started); !begun) {
    note_failure(begun.error());
    fail_older(started, begun.error());
    return;
  }
  group_.clear();
  group_rows_ = 0;
  lane_ran_.fill(false);
  lane_waited_ = std::exchange(lane_passed_, {});
  const auto began = clock::now();
  std::shared_ptr<write_call> call;
  while (take_next(began, call))
    if (!run_in_group(call)) return;
  if (group_.empty() && !restarted_) {
    roll_back();
    return;
  }
  auto position = commit();
  if (!position) {
    note_failure(position.error());
    fail_group(position.error());
    return;
  }
  finish_group(*position, began);
}

row_writer::ending writer::run_batch(const write_call& call, bool several) {
  shared_.metrics.batches.add();
  try {
    return rows_->run(call.batch, several, call.rows_alone);
  } catch (...) {
    perf::log_caught("a write threw");
    return {net::caught_error("a write threw"), row_writer::aftermath::undo_all};
  }
}

bool writer::run_in_group(const std::shared_ptr<write_call>& call) {
  current_ = call;
  row_writer::ending made = run_batch(*call, false);
  group_.push_back(call);
  current_ = nullptr;
  if (made.what == row_writer::aftermath::again_alone) {
    call->rows_alone = true;
    retry_group();
    return false;
  }
  const bool failed = !made.outcome;
  const net::errc code = failed ? made.outcome.error().code : net::errc::internal;
  const bool lost = sqlite3_get_autocommit(db_.get()) != 0;
  if (failed && code != net::errc::conflict && code != net::errc::invalid &&
      (lost || breaks_connection(code) || code == net::errc::locked)) {
    roll_back();
    note_failure(made.outcome.error());
    fail_group(made.outcome.error());
    return false;
  }
  if (failed && code == net::errc::disk_full)
    shared_.health.trouble(store_health::part::writes, made.outcome.error().text());
  call->answer.emplace(std::move(made.outcome));
  // Also when a trigger or conflict clause of the owner ended the transaction of all.
  if (lost || made.what == row_writer::aftermath::undo_all) {
    if (!failed) {
      (*call->answer)->position = shared_.front.watermark();
      count(**call->answer, call->batch);
    }
    current_ = call;
    group_.pop_back();
    retry_group();
    current_ = nullptr;
    complete(call);
    return false;
  }
  group_rows_ += call->weight_rows;
  return true;
}

void writer::retry_group() {
  roll_back();
  for (auto& other : group_) other->answer.reset();
  retry_.insert(retry_.begin(), std::make_move_iterator(group_.begin()),
                std::make_move_iterator(group_.end()));
  group_.clear();
}

void writer::fail_group(const net::error& why) noexcept {
  for (const auto& call : group_) fail(call, why);
  group_.clear();
}

void writer::finish_group(std::int64_t position, net::steady_time started) noexcept {
  for (auto& call : group_) {
    if (call->answer->has_value()) {
      (*call->answer)->position = position;
      count(**call->answer, call->batch);
    }
    shared_.metrics.write_time.record_us(us_since(call->queued_at));
    complete(call);
  }
  group_.clear();
  queue_.learn(group_rows_, us_since(started));
}

void writer::count(const write_outcome& outcome, const write_batch& batch) noexcept {
  std::uint64_t written = 0;
  std::uint64_t rejected = 0;
  for (const row_result& row : outcome.rows) {
    if (row.what == fate::created || row.what == fate::updated || row.what == fate::removed) ++written;
    if (row.what == fate::rejected) ++rejected;
  }
  if (batch.dry_run || (batch.all_or_nothing && rejected > 0)) written = 0;
  shared_.metrics.rows_written.add(written);
  shared_.metrics.rows_rejected.add(rejected);
  shared_.rows_written.fetch_add(written, std::memory_order_relaxed);
}

void writer::run_chore() {
  const write_chore chore = queue_.take_chore();
  if (!chore || !ready()) return;
  sqlite3_busy_timeout(db_.get(), kChoreBusyMs);
  chore(db_);
  const int ended = sqlite3_errcode(db_.get());
  if (breaks_connection(sqlite_error(db_.get(), ended, {}).code)) broken_ = true;
  roll_back();
  auto told = shared_.front.advance(db_);
  if (!told) {
    perf::log_error("the feed could not be read after a chore", {{"why", told.error().text()}});
  } else if (*told == feed_front::step::went_back) {
    run_group();  // begin() records the new generation, whether or not a batch waits
  }
}

void writer::run_transaction() {
  const auto call = queue_.take_begin();
  if (!call) return;
  current_ = call;
  const auto refuse = [&](const net::error& why) {
    current_ = nullptr;
    fail(call, why);
  };
  const auto started = clock::now();
  if (call->dead(started)) return refuse(net::error(net::errc::timed_out, "the deadline passed"));
  if (queue_.stopping()) return refuse(net::error(net::errc::closed, "the store is stopping"));
  if (!ready())
    return refuse(net::error(net::errc::down, "the database cannot be opened", shared_.health.text()));
  if (auto begun = begin(started); !begun) {
    note_failure(begun.error());
    return refuse(begun.error());
  }
  if (call->dead(clock::now())) {  // it waited for a lock, and nobody for it
    roll_back();
    restarted_ = false;
    return refuse(net::error(net::errc::timed_out, "the deadline passed"));
  }
  const std::uint64_t id = next_transaction_++;
  queue_.open_transaction(id);
  call->answer.emplace(id);
  current_ = nullptr;
  complete(call);
  const std::chrono::milliseconds idle(shared_.options.transaction_idle_ms);
  std::optional<transaction_step> step = first_step(*call, idle);
  for (; step; step = queue_.wait_step(idle))
    if (!run_step(*step)) return;
  close_transaction(
      net::error(net::errc::closed, "the transaction was idle for too long and is rolled back"));
}

// Who asked may have left before it had the answer: then none will ever come.
std::optional<transaction_step> writer::first_step(const begin_call& from, std::chrono::milliseconds idle) {
  const auto until = clock::now() + idle;
  for (;;) {
    auto step = queue_.wait_step(std::min(idle, kAbandonedLook));
    if (step || queue_.stopping() || clock::now() >= until) return step;
    if (from.abandoned.load(std::memory_order_relaxed)) return std::nullopt;
  }
}

// Rolls back if anything is open, and tells whoever still waits.
void writer::close_transaction(const net::error& why) noexcept {
  if (db_) roll_back();
  restarted_ = false;
  queue_.close_transaction();
  while (const auto left = queue_.take_step()) {
    if (left->write) {
      fail(left->write, why);
    } else {
      fail(left->end, why);
    }
  }
}

// False when the transaction has ended.
bool writer::run_step(const transaction_step& step) {
  const net::error ended(net::errc::closed, "the transaction has ended");
  if (step.end) {
    current_ = step.end;
    net::result<std::int64_t> made = shared_.front.watermark();
    if (step.end->commit) {
      made = commit();
      if (!made && made.error().code != net::errc::conflict) note_failure(made.error());
    }
    step.end->answer.emplace(std::move(made));
    current_ = nullptr;
    close_transaction(ended);
    complete(step.end);
    return false;
  }
  const auto& call = step.write;
  current_ = call;
  // Its caller no longer knows whether it happened, so the transaction as a whole does not.
  if (call->dead(clock::now())) {
    current_ = nullptr;
    fail(call, net::error(net::errc::timed_out, "the deadline passed"));
    close_transaction(ended);
    return false;
  }
  row_writer::ending made = run_batch(*call, true);
  const bool over = sqlite3_get_autocommit(db_.get()) != 0 || made.what != row_writer::aftermath::kept ||
                    (!made.outcome && breaks_connection(made.outcome.error().code));
  if (made.outcome) {
    made.outcome->position = shared_.front.watermark();
    count(*made.outcome, call->batch);
  } else if (over) {
    note_failure(made.outcome.error());
  }
  call->answer.emplace(std::move(made.outcome));
  current_ = nullptr;
  if (over) close_transaction(ended);
  complete(call);
  return !over;
}

}  // namespace syncline::storage::sqlite
