#include "server/command/schema_commands.h"

#include <cstdio>

#include <fmt/format.h>

#include "storage/row_json.h"
#include "storage/sqlite/connection.h"
#include "storage/sqlite/schema.h"

namespace syncline::server::command {
namespace {

namespace sqlite = storage::sqlite;

net::result<sqlite::connection> open_database(const config& settings) {
  sqlite::connection_options options;
  options.path = settings.sqlite.path;
  options.busy_timeout_ms = static_cast<int>(settings.sqlite.busy_timeout_ms);
  options.synchronous = settings.sqlite.synchronous;
  options.cache_kb = settings.sqlite.cache_kb;
  return sqlite::connection::open(options);
}

int fail(std::string_view command, std::string_view database, const net::error& why) {
  return report_failure(command, fmt::format("{}: {}", database, why.text()));
}

void print_statements(const std::vector<std::string>& statements) {
  for (const std::string& each : statements) fmt::print("{}{}\n", each, each.ends_with(';') ? "" : ";");
}

void print_progress(std::string_view resource, std::uint64_t rows) {
  fmt::print(stderr, "{}: {} rows numbered\n", resource, rows);
}

int print_migration(const migrate_options& options, const sqlite::migrate_report& report) {
  if (options.dry_run) {
    print_statements(report.statements);
    return 0;
  }
  for (const std::string& each : report.resources_restarted) fmt::print("{}: clients start over\n", each);
  fmt::print("OK: {} statements run, {} rows numbered\n", report.statements.size(), report.rows_numbered);
  return 0;
}

}  // namespace

int introspect(const std::string& database) {
  constexpr std::string_view kCommand = "introspect";
  sqlite::connection_options options;
  options.path = database;
  options.read_only = true;
  auto db = sqlite::connection::open(options);
  if (!db) return fail(kCommand, database, db.error());
  const auto text = sqlite::introspect(*db);
  if (!text) return fail(kCommand, database, text.error());
  // A whole config, so that `serve` takes it as it is.
  std::string path;
  storage::append_json_string(database, path);
  fmt::print("{{\n\"storage\": {{ \"sqlite\": {{ \"path\": {} }} }},\n\"resources\":\n{}{}}}\n", path, *text,
             text->ends_with('\n') ? "" : "\n");
  return 0;
}

int migrate(const migrate_options& options) {
  constexpr std::string_view kCommand = "migrate";
  auto settings = load(options.from, kCommand);
  if (!settings) return 1;
  auto db = open_database(*settings);
  if (!db) return fail(kCommand, settings->sqlite.path, db.error());
  const auto report = options.remove
                          ? sqlite::remove(*db, settings->resources, options.dry_run)
                          : sqlite::migrate(*db, settings->resources, options.dry_run, print_progress);
  if (!report) return fail(kCommand, settings->sqlite.path, report.error());
  return print_migration(options, *report);
}

int check_feed(const check_feed_options& options) {
  constexpr std::string_view kCommand = "check-feed";
  auto settings = load(options.from, kCommand);
  if (!settings) return 1;
  auto db = open_database(*settings);
  if (!db) return fail(kCommand, settings->sqlite.path, db.error());
  if (const auto fit = sqlite::fit_to_schema(*db, settings->resources); !fit)
    return fail(kCommand, settings->sqlite.path, fit.error());
  const auto report = sqlite::check_feed(*db, settings->resources, options.repair);
  if (!report) return fail(kCommand, settings->sqlite.path, report.error());
  fmt::print(
      "{} rows and {} entries checked: {} rows without entry, {} wrong hints, {} entries of unknown "
      "resources\n",
      report->rows_checked, report->entries_checked, report->missing_entries, report->wrong_hints,
      report->unknown_resources);
  for (const std::string& each : report->examples) fmt::print("  {}\n", each);
  if (report->clean()) {
    fmt::print("OK\n");
    return 0;
  }
  fmt::print("{}\n", options.repair ? "entered again" : "run again with --repair to enter them again");
  return options.repair ? 0 : 2;
}

}  // namespace syncline::server::command
