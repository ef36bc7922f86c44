// A server over a file of its own in a directory of its own, and the few things every test does with it.
//
// small_server: two tables (items with one key column and two scopes, tags with a text key of two columns),
// small pages and batches. demo_server: the demo as it ships. Thread: one, except that clients are
// independent. Failure: exceptions, which end the test.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json.hpp>

#include "tests/e2e/http_client.h"
#include "tests/e2e/server_process.h"
#include "tests/e2e/sql_file.h"
#include "tests/e2e/synced_copy.h"
#include "tests/temp_directory.h"

namespace syncline::e2e {

using syncline::testing::temp_directory;

// `--set` pairs in front of each setting.
[[nodiscard]] std::vector<std::string> with_settings(const std::vector<std::string>& settings);
// Schema and config of small_server; `database` is the path that the config names.
extern const char* const kSmallSchema;
[[nodiscard]] std::string small_config(const std::string& database);

class test_server {
 public:
  [[nodiscard]] std::uint16_t port() const { return process->port(); }
  answer get(std::string_view target, const std::vector<std::string>& headers = {}) const;
  answer send(std::string_view method, std::string_view target, std::string_view json,
              std::vector<std::string> headers = {}) const;
  // A line of /metrics: "name" or "name{label="x"}"; 0 when it is not there.
  [[nodiscard]] double metric(const std::string& series) const;
  [[nodiscard]] std::string metrics() const;
  [[nodiscard]] command_result check_feed() const;
  void restart();  // SIGKILL and start

  temp_directory directory;
  std::string database;  // path
  std::string config;    // path
  std::unique_ptr<server_process> process;
};

class small_server : public test_server {
 public:
  explicit small_server(const std::vector<std::string>& settings = {}, const std::string& more_sql = {});
};

class demo_server : public test_server {
 public:
  explicit demo_server(const std::vector<std::string>& settings = {});
};

// Lines of a stream up to and with the first that says up_to_date (or a reset); applied to `copy` when given.
std::vector<std::string> read_until_up_to_date(http_client& client, synced_copy* copy = nullptr);
// A whole stream without live=1: `target` is what follows "/v1/sync?".
std::vector<std::string> sync_once(std::uint16_t port, const std::string& target, synced_copy* copy = nullptr,
                                   const std::vector<std::string>& headers = {});
// The lines that put or remove, each as "put users 17".
[[nodiscard]] std::vector<std::string> changes_in(const std::vector<std::string>& lines);
// The next line that is not empty; nothing after `timeout_ms`.
[[nodiscard]] std::optional<std::string> next_news(http_client& client, int timeout_ms = 10000);

// What a bulk upload answered.
struct upload_answer {
  explicit upload_answer(const answer& got);
  int status = 0;
  std::vector<std::string> batches, rejected;  // lines as they came; `rejected` as "number code"
  boost::json::object summary;                 // empty when there was none
  boost::json::object failure;                 // the `error` line
  [[nodiscard]] std::int64_t count(std::string_view name) const;  // of the summary; -1 without
};
[[nodiscard]] upload_answer upload(std::uint16_t port, const std::string& target, std::string_view body,
                                   std::vector<std::string> headers = {});
[[nodiscard]] std::string gzip(std::string_view plain);

[[nodiscard]] boost::json::object json_object(const std::string& text);
[[nodiscard]] std::string problem_type(
    const answer& got);  // without "/problems/"; empty when it is no problem

// Polls until `holds` or `timeout_ms` passed; the last answer.
bool eventually(const std::function<bool()>& holds, int timeout_ms = 10000);

}  // namespace syncline::e2e
