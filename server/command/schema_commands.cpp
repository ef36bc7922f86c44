#include "server/command/schema_commands.h"

#include <cstdio>

#include <fmt/format.h>

#include "server/command/schema_access.h"

namespace syncline::server::command {
namespace {

int fail(std::string_view command, std::string_view database, const net::error& why) {
  return report_failure(command, fmt::format("{}: {}", database, why.text()));
}

void print_statements(const std::vector<std::string>& statements) {
  for (const std::string& each : statements) fmt::print("{}{}\n", each, each.ends_with(';') ? "" : ";");
}

void print_progress(std::string_view resource, std::uint64_t rows) {
  fmt::print(stderr, "{}: {} rows numbered\n", resource, rows);
}

int print_migration(const migrate_options& options, const storage::migrate_report& report) {
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
  const auto schema = open_schema(database);
  if (!schema) return report_failure(kCommand, schema.error().text());
  const auto text = (*schema)->introspect();
  if (!text) return fail(kCommand, (*schema)->name(), text.error());
  // A whole config, so that `serve` takes it as it is.
  fmt::print("{{\n\"storage\": {},\n\"resources\":\n{}{}}}\n", (*schema)->settings_text(), *text,
             text->ends_with('\n') ? "" : "\n");
  return 0;
}

int migrate(const migrate_options& options) {
  constexpr std::string_view kCommand = "migrate";
  auto settings = load(options.from, kCommand);
  if (!settings) return 1;
  const auto schema = open_schema(*settings);
  if (!schema) return report_failure(kCommand, schema.error().text());
  const auto report = options.remove
                          ? (*schema)->remove(settings->resources, options.dry_run)
                          : (*schema)->migrate(settings->resources, options.dry_run, print_progress);
  if (!report) return fail(kCommand, (*schema)->name(), report.error());
  return print_migration(options, *report);
}

int check_feed(const check_feed_options& options) {
  constexpr std::string_view kCommand = "check-feed";
  auto settings = load(options.from, kCommand);
  if (!settings) return 1;
  const auto schema = open_schema(*settings);
  if (!schema) return report_failure(kCommand, schema.error().text());
  const auto report = (*schema)->check_feed(settings->resources, options.repair);
  if (!report) return fail(kCommand, (*schema)->name(), report.error());
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
