// Puts Syncline's objects into a MySQL schema, brings them up to date, and takes them away.

#include <map>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "storage/mysql/literal.h"
#include "storage/mysql/migration.h"
#include "storage/mysql/schema.h"
#include "storage/mysql/text_rows.h"

namespace syncline::storage::mysql {

namespace {

// Table by table, since resources may share one and use each other's: first what none wants any more goes.
net::task<net::result<void>> place_indexes(net::request_context& context, migration& m, const catalog& all) {
  std::map<std::string, std::vector<const resource*>> tables;
  for (std::size_t i = 0; i < all.size(); ++i)
    if (is_followed(all.at(i))) tables[all.at(i).table].push_back(&all.at(i));
  for (const auto& [table, of] : tables) {
    for (const resource* each : of) {
      auto dropping = m.drop_unfit_index(context, *each);
      net::result<void> dropped = co_await std::move(dropping);
      if (!dropped) co_return dropped;
    }
    for (const resource* each : of) {
      auto placing = m.place_index(context, *each);
      net::result<void> placed = co_await std::move(placing);
      if (!placed) co_return placed;
    }
  }
  co_return net::result<void>();
}

net::task<net::result<void>> install_all(net::request_context& context, sql_connection& db, migration& m,
                                         const catalog& all) {
  auto making = m.common(context);
  net::result<void> made = co_await std::move(making);
  if (!made) co_return made;
  auto forgetting = m.forget_others(context);
  net::result<void> forgotten = co_await std::move(forgetting);
  if (!forgotten) co_return forgotten;
  auto reading = read_foreign_keys(context, db);
  net::result<std::vector<foreign_key>> keys = co_await std::move(reading);
  if (!keys) co_return keys.error();
  auto indexing = place_indexes(context, m, all);
  net::result<void> indexed = co_await std::move(indexing);
  if (!indexed) co_return indexed;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!is_followed(all.at(i))) continue;
    auto installing = m.install(context, all.at(i), *keys);
    net::result<void> installed = co_await std::move(installing);
    if (!installed) co_return installed;
  }
  co_return net::result<void>();
}

net::task<net::result<void>> migrate_locked(net::request_context& context, sql_connection& db, migration& m,
                                            const catalog& all, bool dry_run,
                                            const migrate_progress& progress) {
  auto installing = install_all(context, db, m, all);
  net::result<void> installed = co_await std::move(installing);
  if (!installed || dry_run) co_return installed;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!is_followed(all.at(i))) continue;
    auto finishing = m.finish(context, all.at(i), progress);
    net::result<void> finished = co_await std::move(finishing);
    if (!finished) co_return finished;
  }
  co_return net::result<void>();
}

// Triggers first, so that no table that they write to is missing at any time.
constexpr std::string_view kRemovals[] = {
    "SELECT CONCAT('DROP TRIGGER `',REPLACE(TRIGGER_NAME,'`','``'),'`') FROM information_schema.TRIGGERS "
    "WHERE "
    "TRIGGER_SCHEMA=DATABASE() AND TRIGGER_NAME LIKE 'syncline\\\\_%' ORDER BY TRIGGER_NAME",
    "SELECT DISTINCT CONCAT('DROP INDEX `',REPLACE(INDEX_NAME,'`','``'),'` ON "
    "`',REPLACE(TABLE_NAME,'`','``'),"
    "'`') AS s FROM information_schema.STATISTICS WHERE TABLE_SCHEMA=DATABASE() AND INDEX_TYPE='FULLTEXT' "
    "AND "
    "INDEX_NAME LIKE 'syncline\\\\_search\\\\_%' ORDER BY s",
    "SELECT CONCAT('DROP TABLE `',TABLE_NAME,'`') FROM information_schema.TABLES WHERE "
    "TABLE_SCHEMA=DATABASE() "
    "AND TABLE_NAME LIKE 'syncline\\\\_%' ORDER BY TABLE_NAME",
};

}  // namespace

net::task<net::result<migrate_report>> migrate(net::request_context& context, sql_connection& db,
                                               catalog& all, bool dry_run, migrate_progress progress) {
  auto fitting = fit_to_schema(context, db, all);
  net::result<void> fitted = co_await std::move(fitting);
  if (!fitted) co_return fitted.error();
  migration m(db, all, dry_run);
  if (!dry_run) {
    auto entering = m.enter(context);
    net::result<void> entered = co_await std::move(entering);
    if (!entered) co_return entered.error();
  }
  auto migrating = migrate_locked(context, db, m, all, dry_run, progress);
  net::result<void> migrated = co_await std::move(migrating);
  if (!dry_run) {
    auto leaving = m.leave(context);
    co_await std::move(leaving);
  }
  if (!migrated) co_return migrated.error();
  co_return std::move(m.report);
}

net::task<net::result<migrate_report>> remove(net::request_context& context, sql_connection& db,
                                              const catalog&, bool dry_run) {
  migrate_report report;
  auto bounding = run(context, db, fmt::format("SET SESSION lock_wait_timeout={}", kDdlWaitS));
  net::result<std::uint64_t> bounded = co_await std::move(bounding);
  if (!bounded) co_return bounded.error();
  for (const std::string_view listing : kRemovals) {
    auto asking = query(context, db, std::string(listing));
    net::result<text_rows> statements = co_await std::move(asking);
    if (!statements) co_return statements.error();
    for (const text_row& row : *statements) {
      report.statements.push_back(row.text(0));
      if (dry_run) continue;
      auto running = run(context, db, row.text(0));
      net::result<std::uint64_t> done = co_await std::move(running);
      if (!done) co_return done.error();
    }
  }
  co_return report;
}

}  // namespace syncline::storage::mysql
