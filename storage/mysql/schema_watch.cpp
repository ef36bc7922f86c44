#include "storage/mysql/schema_watch.h"

#include <algorithm>
#include <atomic>
#include <mutex>

#include <fmt/format.h>

#include "net/core/core.h"
#include "net/core/event.h"
#include "perf/log.h"
#include "storage/mysql/migration.h"
#include "storage/mysql/text_rows.h"

namespace syncline::storage::mysql {

namespace {

// Of one look: it takes moments. Only what is mended may take as long as an index does (kWatchSilenceMs).
constexpr std::chrono::seconds kLookMax{60};

// What is known of the schema when a check begins.
struct seen {
  std::vector<resource_state> states;
  triggers_there triggers;
  std::vector<foreign_key> keys;
};

net::task<net::result<seen>> see(net::request_context& context, sql_connection& db) {
  seen out;
  auto reading_states = resource_states(context, db);
  net::result<std::vector<resource_state>> states = co_await std::move(reading_states);
  if (!states) co_return states.error();
  auto reading_triggers = read_triggers(context, db);
  net::result<triggers_there> triggers = co_await std::move(reading_triggers);
  if (!triggers) co_return triggers.error();
  auto reading_keys = read_foreign_keys(context, db);
  net::result<std::vector<foreign_key>> keys = co_await std::move(reading_keys);
  if (!keys) co_return keys.error();
  out.states = std::move(*states);
  out.triggers = std::move(*triggers);
  out.keys = std::move(*keys);
  co_return out;
}

enum class condition : std::uint8_t { well, broken, troubled };

net::task<net::result<condition>> judge(net::request_context& context, sql_connection& db, const resource& of,
                                        const seen& now, std::string& trouble) {
  const resource_state* state = find_state(now.states, of.name);
  if (state == nullptr || state->triggers.empty()) {
    trouble = fmt::format("resource {} is not migrated: run syncline migrate", of.name);
    co_return condition::troubled;
  }
  if (state->declaration != fmt::format("{:016x}", of.declaration_hash())) {
    trouble =
        fmt::format("resource {} was migrated with another declaration: restart this node with it", of.name);
    co_return condition::troubled;
  }
  auto planning = plan_resource(context, db, of, now.keys, state->id);
  net::result<resource_plan> plan = co_await std::move(planning);
  if (!plan) {
    if (plan.error().code != net::errc::schema_mismatch) co_return plan.error();
    trouble = plan.error().detail;
    co_return condition::troubled;
  }
  auto identifying = read_identity(context, db, of.table);
  net::result<table_identity> identity = co_await std::move(identifying);
  if (!identity) co_return identity.error();
  const bool all_there = std::all_of(plan->triggers.begin(), plan->triggers.end(),
                                     [&](const trigger_text& t) { return is_there(now.triggers, t); });
  const bool well = all_there && state->triggers == plan->hash && state->table.may_be(*identity) &&
                    !state->rows_left && !state->old_left &&
                    leftovers(now.triggers, plan->triggers, state->id).empty();
  if (!well) co_return condition::broken;
  // To make one is for whoever migrates: nodes may differ in what they search.
  if (of.search.empty() || has_search_index(of, plan->shape)) co_return condition::well;
  trouble = fmt::format(
      "the keyword index of resource {} is missing or covers other columns: run syncline migrate", of.name);
  co_return condition::troubled;
}

// What is broken now; what no node may make good here goes into `troubles`.
net::task<net::result<std::vector<const resource*>>> find_broken(net::request_context& context,
                                                                 sql_connection& db, const catalog& all,
                                                                 std::vector<std::string>& troubles) {
  const auto look_until = [] { return std::chrono::steady_clock::now() + kLookMax; };
  context.set_deadline(look_until());
  auto seeing = see(context, db);
  net::result<seen> now = co_await std::move(seeing);
  if (!now) co_return now.error();
  troubles.clear();
  std::vector<const resource*> broken;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const resource& of = all.at(i);
    if (!is_followed(of)) continue;
    std::string trouble;
    context.set_deadline(look_until());  // each has some statements of its own
    auto judging = judge(context, db, of, *now, trouble);
    net::result<condition> is = co_await std::move(judging);
    if (!is) co_return is.error();
    if (*is == condition::broken) broken.push_back(&of);
    if (*is == condition::troubled) troubles.push_back(std::move(trouble));
  }
  co_return broken;
}

net::task<net::result<void>> mend_locked(net::request_context& context, sql_connection& db, migration& m,
                                         const catalog& all, schema_findings& out) {
  // Whoever had the lock until now may have made it good, or have migrated to another declaration.
  auto finding = find_broken(context, db, all, out.troubles);
  net::result<std::vector<const resource*>> broken = co_await std::move(finding);
  if (!broken) co_return broken.error();
  context.set_deadline(net::steady_time::max());
  auto reading = read_foreign_keys(context, db);
  net::result<std::vector<foreign_key>> keys = co_await std::move(reading);
  if (!keys) co_return keys.error();
  for (const resource* of : *broken) {
    for (const resource* beside : *broken) {
      if (!same_name(beside->table, of->table)) continue;
      auto indexing = m.place_index(context, *beside);
      net::result<void> indexed = co_await std::move(indexing);
      if (!indexed) co_return indexed;
    }
    auto installing = m.install(context, *of, *keys);
    net::result<void> installed = co_await std::move(installing);
    if (!installed) co_return installed;
    auto finishing = m.finish(context, *of, {});
    net::result<void> finished = co_await std::move(finishing);
    if (!finished) co_return finished;
  }
  co_return net::result<void>();
}

net::task<net::result<void>> mend(net::request_context& context, sql_connection& db, const catalog& all,
                                  schema_findings& out) {
  migration m(db, all, false);
  auto entering = m.enter(context);
  net::result<void> entered = co_await std::move(entering);
  if (!entered) co_return entered;
  auto mending = mend_locked(context, db, m, all, out);
  net::result<void> done = co_await std::move(mending);
  context.set_deadline(net::steady_time::max());
  auto leaving = m.leave(context);
  co_await std::move(leaving);
  out.restarted = m.report.resources_restarted;
  co_return done;
}

}  // namespace

net::task<net::result<schema_findings>> check_schema(net::request_context& context, sql_connection& db,
                                                     const catalog& all) {
  schema_findings out;
  // Of a table that is being altered, whosever it is.
  context.set_deadline(std::chrono::steady_clock::now() + kLookMax);
  auto bounding = run(context, db, fmt::format("SET SESSION lock_wait_timeout={}", kDdlWaitS));
  net::result<std::uint64_t> bounded = co_await std::move(bounding);
  if (!bounded) co_return bounded.error();
  auto finding = find_broken(context, db, all, out.troubles);
  net::result<std::vector<const resource*>> broken = co_await std::move(finding);
  if (!broken) co_return broken.error();
  if (broken->empty()) co_return out;
  context.set_deadline(net::steady_time::max());
  auto mending = mend(context, db, all, out);
  net::result<void> mended = co_await std::move(mending);
  if (!mended) co_return mended.error();
  co_return out;
}

struct schema_watch::state {
  state(net::core& core, const mysql_options& options, const catalog& resources, connection_maker maker)
      : on(core),
        every(options.schema_check_s),
        all(resources),
        connect(std::move(maker)),
        context(core),
        wake(core) {}

  net::task<net::result<schema_findings>> check();
  net::task<void> run_until_stopped();
  void report(const net::result<schema_findings>& found);

  net::core& on;
  const std::chrono::seconds every;
  const catalog& all;
  connection_maker connect;
  net::request_context context;
  net::event wake;
  bool stopping = false;
  std::atomic<std::uint64_t> checks{0};
  mutable std::mutex mutex;
  std::string trouble;
};

net::task<net::result<schema_findings>> schema_watch::state::check() {
  auto connecting = connect(context);
  net::result<std::unique_ptr<sql_connection>> db = co_await std::move(connecting);
  if (!db) co_return db.error();
  auto checking = check_schema(context, **db, all);
  co_return co_await std::move(checking);
}

void schema_watch::state::report(const net::result<schema_findings>& found) {
  std::string text;
  if (!found) {
    text = found.error().text();
  } else {
    text = joined(found->troubles, "; ");
    for (const std::string& name : found->restarted)
      perf::log_warn("a table changed unseen: its resource starts over", {{"resource", name}});
  }
  const std::lock_guard lock(mutex);
  if (!text.empty() && text != trouble) perf::log_error("the schema is not as it should be", {{"why", text}});
  trouble = std::move(text);
}

net::task<void> schema_watch::state::run_until_stopped() {
  while (!stopping) {
    net::result<schema_findings> found = schema_findings();
    try {
      auto checking = check();
      found = co_await std::move(checking);
    } catch (...) {
      found = net::caught_error("the check of the schema threw");
    }
    if (stopping) break;
    report(found);
    checks.fetch_add(1, std::memory_order_relaxed);
    context.set_deadline(net::steady_time::max());
    static_cast<void>(co_await wake.wait(context, std::chrono::steady_clock::now() + every));
  }
}

schema_watch::schema_watch(net::core& on, const mysql_options& options, const catalog& all,
                           connection_maker connect)
    : state_(std::make_shared<state>(on, options, all, std::move(connect))),
      task_(
          on, "schema watch", [kept = state_] { return kept->run_until_stopped(); },
          [kept = state_] {
            kept->stopping = true;
            kept->context.cancel();
            kept->wake.notify();
          }) {}

schema_watch::~schema_watch() {
  stop();
}

void schema_watch::start() {
  task_.start();
}

void schema_watch::stop() {
  task_.stop();
}

std::string schema_watch::trouble() const {
  const std::lock_guard lock(state_->mutex);
  return state_->trouble;
}

std::uint64_t schema_watch::checks() const noexcept {
  return state_->checks.load(std::memory_order_relaxed);
}

}  // namespace syncline::storage::mysql
