#include "storage/mysql/migration.h"

#include <algorithm>

#include <fmt/format.h>

#include "storage/mysql/literal.h"
#include "storage/mysql/number_rows.h"
#include "storage/mysql/sequencer.h"
#include "storage/mysql/server_error.h"
#include "storage/mysql/text_rows.h"

namespace syncline::storage::mysql {

namespace {

constexpr std::uint32_t kTriggersNeedTrust = 1419;
constexpr std::string_view kPlacing = "placing";  // hashes are hexadecimal
constexpr std::string_view kLockName = "CONCAT('syncline.',LEFT(SHA2(DATABASE(),256),40))";

net::error needs_trust(const net::error& from) {
  return {net::errc::unsupported, "MySQL lets this account make no triggers while its binary log is on",
          "SET PERSIST log_bin_trust_function_creators=1 on the server, or give the account SUPER (or "
          "SET_ANY_DEFINER and SYSTEM_VARIABLES_ADMIN); MySQL says " +
              from.detail};
}

auto search_index(const resource& of, const table_shape& t) {
  const std::string name = search_index_name(of);
  return std::find_if(t.indexes.begin(), t.indexes.end(),
                      [&](const table_index& index) { return index.name == name; });
}

}  // namespace

net::task<net::result<void>> migration::enter(net::request_context& context) {
  auto bounding = run(context, *db_, fmt::format("SET SESSION lock_wait_timeout={}", kDdlWaitS));
  net::result<std::uint64_t> bounded = co_await std::move(bounding);
  if (!bounded) co_return bounded.error();
  auto asking = query(context, *db_, fmt::format("SELECT GET_LOCK({},60)", kLockName));
  net::result<text_rows> got = co_await std::move(asking);
  if (!got) co_return got.error();
  if (got->front().integer(0) != 1)
    co_return net::error(net::errc::locked, "another node migrates this schema",
                         "it has done so for a minute");
  co_return net::result<void>();
}

net::task<void> migration::leave(net::request_context& context) {
  auto leaving = query(context, *db_, fmt::format("SELECT RELEASE_LOCK({})", kLockName));
  static_cast<void>(co_await std::move(leaving));
}

net::task<net::result<void>> migration::ddl(net::request_context& context, std::string sql) {
  report.statements.push_back(sql);
  if (dry_run_) co_return net::result<void>();
  for (int tries = 1;; ++tries) {
    auto running = run(context, *db_, sql);
    net::result<std::uint64_t> done = co_await std::move(running);
    if (done) co_return net::result<void>();
    const std::uint32_t number = server_code(done.error());
    if (number == kTriggersNeedTrust) co_return needs_trust(done.error());
    const bool waited = number == code::kLockWaitTimeout || number == code::kDeadlock;
    if (!waited || tries == kDdlTries) co_return done.error();
  }
}

net::task<net::result<std::uint64_t>> migration::change(net::request_context& context, std::string sql) {
  report.statements.push_back(sql);
  if (dry_run_) co_return std::uint64_t{0};
  auto running = run(context, *db_, std::move(sql));
  co_return co_await std::move(running);
}

net::task<net::result<void>> migration::common(net::request_context& context) {
  auto listing = query(context, *db_,
                       "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA=DATABASE() AND "
                       "TABLE_NAME LIKE 'syncline\\\\_%'");
  net::result<text_rows> tables = co_await std::move(listing);
  if (!tables) co_return tables.error();
  bool clock = false;
  for (const text_row& row : *tables) clock = clock || row.text(0) == "syncline_clock";
  for (const std::string& statement : common_tables()) {
    const bool there = std::any_of(tables->begin(), tables->end(), [&](const text_row& row) {
      return statement.starts_with("CREATE TABLE IF NOT EXISTS " + row.text(0) + " ");
    });
    if (there || (clock && statement.starts_with("INSERT"))) continue;
    auto making = ddl(context, statement);
    net::result<void> made = co_await std::move(making);
    if (!made) co_return made;
  }
  co_return net::result<void>();
}

net::task<net::result<void>> migration::drop_triggers(net::request_context& context,
                                                      std::vector<std::string> names) {
  for (const std::string& name : names) {
    auto dropping = ddl(context, "DROP TRIGGER IF EXISTS " + identifier(name));
    net::result<void> dropped = co_await std::move(dropping);
    if (!dropped) co_return dropped;
  }
  co_return net::result<void>();
}

net::task<net::result<void>> migration::forget(net::request_context& context, const resource_state& other,
                                               const triggers_there& there) {
  auto dropping = drop_triggers(context, leftovers(there, {}, other.id));
  net::result<void> dropped = co_await std::move(dropping);
  if (!dropped) co_return dropped;
  if (other.triggers.empty()) co_return net::result<void>();
  report.statements.push_back(fmt::format("DELETE FROM syncline_feed WHERE resource={}", other.id));
  if (!dry_run_) {
    auto deleting = delete_entries(context, *db_, other.id);
    net::result<void> deleted = co_await std::move(deleting);
    if (!deleted) co_return deleted;
  }
  // The row stays: should the resource come back, its incarnation must be a new one.
  auto emptying =
      change(context, fmt::format("UPDATE syncline_resource SET identity='' WHERE id={}", other.id));
  net::result<std::uint64_t> emptied = co_await std::move(emptying);
  if (!emptied) co_return emptied.error();
  co_return net::result<void>();
}

net::task<net::result<void>> migration::forget_others(net::request_context& context) {
  auto reading_states = resource_states(context, *db_);
  net::result<std::vector<resource_state>> states = co_await std::move(reading_states);
  if (!states) co_return states.error();
  auto reading_triggers = read_triggers(context, *db_);
  net::result<triggers_there> there = co_await std::move(reading_triggers);
  if (!there) co_return there.error();
  for (const resource_state& s : *states) {
    if (follows(*all_, s.name)) continue;
    auto forgetting = forget(context, s, *there);
    net::result<void> forgotten = co_await std::move(forgetting);
    if (!forgotten) co_return forgotten;
  }
  co_return net::result<void>();
}

net::task<net::result<resource_state>> migration::row_of(net::request_context& context, const resource& of,
                                                         bool& known) {
  std::vector<resource_state> states;
  for (int tries = 0;; ++tries) {
    auto reading = resource_states(context, *db_);
    net::result<std::vector<resource_state>> read = co_await std::move(reading);
    if (!read) co_return read.error();
    states = std::move(*read);
    if (const resource_state* found = find_state(states, of.name)) co_return *found;
    if (tries == 1 || dry_run_) break;
    known = false;
    auto making =
        change(context, fmt::format("INSERT INTO syncline_resource (name,incarnation,declaration,identity) "
                                    "VALUES ({},1,'','')",
                                    text_literal(of.name)));
    net::result<std::uint64_t> made = co_await std::move(making);
    if (!made) co_return made.error();
  }
  if (!dry_run_) co_return net::error(net::errc::internal, "a resource has no row", of.name);
  known = false;
  resource_state imagined;
  imagined.name = of.name;
  imagined.incarnation = 1;
  imagined.id = (states.empty() ? 0 : states.back().id) + ++made_up_ids_;
  report.statements.push_back(
      fmt::format("INSERT INTO syncline_resource (name,incarnation,declaration,identity) VALUES ({},1,'','')",
                  text_literal(of.name)));
  co_return imagined;
}

net::task<net::result<void>> migration::write_row(net::request_context& context, resource_state s) {
  auto writing = change(
      context,
      fmt::format("UPDATE syncline_resource SET incarnation={}, declaration={}, identity={} WHERE id={}",
                  s.incarnation, text_literal(s.declaration), text_literal(s.identity_text()), s.id));
  net::result<std::uint64_t> written = co_await std::move(writing);
  if (!written) co_return written.error();
  co_return net::result<void>();
}

net::task<net::result<void>> migration::place_triggers(net::request_context& context,
                                                       const resource_plan& plan, const triggers_there& there,
                                                       std::int64_t id) {
  for (const trigger_text& wanted : plan.triggers) {
    if (is_there(there, wanted)) continue;
    // Its name is taken: by the table that was swapped away, or by somebody else's text.
    if (there.contains(wanted.name)) {
      std::vector<std::string> taken{wanted.name};
      auto dropping = drop_triggers(context, std::move(taken));
      net::result<void> dropped = co_await std::move(dropping);
      if (!dropped) co_return dropped;
    }
    auto making = ddl(context, wanted.create_sql());
    net::result<void> made = co_await std::move(making);
    if (!made) co_return made;
  }
  auto dropping = drop_triggers(context, leftovers(there, plan.triggers, id));
  co_return co_await std::move(dropping);
}

net::task<net::result<table_shape>> migration::shape_of(net::request_context& context, const resource& of) {
  if (const auto imagined = imagined_.find(of.table); imagined != imagined_.end())
    co_return imagined->second.shape;
  auto shaping = read_table_shape(context, *db_, of.table);
  co_return co_await std::move(shaping);
}

net::task<net::result<void>> migration::drop_unfit_index(net::request_context& context, const resource& of) {
  auto shaping = shape_of(context, of);
  net::result<table_shape> t = co_await std::move(shaping);
  if (!t) co_return t.error();
  const auto ours = search_index(of, *t);
  if (ours == t->indexes.end() || covers_search(of, *ours)) co_return net::result<void>();
  auto dropping =
      ddl(context, fmt::format("DROP INDEX {} ON {}", identifier(ours->name), identifier(t->name)));
  net::result<void> dropped = co_await std::move(dropping);
  t->indexes.erase(ours);
  if (dropped && dry_run_) imagined_[of.table].shape = std::move(*t);
  co_return dropped;
}

net::task<net::result<void>> migration::place_index(net::request_context& context, const resource& of) {
  if (of.search.empty()) co_return net::result<void>();
  auto shaping = shape_of(context, of);
  net::result<table_shape> t = co_await std::move(shaping);
  if (!t) co_return t.error();
  // One of our name that covers something else is of a node with another declaration.
  if (has_search_index(of, *t) || search_index(of, *t) != t->indexes.end()) co_return net::result<void>();
  table_index made;
  made.name = search_index_name(of);
  made.fulltext = true;
  std::vector<std::string> columns;
  for (const std::size_t c : of.search) {
    made.parts.push_back({of.columns[c].name});
    columns.push_back(identifier(of.columns[c].name));
  }
  auto making = ddl(context, fmt::format("CREATE FULLTEXT INDEX {} ON {} ({})", identifier(made.name),
                                         identifier(t->name), joined(columns, ",")));
  net::result<void> done = co_await std::move(making);
  if (done && dry_run_) {
    const bool was_altered = imagined_.contains(of.table);  // so it had one, which leaves no rebuild to do
    imagined_table& as = imagined_[of.table];
    as.rebuilt =
        as.rebuilt || (!was_altered && std::none_of(t->indexes.begin(), t->indexes.end(),
                                                    [](const table_index& each) { return each.fulltext; }));
    t->indexes.push_back(std::move(made));
    as.shape = std::move(*t);
  }
  co_return done;
}

net::task<net::result<void>> migration::install(net::request_context& context, const resource& of,
                                                const std::vector<foreign_key>& keys) {
  bool known = true;
  auto rowing = row_of(context, of, known);
  net::result<resource_state> row = co_await std::move(rowing);
  if (!row) co_return row.error();
  auto planning = plan_resource(context, *db_, of, keys, row->id);
  net::result<resource_plan> plan = co_await std::move(planning);
  if (!plan) co_return plan.error();
  auto reading = read_triggers(context, *db_);
  net::result<triggers_there> there = co_await std::move(reading);
  if (!there) co_return there.error();
  auto identifying = read_identity(context, *db_, of.table);
  net::result<table_identity> identity = co_await std::move(identifying);
  if (!identity) co_return identity.error();

  const bool all_there = std::all_of(plan->triggers.begin(), plan->triggers.end(),
                                     [&](const trigger_text& wanted) { return is_there(*there, wanted); });
  bool unchanged = all_there && row->triggers == plan->hash && row->table.may_be(*identity);
  if (const auto as = imagined_.find(of.table); as != imagined_.end())
    unchanged = unchanged && !as->second.rebuilt && !identity->id.empty();
  const resource_state before = *row;
  if (!unchanged && known) {
    // Once the triggers are back they tell nobody that they were away.
    resource_state placing = *row;
    placing.triggers = kPlacing;
    auto noting = write_row(context, std::move(placing));
    net::result<void> noted = co_await std::move(noting);
    if (!noted) co_return noted;
  }
  row->table = std::move(*identity);
  auto placing = place_triggers(context, *plan, *there, row->id);
  net::result<void> placed = co_await std::move(placing);
  if (!placed) co_return placed;

  row->triggers = plan->hash;
  row->declaration = fmt::format("{:016x}", of.declaration_hash());
  if (!unchanged) {
    row->rows_left = true;
    if (known) {
      ++row->incarnation;
      row->old_left = true;
      report.resources_restarted.push_back(of.name);
    }
  }
  const bool same = before.identity_text() == row->identity_text() &&
                    before.declaration == row->declaration && before.incarnation == row->incarnation;
  if (same) co_return net::result<void>();
  auto writing = write_row(context, *row);
  co_return co_await std::move(writing);
}

net::task<net::result<void>> migration::finish(net::request_context& context, const resource& of,
                                               migrate_progress progress) {
  auto reading = resource_states(context, *db_);
  net::result<std::vector<resource_state>> states = co_await std::move(reading);
  if (!states) co_return states.error();
  const resource_state* found = find_state(*states, of.name);
  if (found == nullptr || (!found->rows_left && !found->old_left)) co_return net::result<void>();
  // Else a restored backup whose clock the numbering moves on would pass for what its clients know.
  if (!std::exchange(generation_begun_, true)) {
    auto recording = record_generation(context, *db_);
    net::result<feed_position> recorded = co_await std::move(recording);
    if (!recorded) co_return recorded.error();
  }
  resource_state state = *found;
  if (state.old_left) {
    auto marking = mark_old_entries(context, *db_, state.id);
    net::result<void> marked = co_await std::move(marking);
    if (!marked) co_return marked;
  }
  if (state.rows_left) {
    auto shaping = read_table_shape(context, *db_, of.table);
    net::result<table_shape> shape = co_await std::move(shaping);
    if (!shape) co_return shape.error();
    const rows_progress tell = [&](std::uint64_t done) {
      if (progress) progress(of.name, done);
    };
    auto numbering = number_rows(context, *db_, of, *shape, state.id, tell);
    net::result<std::uint64_t> numbered = co_await std::move(numbering);
    if (!numbered) co_return numbered.error();
    report.rows_numbered += *numbered;
  }
  const std::string with_work = state.identity_text();
  state.old_left = state.rows_left = false;
  auto writing = run(context, *db_,
                     fmt::format("UPDATE syncline_resource SET identity={} WHERE id={} AND identity={}",
                                 text_literal(state.identity_text()), state.id, text_literal(with_work)));
  net::result<std::uint64_t> written = co_await std::move(writing);
  if (!written) co_return written.error();
  co_return net::result<void>();
}

}  // namespace syncline::storage::mysql
