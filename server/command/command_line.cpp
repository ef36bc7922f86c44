#include "server/command/command_line.h"

#include <exception>
#include <functional>

#include <CLI/CLI.hpp>

#include "server/command/check_config.h"
#include "server/command/config_options.h"
#include "server/command/demo_data.h"
#include "server/command/load.h"
#include "server/command/schema_commands.h"
#include "server/command/serve.h"
#include "server/command/sync.h"

namespace syncline::server::command {
namespace {

constexpr int kUsage = 64;  // EX_USAGE of sysexits.h

// The options of all commands, and the command that was asked for.
struct asked {
  std::function<int()> run;
  config_options serve;
  check_config_options check;
  std::string introspect;
  migrate_options migrate;
  check_feed_options check_feed;
  demo_data_options demo;
  load_options load;
  sync_command_options sync;
};

void add_config(CLI::App& to, config_options& into, bool needed) {
  auto* file =
      to.add_option("-c,--config", into.file, "The config file (docs/config.md)")->envname("SYNCLINE_CONFIG");
  if (needed) file->required();
  to.add_option("--set", into.overrides,
                "A setting that wins over file and environment: --set http.port=9000")
      ->type_name("PATH=VALUE");
}

CLI::App& add_command(CLI::App& to, asked& what, const char* name, const char* purpose,
                      std::function<int()> run, const char* examples) {
  CLI::App& out = *to.add_subcommand(name, purpose);
  out.footer(examples);
  out.callback([&what, run = std::move(run)] { what.run = run; });
  return out;
}

void add_server_commands(CLI::App& app, asked& what) {
  CLI::App& serve = add_command(
      app, what, "serve", "Run the server", [&what] { return command::serve(what.serve); },
      "Examples:\n  syncline serve --config configs/demo/syncline.json\n"
      "  SYNCLINE_HTTP__PORT=9000 syncline serve -c syncline.json --set log.level=debug\n\n"
      "SIGTERM or SIGINT: drain and end; a second one: end at once. SIGHUP: reopen the log, read the TLS "
      "files again.");
  add_config(serve, what.serve, true);

  CLI::App& check = add_command(
      app, what, "check-config", "Check a config and print what is in force",
      [&what] { return check_config(what.check); },
      "Examples:\n  syncline check-config --config syncline.json\n  syncline check-config --defaults");
  add_config(check, what.check.from, false);
  check.add_flag("--defaults", what.check.defaults, "Print the table of all settings instead");
}

void add_database_commands(CLI::App& app, asked& what) {
  CLI::App& look = add_command(
      app, what, "introspect", "Write a config for the tables of a database",
      [&what] { return introspect(what.introspect); },
      "Example:\n  syncline introspect --db app.db > syncline.json");
  look.add_option("--db", what.introspect, "The SQLite file, or mysql://user@host:33060/schema")
      ->required()
      ->type_name("FILE|URL");

  CLI::App& move = add_command(
      app, what, "migrate", "Make what Syncline needs beside the tables (feed, triggers)",
      [&what] { return migrate(what.migrate); },
      "Examples:\n  syncline migrate --config syncline.json --dry-run\n  syncline migrate --config "
      "syncline.json\n"
      "  syncline migrate --config syncline.json --remove");
  add_config(move, what.migrate.from, true);
  move.add_flag("--dry-run", what.migrate.dry_run, "Print the SQL, change nothing");
  move.add_flag("--remove", what.migrate.remove, "Take all of it away again");

  CLI::App& feed = add_command(
      app, what, "check-feed", "Compare the tables with the change feed",
      [&what] { return check_feed(what.check_feed); },
      "Exit code 2: they differ.\n\nExamples:\n  syncline check-feed --config syncline.json\n"
      "  syncline check-feed --config syncline.json --repair");
  add_config(feed, what.check_feed.from, true);
  feed.add_flag("--repair", what.check_feed.repair, "Enter again what is missing");
}

void add_demo_command(CLI::App& app, asked& what) {
  CLI::App& demo = add_command(
      app, what, "demo-data", "Make realistic rows for the demo", [&what] { return demo_data(what.demo); },
      "Examples:\n  syncline demo-data --db demo.db --fill\n  syncline demo-data --out data --users 26000\n"
      "  syncline demo-data --resource users --users 1000000 --stdout | syncline load - --resource users");
  demo.add_option("--out", what.demo.directory, "Write one NDJSON file per resource there")->type_name("DIR");
  demo.add_option("--db", what.demo.database, "Make the demo's tables in this SQLite file")
      ->type_name("FILE");
  demo.add_flag("--fill", what.demo.fill, "With --db: put the rows in as well");
  demo.add_flag("--stdout", what.demo.standard_output, "Write the rows to standard output");
  demo.add_option("--resource", what.demo.resource, "Only this resource");
  demo.add_option("--users", what.demo.users, "How many users; the rest follows from it")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{100'000'000}))
      ->capture_default_str();
  demo.add_option("--seed", what.demo.seed, "Other rows with another seed")->capture_default_str();
}

void add_client_commands(CLI::App& app, asked& what) {
  CLI::App& load = add_command(
      app, what, "load", "Upload a file of rows to a running server",
      [&what] { return load_file(what.load); },
      "Exit code 2: rows were rejected; each is named on standard error.\n\nExamples:\n"
      "  syncline load users.ndjson --resource users\n  syncline load users.csv --resource users --conflict "
      "skip --dry-run\n"
      "  zcat users.ndjson.gz | syncline load - --resource users --atomic --idempotency-key import-7");
  load.add_option("file", what.load.file, "NDJSON or CSV; - for standard input")
      ->required()
      ->type_name("FILE");
  load.add_option("--url", what.load.url, "The server")->capture_default_str();
  load.add_option("--ca", what.load.ca_file,
                  "Trust these authorities with https (PEM) instead of the system's")
      ->type_name("FILE")
      ->check(CLI::ExistingFile);
  load.add_option("--resource", what.load.resource, "Where the rows go")->required();
  load.add_option("--format", what.load.format, "By default from the file's name")
      ->check(CLI::IsMember({"ndjson", "csv"}));
  load.add_option("--conflict", what.load.conflict, "What to do with a row whose key exists")
      ->check(CLI::IsMember({"upsert", "insert", "skip"}))
      ->capture_default_str();
  load.add_flag("--atomic", what.load.atomic, "All rows or none");
  load.add_flag("--dry-run", what.load.dry_run, "Check every row, keep none");
  load.add_flag("--gzip", what.load.gzip, "Compress on the way");
  load.add_option("--idempotency-key", what.load.idempotency_key,
                  "A run with the same key goes on where the last one was cut")
      ->type_name("KEY");

  CLI::App& sync = add_command(
      app, what, "sync", "Follow a running server and keep a copy",
      [&what] { return command::sync(what.sync); },
      "Examples:\n  syncline sync --scope user:17\n  syncline sync --scope user:17 --sqlite copy.db --live\n"
      "  syncline sync --resources categories,campaigns --out rows.ndjson --state rows.state");
  sync.add_option("--url", what.sync.url, "The server")->capture_default_str();
  sync.add_option("--ca", what.sync.ca_file,
                  "Trust these authorities with https (PEM) instead of the system's")
      ->type_name("FILE")
      ->check(CLI::ExistingFile);
  sync.add_option("--scope", what.sync.scope, "Whose rows, as name:value; several with commas")
      ->type_name("NAME:VALUE");
  sync.add_option("--resources", what.sync.resources,
                  "Only these, with commas; unscoped ones come only when named");
  sync.add_flag("--live", what.sync.live, "Stay and follow changes; come back when the connection ends");
  sync.add_option("--silence", what.sync.silence_max_s,
                  "Give a connection up that says nothing for so many seconds: more than the server's "
                  "sync.keep_alive_s")
      ->check(CLI::Range(1, 86'400))
      ->capture_default_str();
  auto* since = sync.add_option("--since", what.sync.since, "Go on from this cursor")->type_name("CURSOR");
  auto* state = sync.add_option("--state", what.sync.state, "Keep the cursor in this file and go on from it")
                    ->type_name("FILE");
  auto* out = sync.add_option("--out", what.sync.out, "Append lines to this file instead of standard output")
                  ->type_name("FILE");
  auto* database = sync.add_option("--sqlite", what.sync.database,
                                   "Keep the rows in this SQLite file, a table per resource")
                       ->type_name("FILE");
  since->excludes(state);
  database->excludes(since)->excludes(state)->excludes(out);
}

}  // namespace

int run(int argc, char** argv) {
  asked what;
  CLI::App app("Syncline keeps clients in step with a SQL database. Sync, line by line.", "syncline");
  app.require_subcommand(1);
  app.footer("`syncline COMMAND --help` has examples.");
  app.set_version_flag("--version", SYNCLINE_VERSION);
  try {
    add_server_commands(app, what);
    add_database_commands(app, what);
    add_demo_command(app, what);
    add_client_commands(app, what);
    app.parse(argc, argv);
    return what.run();
  } catch (const CLI::ParseError& wrong) {
    return app.exit(wrong) == 0 ? 0 : kUsage;
  } catch (const std::exception& failed) {
    return report_failure(argc > 1 ? argv[1] : "", failed.what());
  }
}

}  // namespace syncline::server::command
