// The words that demo rows are made of: names, places and sentences of many languages and scripts.
//
// All of it is ours: common given names, family names, cities and plain sentences, with a Latin spelling for
// e-mail addresses. Thread: constant.
#pragma once

#include <span>
#include <string_view>

namespace syncline::server::command {

struct demo_name {
  std::string_view native;
  std::string_view latin;  // lower case, for addresses
};

struct demo_land {
  std::string_view lang;
  std::string_view country;
  std::string_view dial;
  bool family_first;
  std::string_view between;  // between the parts of a name
  std::span<const demo_name> given;
  std::span<const demo_name> family;
  std::span<const std::string_view> cities;
  std::span<const std::string_view> sentences;
};

[[nodiscard]] std::span<const demo_land> demo_lands();

// For categories and campaigns.
[[nodiscard]] std::span<const std::string_view> demo_causes();
[[nodiscard]] std::span<const std::string_view> demo_groups();
[[nodiscard]] std::span<const std::string_view> demo_tags();
[[nodiscard]] std::span<const std::string_view> demo_messages();

}  // namespace syncline::server::command
