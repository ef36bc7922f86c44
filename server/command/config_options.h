// How commands that need the config get it: file, environment and --set together.
//
// Thread: the main thread, before others start. Failure: load() prints the config_error and gives nothing.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/config.h"

namespace syncline::server::command {

struct config_options {
  std::string file;
  std::vector<std::string> overrides;
};

[[nodiscard]] std::optional<config> load(const config_options& from, std::string_view command);

// "syncline COMMAND: what" on standard error; 1, the exit code that goes with it.
int report_failure(std::string_view command, std::string_view what);

}  // namespace syncline::server::command
