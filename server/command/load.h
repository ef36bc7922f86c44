// `syncline load`: streams a file to POST /v1/{resource}/bulk and reports each row's fate while the upload
// runs.
//
// Thread: the main thread reads the answer, a second one reads the file and sends. Memory: flat, whatever the
// file's size. Exit code: 0 every row was taken, 2 rows were rejected, 1 the upload failed or ended early.
#pragma once

#include <string>

namespace syncline::server::command {

struct load_options {
  std::string file;  // "-": standard input
  std::string url = "http://127.0.0.1:8080";
  std::string ca_file;  // whom to trust with https; empty: the system's authorities
  std::string resource;
  std::string format;  // ndjson or csv; empty: by the file's name
  std::string conflict = "upsert";
  bool atomic = false;
  bool dry_run = false;
  bool gzip = false;
  std::string idempotency_key;
};

[[nodiscard]] int load_file(const load_options& options);

}  // namespace syncline::server::command
