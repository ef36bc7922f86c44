#include "server/command/config_options.h"

#include <cstdio>

#include <unistd.h>

#include <fmt/format.h>

namespace syncline::server::command {
namespace {

std::vector<std::pair<std::string, std::string>> syncline_variables() {
  std::vector<std::pair<std::string, std::string>> out;
  for (char** each = environ; each != nullptr && *each != nullptr; ++each) {
    const std::string_view variable(*each);
    const std::size_t equals = variable.find('=');
    if (!variable.starts_with("SYNCLINE_") || equals == std::string_view::npos) continue;
    out.emplace_back(variable.substr(0, equals), variable.substr(equals + 1));
  }
  return out;
}

}  // namespace

std::optional<config> load(const config_options& from, std::string_view command) {
  try {
    config_sources sources;
    sources.file = from.file;
    sources.environment = syncline_variables();
    sources.overrides = from.overrides;
    return load_config(sources);
  } catch (const config_error& failed) {
    report_failure(command, failed.what());
    return std::nullopt;
  }
}

int report_failure(std::string_view command, std::string_view what) {
  fmt::print(stderr, "syncline {}: {}\n", command, what);
  return 1;
}

}  // namespace syncline::server::command
