// `syncline introspect`, `migrate` and `check-feed`: what looks at a database file while no request does.
//
// The server may run meanwhile: each takes the same locks as any other process. Thread: the main thread,
// blocking. Failure: a message on standard error and exit code 1; check-feed gives 2 when table and feed
// differ and it did not repair them.
#pragma once

#include <string>

#include "server/command/config_options.h"

namespace syncline::server::command {

struct migrate_options {
  config_options from;
  bool dry_run = false;
  bool remove = false;
};

struct check_feed_options {
  config_options from;
  bool repair = false;
};

[[nodiscard]] int introspect(const std::string& database);
[[nodiscard]] int migrate(const migrate_options& options);
[[nodiscard]] int check_feed(const check_feed_options& options);

}  // namespace syncline::server::command
