// The schema work of a database, whichever engine it is: what `introspect`, `migrate` and `check-feed` call.
//
// Thread: the main thread, blocking. Failure: result<>; each call opens what it needs and closes it again.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "net/core/error.h"
#include "server/config.h"
#include "storage/schema_report.h"

namespace syncline::server::command {

class schema_access {
 public:
  virtual ~schema_access() = default;
  [[nodiscard]] virtual net::result<storage::migrate_report> migrate(
      storage::catalog& all, bool dry_run, const storage::migrate_progress& progress) = 0;
  [[nodiscard]] virtual net::result<storage::migrate_report> remove(const storage::catalog& all,
                                                                    bool dry_run) = 0;
  // Compares the declaration with the tables first.
  [[nodiscard]] virtual net::result<storage::check_report> check_feed(storage::catalog& all, bool repair) = 0;
  // The `resources` object of a config.
  [[nodiscard]] virtual net::result<std::string> introspect() = 0;
  // The `storage` object of a config, without secrets.
  [[nodiscard]] virtual std::string settings_text() const = 0;
  [[nodiscard]] virtual std::string name() const = 0;  // for messages
};

// Of the engine that the config names.
[[nodiscard]] net::result<std::unique_ptr<schema_access>> open_schema(const config& settings);
// Of a file's name or a mysql:// URL; nothing is written through it.
[[nodiscard]] net::result<std::unique_ptr<schema_access>> open_schema(const std::string& database);

}  // namespace syncline::server::command
