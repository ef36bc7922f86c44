// `syncline demo-data`: realistic rows for the demo, as NDJSON files, on standard output, or straight into a
// SQLite file.
//
// Thread: the main thread of the command. Memory: flat, whatever the number of users. Failure: a message on
// standard error and exit code 1.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "net/core/error.h"

namespace syncline::server::command {

struct demo_data_options {
  std::string directory;  // writes <resource>.ndjson there
  std::string database;   // makes the tables there, when they are not there
  bool fill = false;      // and puts the rows in
  bool standard_output = false;
  std::string resource;  // only this one; empty: all
  std::uint64_t users = 26'000;
  std::uint64_t seed = 1;
};

[[nodiscard]] int demo_data(const demo_data_options& options);

// The text of configs/demo/schema.sql, built in.
[[nodiscard]] std::string_view demo_schema();
// Makes the demo's tables and indexes in the file (and the file).
[[nodiscard]] net::result<void> make_demo_database(const std::string& path);
// Puts the rows in; those whose key is there stay as they are. Returns how many were put in.
[[nodiscard]] net::result<std::uint64_t> fill_demo_database(const std::string& path,
                                                            const demo_data_options& options);

}  // namespace syncline::server::command
