#include "storage/mysql/sequencer.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include "net/core/core.h"
#include "net/core/event.h"
#include "net/core/remote_event.h"
#include "perf/log.h"
#include "perf/metrics.h"
#include "storage/mysql/clock_hold.h"
#include "storage/mysql/feed_round.h"
#include "storage/mysql/server_error.h"
#include "storage/mysql/text_rows.h"

namespace syncline::storage::mysql {

namespace {

using steady = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kBackoffFirst{50};
constexpr std::chrono::milliseconds kBackoffMax{2000};
// A failure is tried again once before those who wait are told of it.
constexpr int kFailuresHidden = 1;

// One caller of settle(): he waits for `done` on his core, the answer is written before it is notified.
struct settle_call {
  explicit settle_call(net::core& on) : done(on) {}
  net::remote_event done;
  std::optional<net::result<std::int64_t>> answer;
  std::optional<std::uint64_t> upto;  // pending ids that must have been read
};
using settle_ptr = std::shared_ptr<settle_call>;

void complete(const settle_ptr& call, net::result<std::int64_t> with) noexcept {
  call->answer.emplace(std::move(with));
  call->done.notify(call);
}

struct feed_metrics {
  perf::counter rounds = perf::metrics::add_counter("syncline_mysql_feed_rounds_total",
                                                    "Transactions in which the sequencer held the clock.");
  perf::counter entries = perf::metrics::add_counter("syncline_mysql_feed_entries_total",
                                                     "Entries that this node's sequencer numbered.");
  perf::counter failures = perf::metrics::add_counter("syncline_mysql_feed_failures_total",
                                                      "Rounds and looks of the sequencer that failed.");
  perf::counter restarts = perf::metrics::add_counter(
      "syncline_mysql_feed_generations_total",
      "Times the feed's history or its server was found to be another, or to have begun anew.");
  perf::histogram round_time =
      perf::metrics::add_histogram("syncline_mysql_feed_round_seconds", "A round of the sequencer.");
  perf::gauge& pending =
      perf::metrics::add_gauge("syncline_mysql_feed_pending_rows",
                               "Rows left in syncline_pending after the last round, estimated by ids.");
};

std::int64_t now_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(steady::now().time_since_epoch()).count();
}

}  // namespace

struct sequencer::state {
  state(net::core& core, const mysql_options& with, const catalog& resources, connection_maker maker)
      : on(core), options(with), all(resources), connect(std::move(maker)), context(core), wake(core) {
    options.feed_round_rows = std::clamp(options.feed_round_rows, 1U, kRoundRowsMax);
  }

  // On the core.
  void join(settle_ptr call);
  void end();
  net::task<void> run_until_stopped();
  net::task<net::result<void>> connected();
  net::task<net::result<void>> look_at_server();
  net::task<net::result<bool>> step();
  net::task<net::result<bool>> look();
  net::task<net::result<bool>> round();
  net::task<net::result<bool>> history_went_back(generation newest);
  net::task<net::result<bool>> resources_changed(std::int64_t sum);
  void tell(std::int64_t seq, bool everything, const std::vector<feed_place>& others,
            const std::vector<feed_place>& entered);
  void append_items(const std::vector<feed_place>& places,
                    const std::unordered_map<std::int64_t, std::uint32_t>& ordinals, change_notice& to) const;
  void answer_waiting(const round_result& of);
  void note_server(const feed_clock& clock);
  void now_in(generation newest);
  void failed(const net::error& why);
  void recovered();
  [[nodiscard]] std::shared_ptr<const std::vector<resource_row>> known_rows() const {
    const std::lock_guard lock(mutex);
    return rows;
  }
  [[nodiscard]] bool listened() {
    const std::lock_guard lock(telling);
    return listener != nullptr;
  }
  [[nodiscard]] net::steady_time step_deadline() const {
    return steady::now() + std::chrono::seconds(options.lock_wait_timeout_s + 5);
  }

  net::core& on;
  mysql_options options;
  const catalog& all;
  connection_maker connect;
  net::request_context context;
  net::event wake;
  std::unique_ptr<sql_connection> db;
  std::vector<settle_ptr> waiting;
  std::int64_t told = 0;
  generation known;    // the newest that was seen
  std::string server;  // its uuid; empty: not seen yet
  std::function<void()> other_server;
  std::int64_t incarnations = -1;
  int failures = 0;
  std::int64_t server_began = -1;  // unix seconds; 0: it does not say
  bool server_restarted = false;   // since the last round that was committed
  bool stopping = false;
  feed_metrics metrics;
  std::uint64_t lag_gauge = 0;

  // Any thread.
  std::atomic<std::int64_t> watermark{0};
  std::atomic<std::int64_t> horizon{0};
  std::atomic<std::int64_t> generation_id{0};
  std::atomic<bool> well{true};
  std::atomic<std::int64_t> drained_us{0};
  mutable std::mutex mutex;
  std::shared_ptr<const std::vector<resource_row>> rows = std::make_shared<const std::vector<resource_row>>();
  std::string why;
  std::mutex telling;  // held while the listener is called, so that set_listener() waits for that
  feed_listener* listener = nullptr;
  std::atomic<bool> running{false};
};

void sequencer::state::join(settle_ptr call) {
  if (stopping || !running) {
    complete(call, net::error(net::errc::down, "the store is stopping"));
    return;
  }
  try {
    waiting.push_back(call);
  } catch (...) {
    complete(call, net::caught_error("the feed cannot be waited for"));
  }
  wake.notify();
}

net::task<net::result<void>> sequencer::state::connected() {
  if (db != nullptr && !db->broken()) co_return net::result<void>();
  db.reset();
  context.set_deadline(step_deadline());
  auto connecting = connect(context);
  net::result<std::unique_ptr<sql_connection>> made = co_await std::move(connecting);
  if (!made) co_return made.error();
  db = std::move(*made);
  auto looking = look_at_server();
  net::result<void> looked = co_await std::move(looking);
  if (!looked) co_return looked;
  // A node that hangs, or whose network is cut, in the middle of a round must not keep the clock from others.
  auto bounding = bound_silence(context, *db);
  co_return co_await std::move(bounding);
}

// What was read before may be gone while the clock stands where it stood: a server that restarted without its
// last commits, which we had not numbered.
net::task<net::result<void>> sequencer::state::look_at_server() {
  auto asking = query(context, *db,
                      "SELECT CAST(UNIX_TIMESTAMP()-VARIABLE_VALUE AS SIGNED) FROM "
                      "performance_schema.global_status WHERE VARIABLE_NAME='Uptime'");
  net::result<text_rows> got = co_await std::move(asking);
  if (!got && server_code(got.error()) == 0) co_return got.error();
  const std::int64_t began = got && got->size() == 1 ? got->front().integer(0) : 0;
  const std::int64_t before = std::exchange(server_began, began);
  const bool same = began != 0 && std::abs(began - before) <= 1;
  server_restarted = server_restarted || (before != -1 && !same);
  co_return net::result<void>();
}

// Also where another node has begun the generation for it.
void sequencer::state::note_server(const feed_clock& clock) {
  const bool other =
      clock.server != clock.server_is_now || (!server.empty() && server != clock.server_is_now);
  server = clock.server_is_now;
  if (other && other_server) other_server();
}

// Whether something other than a plain continuation has happened since the generation we know.
net::task<net::result<bool>> sequencer::state::history_went_back(generation newest) {
  if (newest == known) co_return false;
  bool back = false;
  if (known.id != 0) {
    auto asking = query(
        context, *db,
        fmt::format("SELECT COALESCE(MAX(number={0} AND id={1}),0), COALESCE(MIN(IF(number>{0},first_seq,"
                    "NULL)),{2}) FROM syncline_generation",
                    known.number, known.id, told));
    net::result<text_rows> since = co_await std::move(asking);
    if (!since) co_return since.error();
    // One that is not there any more belongs to a history that was lost.
    back = since->front().integer(0) == 0 || since->front().integer(1) < told;
  }
  now_in(newest);
  co_return back;
}

void sequencer::state::now_in(generation newest) {
  known = newest;
  generation_id.store(newest.id, std::memory_order_release);
}

// Whether a resource has started over, here or by the doing of another node; the new rows are published then.
net::task<net::result<bool>> sequencer::state::resources_changed(std::int64_t sum) {
  if (sum == incarnations) co_return false;
  auto reading = resource_rows(context, *db, all);
  net::result<std::vector<resource_row>> read = co_await std::move(reading);
  if (!read) co_return read.error();
  incarnations = sum;
  const std::lock_guard lock(mutex);
  const bool same = std::equal(read->begin(), read->end(), rows->begin(), rows->end(),
                               [](const resource_row& a, const resource_row& b) {
                                 return a.id == b.id && a.incarnation == b.incarnation;
                               });
  if (same) co_return false;
  rows = std::make_shared<const std::vector<resource_row>>(std::move(*read));
  co_return true;
}

// Nothing waits and, as far as we know, nothing is pending. True: a round is needed.
net::task<net::result<bool>> sequencer::state::look() {
  auto looking = look_at_feed(context, *db);
  net::result<feed_clock> clock = co_await std::move(looking);
  if (!clock) co_return clock.error();
  if (clock->pending_max != 0 || clock->read_only || history_broke(*clock, told)) co_return true;
  note_server(*clock);
  auto asking = history_went_back(clock->newest);
  net::result<bool> back = co_await std::move(asking);
  if (!back) co_return back.error();
  auto comparing = resources_changed(clock->incarnations);
  net::result<bool> over = co_await std::move(comparing);
  if (!over) co_return over.error();
  horizon.store(clock->horizon, std::memory_order_relaxed);
  drained_us.store(now_us(), std::memory_order_relaxed);
  bool everything = *back || *over;
  if (clock->seq == told && !everything) co_return false;
  std::vector<feed_place> others;
  if (!everything && listened()) {
    auto reading = places_after(context, *db, told, kNoticeItemsMax);
    net::result<std::vector<feed_place>> read = co_await std::move(reading);
    if (!read) co_return read.error();
    everything = read->size() > static_cast<std::size_t>(kNoticeItemsMax);
    others = std::move(*read);
  }
  tell(clock->seq, everything, others, {});
  co_return false;
}

net::task<net::result<bool>> sequencer::state::round() {
  const std::size_t joined = waiting.size();
  const auto begun = steady::now();
  const round_bounds bounds{options.feed_round_rows,
                            listened() ? static_cast<std::size_t>(kNoticeItemsMax) : 0, server_restarted};
  auto running_round = run_round(context, *db, told, bounds);
  net::result<round_result> done = co_await std::move(running_round);
  if (!done) co_return done.error();
  const round_result& r = *done;
  server_restarted = false;
  note_server(r.before);
  const auto took = std::chrono::duration_cast<std::chrono::microseconds>(steady::now() - begun).count();
  metrics.rounds.add();
  metrics.entries.add(r.entered.size());
  metrics.round_time.record_us(static_cast<std::uint64_t>(took));
  const bool more = r.rows_read == options.feed_round_rows;
  metrics.pending.set(
      more ? static_cast<std::int64_t>(r.before.pending_max - std::min(r.before.pending_max, r.last_id)) : 0);
  if (!more) drained_us.store(now_us(), std::memory_order_relaxed);

  bool everything = r.restarted || r.others_too_many;
  if (r.restarted) {
    metrics.restarts.add();
    perf::log_warn("the feed begins a new generation",
                   {{"seq", r.before.seq}, {"told", told}, {"server", r.before.server_is_now}});
    now_in(r.newest);
  } else {
    auto asking = history_went_back(r.newest);
    net::result<bool> back = co_await std::move(asking);
    // The round is committed, so what cannot be asked counts as the worst.
    everything = everything || !back || *back;
    if (!back) now_in(r.newest);
  }
  auto comparing = resources_changed(r.before.incarnations);
  net::result<bool> over = co_await std::move(comparing);
  everything = everything || !over || *over;
  horizon.store(r.before.horizon, std::memory_order_relaxed);
  if (r.seq != told || everything) tell(r.seq, everything, r.others, r.entered);
  for (std::size_t i = 0; i < joined; ++i)
    if (!waiting[i]->upto) waiting[i]->upto = r.before.pending_max;
  answer_waiting(r);
  co_return more;
}

void sequencer::state::answer_waiting(const round_result& of) {
  const bool drained = of.rows_read < options.feed_round_rows;
  std::erase_if(waiting, [&](settle_ptr& call) {
    // Those who came while the round was under way have no number yet: the next one is theirs.
    if (!call->upto || (!drained && of.last_id < *call->upto)) return false;
    complete(call, told);
    return true;
  });
}

void sequencer::state::append_items(const std::vector<feed_place>& places,
                                    const std::unordered_map<std::int64_t, std::uint32_t>& ordinals,
                                    change_notice& to) const {
  for (const feed_place& p : places) {
    // An entry of a resource that the config does not name (any more) concerns nobody.
    const auto found = ordinals.find(p.resource);
    if (found == ordinals.end()) continue;
    to.items.push_back({found->second, is_primary_scope(all.at(found->second), p.scope), p.scope, p.key});
  }
}

void sequencer::state::tell(std::int64_t seq, bool everything, const std::vector<feed_place>& others,
                            const std::vector<feed_place>& entered) {
  told = seq;
  if (listened()) {
    auto notice = std::make_shared<change_notice>();
    notice->watermark = seq;
    notice->everything =
        everything || others.size() + entered.size() > static_cast<std::size_t>(kNoticeItemsMax);
    if (!notice->everything) {
      const auto named = known_rows();
      std::unordered_map<std::int64_t, std::uint32_t> ordinals;
      for (std::size_t i = 0; i < named->size(); ++i)
        if ((*named)[i].id != 0) ordinals[(*named)[i].id] = static_cast<std::uint32_t>(i);
      notice->items.reserve(others.size() + entered.size());
      for (const auto* places : {&others, &entered}) append_items(*places, ordinals, *notice);
    }
    const std::lock_guard lock(telling);
    if (listener != nullptr) listener->changed(notice);
  }
  watermark.store(seq, std::memory_order_release);
}

// True: go on at once.
net::task<net::result<bool>> sequencer::state::step() {
  auto connecting = connected();
  net::result<void> there = co_await std::move(connecting);
  if (!there) co_return there.error();
  context.set_deadline(step_deadline());
  if (waiting.empty() && !server_restarted) {
    auto looking = look();
    net::result<bool> needed = co_await std::move(looking);
    if (!needed || !*needed) co_return needed;
  }
  auto running_round = round();
  co_return co_await std::move(running_round);
}

void sequencer::state::failed(const net::error& error) {
  ++failures;
  metrics.failures.add();
  // A lock that was not to be had leaves the connection as it was: the round has rolled back.
  if (error.code != net::errc::locked) db.reset();
  if (failures <= kFailuresHidden) return;
  const std::string text = error.text();
  if (well.exchange(false)) perf::log_error("the feed does not move", {{"why", text}});
  {
    const std::lock_guard lock(mutex);
    why = text;
  }
  const net::error still(net::errc::down, "the feed does not move", text);
  for (const settle_ptr& call : std::exchange(waiting, {})) complete(call, net::copy_of(still));
}

void sequencer::state::recovered() {
  if (std::exchange(failures, 0) == 0) return;
  if (!well.exchange(true)) perf::log_info("the feed moves again", {{"watermark", told}});
  const std::lock_guard lock(mutex);
  why.clear();
}

net::task<void> sequencer::state::run_until_stopped() {
  while (!stopping) {
    net::result<bool> more(false);
    try {
      auto stepping = step();
      more = co_await std::move(stepping);
    } catch (...) {
      // Out of memory, most likely; the feed must not stand still for ever because of it.
      more = net::caught_error("a round of the feed broke off");
    }
    if (stopping) break;
    net::steady_time until = steady::now();
    if (!more) {
      failed(more.error());
      if (failures > kFailuresHidden)
        until +=
            std::min<std::chrono::milliseconds>(kBackoffMax, kBackoffFirst * (1 << std::min(failures, 6)));
    } else {
      recovered();
      if (*more || !waiting.empty()) continue;
      until += std::chrono::milliseconds(options.feed_poll_ms);
    }
    context.set_deadline(net::steady_time::max());
    static_cast<void>(co_await wake.wait(context, until));
  }
  end();
}

void sequencer::state::end() {
  db.reset();
  for (const settle_ptr& call : std::exchange(waiting, {}))
    complete(call, net::error(net::errc::down, "the store is stopping"));
}

sequencer::sequencer(net::core& on, const mysql_options& options, const catalog& all,
                     connection_maker connect)
    : state_(std::make_shared<state>(on, options, all, std::move(connect))),
      task_(
          on, "feed", [kept = state_] { return kept->run_until_stopped(); },
          [kept = state_] {
            kept->stopping = true;
            kept->context.cancel();
            kept->wake.notify();
          }) {}

sequencer::~sequencer() {
  stop();
}

void sequencer::start_at(std::int64_t watermark, std::int64_t horizon, std::vector<resource_row> resources) {
  state_->told = watermark;
  state_->watermark.store(watermark, std::memory_order_release);
  state_->horizon.store(horizon, std::memory_order_relaxed);
  const std::lock_guard lock(state_->mutex);
  state_->rows = std::make_shared<const std::vector<resource_row>>(std::move(resources));
}

void sequencer::set_listener(feed_listener* listener) {
  const std::lock_guard lock(state_->telling);
  state_->listener = listener;
}

void sequencer::on_other_server(std::function<void()> then) {
  state_->other_server = std::move(then);
}

void sequencer::start() {
  state& s = *state_;
  if (s.running.exchange(true)) return;
  s.drained_us.store(now_us(), std::memory_order_relaxed);
  s.lag_gauge = perf::metrics::add_gauge_callback(
      "syncline_mysql_feed_behind_seconds", "How long ago this node last saw the feed with nothing pending.",
      {},
      [&s] { return static_cast<double>(now_us() - s.drained_us.load(std::memory_order_relaxed)) / 1e6; });
  task_.start();
}

void sequencer::stop() {
  state& s = *state_;
  if (!s.running || s.lag_gauge == 0) return;
  perf::metrics::remove_gauge_callback(std::exchange(s.lag_gauge, 0));
  task_.stop();
}

net::task<net::result<std::int64_t>> sequencer::settle(net::request_context& context) {
  auto call = std::make_shared<settle_call>(context.on());
  state_->on.post([kept = state_, call] { kept->join(call); });
  net::result<void> waited = co_await call->done.wait(context);
  if (!waited) co_return waited.error();
  co_return std::move(*call->answer);
}

std::int64_t sequencer::watermark() const noexcept {
  return state_->watermark.load(std::memory_order_acquire);
}

std::int64_t sequencer::horizon() const noexcept {
  return state_->horizon.load(std::memory_order_relaxed);
}

std::int64_t sequencer::generation_id() const noexcept {
  return state_->generation_id.load(std::memory_order_acquire);
}

std::shared_ptr<const std::vector<resource_row>> sequencer::resources() const {
  return state_->known_rows();
}

bool sequencer::healthy() const noexcept {
  return state_->well.load(std::memory_order_relaxed);
}

std::string sequencer::trouble() const {
  const std::lock_guard lock(state_->mutex);
  return state_->why;
}

}  // namespace syncline::storage::mysql
