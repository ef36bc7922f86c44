// `syncline sync`: follows GET /v1/sync and keeps a copy of the rows, as a log of lines or in a SQLite file.
//
// Thread: the main thread. Memory: one line and what is not written yet. It starts over when the server says
// so (reset); with `live` it stays and comes back with its last cursor when the connection ends, waiting
// longer each time, up to 30 s. Exit code: 0 up to date, 1 the stream failed or ended early (a further run
// goes on from the last checkpoint).
#pragma once

#include <string>

namespace syncline::server::command {

struct sync_command_options {
  std::string url = "http://127.0.0.1:8080";
  std::string ca_file;  // whom to trust with https; empty: the system's authorities
  std::string scope;
  std::string resources;
  bool live = false;
  std::string since;
  std::string state;     // file that keeps the cursor
  std::string out;       // file for lines; empty: standard output
  std::string database;  // SQLite file instead
  std::uint32_t silence_max_s = 90;
};

[[nodiscard]] int sync(const sync_command_options& options);

}  // namespace syncline::server::command
