// The table of all settings: path, unit, range and meaning in one place; parsing, overrides and documentation
// are made from it.
//
// A new setting is a member of an options struct and one line in config_schema.cpp. Resources and merges are
// no settings (config_resources.h). Thread: constant after the first call. Failure: assign() gives what is
// wrong and what is allowed, as text; it throws nothing.
//
// Invariants
//  1. Every setting's default (default_config()) is allowed by the table.
//  2. No path is a section of another: "http" is not a setting while "http.port" is one.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include <boost/json/value.hpp>

#include "server/config.h"

namespace syncline::server {

using setting_field =
    std::variant<bool& (*)(config&), std::uint16_t& (*)(config&), std::uint32_t& (*)(config&),
                 std::uint64_t& (*)(config&), int& (*)(config&), std::string& (*)(config&),
                 perf::log_level& (*)(config&)>;

struct setting {
  std::string_view path;
  setting_field field;
  std::uint64_t min = 0, max = 0;  // of a number
  std::string_view choices;        // of a text: "FULL, NORMAL"; empty: any text
  std::string_view unit;
  std::string_view meaning;
};

[[nodiscard]] std::span<const setting> all_settings();
[[nodiscard]] const setting* find_setting(std::string_view path);
[[nodiscard]] config default_config();

struct setting_fault {
  std::string what;
  std::string allowed;
};
[[nodiscard]] std::optional<setting_fault> assign(config& to, const setting& which,
                                                  const boost::json::value& value);
// From the text of an environment variable or --set.
[[nodiscard]] std::optional<setting_fault> assign_text(config& to, const setting& which,
                                                       std::string_view text);
[[nodiscard]] std::string value_text(const config& of, const setting& which);
[[nodiscard]] std::string_view type_name(const setting& which);
[[nodiscard]] std::string allowed_text(const setting& which);
// SYNCLINE_HTTP__PORT for http.port.
[[nodiscard]] std::string environment_name(std::string_view path);
// One "path = value" line for each setting, as it is in force.
[[nodiscard]] std::string effective_settings(const config& of);

}  // namespace syncline::server
