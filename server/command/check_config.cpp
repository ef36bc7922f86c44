#include "server/command/check_config.h"

#include <cstdio>

#include <fmt/format.h>

#include "server/config_schema.h"

namespace syncline::server::command {
namespace {

std::string resource_line(const storage::resource& of) {
  std::string out =
      fmt::format("resource {}: table {}, {} columns, key", of.name, of.table, of.columns.size());
  for (const std::size_t index : of.key) out += " " + of.columns[index].name;
  for (const storage::scope_rule& each : of.scopes)
    out += fmt::format(", scope {} in {}", each.name, of.columns[each.column].name);
  if (of.view) out += ", view";
  return out;
}

std::string merge_line(const storage::merge& of) {
  std::string out = fmt::format("merge {} of {}:", of.name, of.root->name);
  for (const storage::merge_part& each : of.parts) out += " " + each.name;
  return out;
}

}  // namespace

int check_config(const check_config_options& options) {
  if (options.defaults) {
    fmt::print("{}", settings_table());
    return 0;
  }
  const auto settings = load(options.from, "check-config");
  if (!settings) return 1;
  fmt::print("OK\n\n{}", effective_settings(*settings));
  for (std::size_t i = 0; i < settings->resources.size(); ++i) {
    fmt::print("{}{}\n", i == 0 ? "\n" : "", resource_line(settings->resources.at(i)));
  }
  for (const storage::merge& each : settings->resources.merges()) fmt::print("{}\n", merge_line(each));
  return 0;
}

}  // namespace syncline::server::command
