// What migrate and check-feed did, whatever the engine.
//
// Thread: values. Bound: kExamplesMax examples.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace syncline::storage {

struct migrate_report {
  std::vector<std::string> statements;  // run, or to be run (dry run)
  std::uint64_t rows_numbered = 0;
  std::vector<std::string> resources_restarted;  // their triggers or identity had changed: incarnation bumped
};
using migrate_progress = std::function<void(std::string_view resource, std::uint64_t rows_done)>;

inline constexpr std::size_t kExamplesMax = 20;

// Rows without their entries, and entries that say "present" (gone_at NULL) for rows that are not there.
struct check_report {
  std::uint64_t rows_checked = 0, entries_checked = 0;
  std::uint64_t missing_entries = 0, wrong_hints = 0, unknown_resources = 0;
  std::vector<std::string> examples;
  [[nodiscard]] bool clean() const {
    return missing_entries == 0 && wrong_hints == 0 && unknown_resources == 0;
  }
};

// One call of purge_tombstones().
struct purge_result {
  std::uint64_t deleted = 0;
  bool more = false;  // the call's limit was met: the next one may find work
};

// A row of syncline_resource: what a resource is called in the feed, and how often it started over.
struct resource_row {
  std::int64_t id = 0;  // 0: there is none
  std::int64_t incarnation = 0;
};

}  // namespace syncline::storage
