#include "server/bulk_upload.h"

#include <algorithm>
#include <atomic>

#include "net/core/turn.h"
#include "server/admission.h"
#include "server/bulk_figures.h"
#include "server/idempotency.h"
#include "server/problems.h"
#include "server/query.h"
#include "server/routes.h"

namespace syncline::server {
namespace {

using net::errc;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kReportAfter{5};  // of silence

// A batch found its key's record elsewhere: another node is at work with it, or a batch before it failed.
bool moved(const net::error& why) {
  return why.code == errc::conflict && why.what == "idempotency-key-moved";
}

// The types are those of docs/api.md, with bad-body for what is no gzip, no chunks or no CSV.
std::string_view problem_type_of(const net::error& why, bool has_key) {
  switch (why.code) {
    case errc::overloaded:
      return "overloaded";
    case errc::locked:
      return "database-locked";
    case errc::disk_full:
      return "disk-full";
    case errc::down:
      return "storage-down";
    case errc::schema_mismatch:
      return "schema-mismatch";
    case errc::too_large:
      return "body-too-large";
    case errc::timed_out:
      return "timed-out";
    case errc::corrupt:
      return "corrupt";
    case errc::invalid:
      return "bad-body";
    case errc::conflict:
      if (moved(why)) return "idempotency-in-progress";
      return has_key ? "idempotency-key-reused" : "conflict";
    default:
      return "internal";
  }
}

}  // namespace

// How many batches of all uploads are in the store at once: a quarter of SQLite's queue; on MySQL what keeps
// the connections busy while as many again wait.
std::uint32_t batches_at_once(const config& settings) {
  if (settings.engine == "mysql") return settings.mysql.connections_max * 2;
  return std::max(1U, settings.sqlite.write_queue_limit_rows / 4 / std::max(1U, settings.bulk.batch_rows));
}

// Uploads take turns, so that a hundred of them at a time are slower, and none is told that a queue is full.
class bulk_turn {
 public:
  bulk_turn() = default;
  ~bulk_turn() { give_back(); }
  void give_back() noexcept {
    if (std::exchange(held_, false)) taken_.fetch_sub(1, std::memory_order_relaxed);
  }
  bulk_turn(const bulk_turn&) = delete;
  bulk_turn& operator=(const bulk_turn&) = delete;
  [[nodiscard]] bool take(const config& settings) {
    held_ = taken_.fetch_add(1, std::memory_order_relaxed) < batches_at_once(settings);
    if (!held_) taken_.fetch_sub(1, std::memory_order_relaxed);
    return held_;
  }

 private:
  static inline std::atomic<std::uint32_t> taken_{0};
  bool held_ = false;
};

// A batch on its way through the store, with a context of its own so that input is read meanwhile.
struct bulk_session::flight {
  explicit flight(net::core& on) : context(on, net::work_class::bulk), landed(on) {}
  net::request_context context;
  net::event landed;
  bulk_turn turn;
  bulk_batch batch;
  std::optional<net::result<storage::write_outcome>> outcome;
};

bulk_session::bulk_session(const services& with, net::http::exchange& x, bulk_request request)
    : with_(&with),
      x_(&x),
      request_(std::move(request)),
      body_(x, request_.gzip, with.settings->bulk.body_bytes_max),
      reader_(
          std::make_unique<bulk_reader>(*request_.of, request_.format, request_.kind, with.settings->bulk)),
      report_(with.settings->bulk.rejected_reported_max),
      batch_(reader_->new_batch()),
      landing_(x.context().on(), net::work_class::bulk) {}

net::task<void> bulk_session::run() {
  if (!request_.idempotency_key.empty()) {
    auto done = co_await recall();
    if (!done) co_return co_await end_with(done.error());
    if (*done) co_return;
  }
  net::result<void> ended;
  if (request_.atomic) {
    ended = co_await run_atomic();
  } else {
    ended = co_await run_straight();
    if (!ended) co_await land_rest();
  }
  if (!ended) co_return co_await end_with(ended.error());
  auto sent = co_await send_report();
  if (sent) x_->end();
}

net::task<net::result<bool>> bulk_session::recall() {
  auto known = co_await with_->store->recall(x_->context(), request_.idempotency_key);
  if (!known) co_return net::result<bool>(known.error());
  if (!*known) co_return net::result<bool>(false);
  const storage::idempotency& before = **known;
  if (before.fingerprint != request_.fingerprint) {
    co_return net::result<bool>(
        net::error(errc::conflict, "this Idempotency-Key was used for a different upload"));
  }
  const auto space = before.saved.find(' ');
  if (space == std::string::npos ||
      !report_.total().parse(std::string_view(before.saved).substr(space + 1))) {
    co_return net::result<bool>(net::error(errc::corrupt, "what this Idempotency-Key did cannot be read"));
  }
  resume_hash_ = std::strtoull(before.saved.c_str(), nullptr, 16);
  resume_line_ = remembered_lines_ = settled_lines_ = before.lines_done;
  resume_checked_ = resume_line_ == 0;
  reader_->skip_through(resume_line_);
  if (!before.complete) co_return net::result<bool>(false);
  report_.summary(true, "replayed");
  auto sent = co_await send_report();
  if (sent) x_->end();
  co_return net::result<bool>(true);
}

net::task<net::result<void>> bulk_session::run_straight() {
  net::turn mine;
  for (;;) {
    const auto got = reader_->fill(batch_, kRowsBeforePause);
    if (!resume_checked_ && reader_->lines() >= resume_line_) {
      if (reader_->lines() != resume_line_ || reader_->prefix_hash() != resume_hash_)
        co_return net::error(errc::conflict, "this Idempotency-Key was used for different rows");
      resume_checked_ = true;
    }
    switch (got) {
      case bulk_reader::got::paused:
        co_await mine.give_way();
        break;
      case bulk_reader::got::bad_header:
        co_return net::error(errc::invalid, "bad CSV header", reader_->header_fault());
      case bulk_reader::got::need_more: {
        auto fed = co_await feed();
        if (!fed) co_return fed.error();
        mine.restart();
        break;
      }
      case bulk_reader::got::batch_full: {
        auto taken = co_await take_batch();
        if (!taken) co_return taken.error();
        mine.restart();
        break;
      }
      case bulk_reader::got::end: {
        if (!resume_checked_)
          co_return net::error(errc::conflict, "this Idempotency-Key was used for a longer upload");
        auto taken = co_await take_batch();
        if (!taken) co_return taken.error();
        auto landed = co_await land_all();
        if (!landed) co_return landed.error();
        auto completed = co_await remember_completion(0);
        if (!completed) co_return completed.error();
        report_.summary(true, request_.dry_run ? "dry run: nothing was written" : "");
        co_return net::result<void>();
      }
    }
  }
}

// A client that sends nothing for a moment may be waiting for its report, so what was written is reported. A
// moment, because a client that is only a little slower than we parse should not wait for each commit.
net::task<net::result<void>> bulk_session::feed() {
  std::optional<net::result<std::string_view>> piece = body_.try_next();
  while (!piece && !flying_.empty()) {
    if (flying_.front()->outcome || !co_await x_->body_arrives(steady_clock::now() + kReportAfter)) {
      auto landed = co_await land_first();
      if (!landed) co_return landed.error();
    }
    piece = body_.try_next();
  }
  if (!piece) piece.emplace(co_await body_.next());
  if (!*piece) co_return piece->error();
  (*piece)->empty() ? reader_->finish() : reader_->feed(**piece);
  co_return net::result<void>();
}

// The record a finished upload is answered from when its key comes again; it needs the counters of the last
// batch, so it is a write of its own.
net::task<net::result<void>> bulk_session::remember_completion(std::uint64_t transaction) {
  if (request_.idempotency_key.empty() || request_.dry_run) co_return net::result<void>();
  bulk_batch marker = reader_->new_batch();
  remember(marker, true);
  marker.rows.transaction = transaction;
  storage::write_batch rows = std::move(marker.rows);
  auto outcome = co_await with_->store->write(x_->context(), std::move(rows));
  if (!outcome) co_return outcome.error();
  co_return net::result<void>();
}

// The batch's counters are added inside its transaction, so that a resumed upload counts what was stored and
// never told.
auto bulk_session::folding(const bulk_batch& batch)
    -> std::function<std::string(std::string_view, const storage::write_outcome&)> {
  return [hash = batch.prefix_hash, refused = batch.rejected.size()](std::string_view before,
                                                                     const storage::write_outcome& made) {
    bulk_counters total;
    if (const auto space = before.find(' '); space != std::string_view::npos)
      (void)total.parse(before.substr(space + 1));
    total.add(counters_of(made));
    total.rejected += refused;
    return fmt::format("{:016x} {}", hash, total.text());
  };
}

void bulk_session::remember(bulk_batch& batch, bool complete) {
  if (request_.idempotency_key.empty() || request_.dry_run) return;
  storage::idempotency what;
  what.key = request_.idempotency_key;
  what.fingerprint = request_.fingerprint;
  what.lines_done = batch.lines_done;
  what.lines_before = std::exchange(remembered_lines_, batch.lines_done);
  what.complete = complete;
  what.saved = fmt::format("{:016x} {}", batch.prefix_hash, report_.total().text());
  if (!complete) what.fold = folding(batch);
  batch.rows.remember = std::move(what);
}

net::task<net::result<void>> bulk_session::take_batch() {
  while (!flying_.empty() && (flying_.size() >= kFlightsMax || flying_.front()->outcome)) {
    auto landed = co_await land_first();
    if (!landed) co_return landed.error();
  }
  bulk_batch full = std::move(batch_);
  batch_ = reader_->new_batch();
  remember(full, false);
  full.rows.dry_run = request_.dry_run;
  if (full.rows.row_count == 0 && !full.rows.remember) {
    if (full.rejected.empty()) co_return net::result<void>();
    auto landed = co_await land_all();
    if (!landed) co_return landed.error();
    const storage::write_outcome nothing;
    report_landed(full, nothing);
    co_return co_await send_report();
  }
  co_return co_await launch(std::move(full));
}

net::task<net::result<void>> bulk_session::launch(bulk_batch full) {
  auto next = std::make_shared<flight>(x_->context().on());
  next->batch = std::move(full);
  // Each batch looks whether its key's record is where the one before it left it.
  if (next->batch.rows.remember && !with_->store->keeps_write_order()) {
    auto landed = co_await land_all();
    if (!landed) co_return landed.error();
  }
  while (!next->turn.take(*with_->settings)) {
    net::result<void> waited;
    if (flying_.empty()) {
      waited = co_await net::sleep_until(x_->context(), steady_clock::now() + milliseconds(2));
    } else {
      waited = co_await land_first();
    }
    if (!waited) co_return waited.error();
  }
  net::spawn(x_->context().on(), fly(with_, next));
  flying_.push_back(std::move(next));
  co_return net::result<void>();
}

net::task<void> bulk_session::fly(const services* with, std::shared_ptr<flight> what) {
  storage::write_batch rows = std::move(what->batch.rows);
  auto outcome = co_await with->store->write(what->context, std::move(rows));
  what->outcome.emplace(std::move(outcome));
  what->landed.notify();
}

net::task<net::result<void>> bulk_session::land_all() {
  while (!flying_.empty()) {
    auto landed = co_await land_first();
    if (!landed) co_return landed.error();
  }
  co_return net::result<void>();
}

// Also when the client is gone: its Idempotency-Key is at work until the last batch has landed.
net::task<void> bulk_session::land_rest() {
  while (!flying_.empty()) {
    const std::shared_ptr<flight> what = std::move(flying_.front());
    flying_.pop_front();
    if (!what->outcome) (void)co_await what->landed.wait(landing_);
    if (what->outcome && *what->outcome) {
      report_landed(what->batch, **what->outcome);
    } else {
      lost_batch_ = true;
    }
  }
  if (!report_.text().empty()) (void)co_await send_report();
}

net::task<net::result<void>> bulk_session::land_first() {
  if (!flying_.front()->outcome) {
    auto waited = co_await flying_.front()->landed.wait(x_->context());
    if (!waited) co_return waited.error();
  }
  const std::shared_ptr<flight> what = std::move(flying_.front());
  flying_.pop_front();
  what->turn.give_back();
  if (!*what->outcome) {
    lost_batch_ = true;
    co_return what->outcome->error();
  }
  report_landed(what->batch, **what->outcome);
  co_return co_await send_report();
}

// A batch behind one that was lost is stored and told, but the lines between are not settled.
void bulk_session::report_landed(bulk_batch& batch, const storage::write_outcome& outcome) {
  if (batch.numbers.empty() && batch.rejected.empty()) return;
  if (lost_batch_) {
    batch.lines_done = settled_lines_;
  } else {
    settled_lines_ = batch.lines_done;
  }
  const auto rejected_before = report_.total().rejected;
  report_.batch(batch, outcome);
  const auto rejected = report_.total().rejected - rejected_before;
  bulk_counts().rejected.add(rejected);
  bulk_counts().rows.add(batch.numbers.size() + batch.rejected.size() - rejected);
}

void bulk_session::begin() {
  if (begun_) return;
  begun_ = true;
  net::http::header_block headers;
  headers.add("Cache-Control", "no-store").add("X-Accel-Buffering", "no");
  if (report_.total().position > 0)
    headers.add("Syncline-Position", fmt::to_string(report_.total().position));
  x_->begin({.status = 200, .content_type = "application/x-ndjson", .headers = headers.text()});
}

net::task<net::result<void>> bulk_session::send_report() {
  if (report_.text().empty()) co_return net::result<void>();
  begin();
  auto written = co_await x_->write(report_.text());
  report_.text().clear();
  if (!written) co_return written.error();
  co_return co_await x_->flush();
}

net::task<void> bulk_session::end_with(const net::error& why) {
  if (why.code == errc::closed || why.code == errc::cancelled) co_return;
  // A body that does not arrive (nothing else in an upload has a deadline): the HTTP stack says 408.
  if (why.code == errc::timed_out && !begun_) co_return;
  const net::error failure = why;
  const bool has_key = !request_.idempotency_key.empty();
  if (!begun_) {
    if (moved(failure)) {
      answer_problem(*x_, 409, "idempotency-in-progress", "The same Idempotency-Key is at work",
                     failure.text());
    } else if (failure.code == errc::conflict && has_key) {
      answer_problem(*x_, 422, "idempotency-key-reused", "Idempotency-Key reused", failure.text());
    } else if (failure.code == errc::invalid) {
      answer_problem(*x_, 400, "bad-body", "The body cannot be read", failure.text());
    } else if (failure.code == errc::too_large) {
      answer_problem(*x_, 413, "body-too-large", "The body is over its limit", failure.text());
    } else {
      answer_error(*x_, failure);
    }
    co_return;
  }
  report_.failure(problem_type_of(failure, has_key), failure.text());
  auto sent = co_await send_report();
  if (sent) x_->end();
}

net::task<void> bulk_upload(const services& with, net::http::exchange& x, const storage::resource& of) {
  if (!of.write.bulk) co_return answer_method_not_allowed(x, "OPTIONS");
  x.context().set_work(net::work_class::bulk);
  x.context().set_deadline(net::steady_time::max());
  auto request = read_bulk_request(x, of);
  if (!request) co_return;
  const admission admitted(long_work::upload, with.settings->bulk.uploads_max);
  if (!admitted) {
    net::error full(errc::overloaded, "too many uploads at once");
    full.retry_after_ms = 1000;
    co_return answer_error(x, full);
  }
  auto key = read_idempotency_key(x);
  if (!key) co_return answer_error(x, key.error());
  static requests_in_progress in_progress;
  std::optional<requests_in_progress::claim> claim;
  if (*key) {
    request->idempotency_key = **key;
    claim.emplace(in_progress, **key);
    if (!*claim)
      co_return answer_problem(x, 409, "idempotency-in-progress", "The same Idempotency-Key is at work",
                               "wait for the first request to end");
  }
  auto session = std::make_unique<bulk_session>(with, x, std::move(*request));
  co_await session->run();
}

}  // namespace syncline::server
