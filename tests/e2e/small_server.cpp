#include "tests/e2e/small_server.h"

#include <zlib.h>

#include <chrono>
#include <iterator>
#include <stdexcept>
#include <thread>

#include "tests/source_folder.h"

namespace syncline::e2e {

const char* const kSmallSchema = R"(
PRAGMA journal_mode=WAL;
CREATE TABLE items(id INTEGER PRIMARY KEY, owner INTEGER, name TEXT UNIQUE, note TEXT, size INTEGER CHECK(size >= 0), deleted INTEGER NOT NULL DEFAULT 0);
CREATE INDEX items_owner ON items(owner);
CREATE TABLE tags(word TEXT NOT NULL, place TEXT NOT NULL, owner INTEGER, label TEXT, PRIMARY KEY(word, place));
CREATE INDEX tags_owner ON tags(owner);
)";

std::string small_config(const std::string& database) {
  return R"({
  "cores": {"count": 2},
  "drain_deadline_ms": 5000,
  "storage": {"sqlite": {"path": ")" +
         database + R"(", "migrate_on_start": true, "synchronous": "NORMAL"}},
  "sync": {"page_rows_max": 50},
  "bulk": {"batch_rows": 10},
  "resources": {
    "items": {"table": "items", "key": "id",
      "columns": {"id": "int64", "owner": "int64", "name": {"type": "string", "bytes_max": 40}, "note": "string", "size": "int64"},
      "scope": {"user": "owner"}, "where": "deleted = 0",
      "write": {"create": true, "update": true, "delete": true, "bulk": true}},
    "tags": {"table": "tags", "key": ["word", "place"],
      "columns": {"word": "string", "place": "string", "owner": "int64", "label": "string"},
      "scope": {"user": "owner"},
      "write": {"create": true, "update": true, "delete": true, "bulk": true}}
  }
})";
}

std::vector<std::string> with_settings(const std::vector<std::string>& settings) {
  std::vector<std::string> out;
  for (const auto& each : settings) {
    out.emplace_back("--set");
    out.push_back(each);
  }
  return out;
}

answer test_server::get(std::string_view target, const std::vector<std::string>& headers) const {
  return fetch(port(), "GET", target, {}, headers);
}

answer test_server::send(std::string_view method, std::string_view target, std::string_view json,
                         std::vector<std::string> headers) const {
  if (!json.empty()) headers.emplace_back("Content-Type: application/json");
  return fetch(port(), method, target, json, headers);
}

std::string test_server::metrics() const {
  return fetch(process->admin_port(), "GET", "/metrics").body;
}

double test_server::metric(const std::string& series) const {
  const std::string all = "\n" + metrics();
  const auto at = all.find("\n" + series + " ");
  return at == std::string::npos ? 0 : std::stod(all.substr(at + series.size() + 2));
}

command_result test_server::check_feed() const {
  return run_syncline({"check-feed", "--config", config, "--set", "storage.sqlite.path=" + database});
}

void test_server::restart() {
  process->kill();
  process->start();
}

small_server::small_server(const std::vector<std::string>& settings, const std::string& more_sql) {
  database = directory.file("small.db");
  sql_file(database).run(kSmallSchema + more_sql);
  config = directory.write("small.json", small_config(database));
  process = std::make_unique<server_process>(config, with_settings(settings));
}

demo_server::demo_server(const std::vector<std::string>& settings) {
  database = directory.file("demo.db");
  const auto made = run_syncline({"demo-data", "--db", database});
  if (made.exit_code != 0) throw std::runtime_error(made.output);
  std::ifstream shipped(syncline::testing::source_folder() + "/configs/demo/syncline.json", std::ios::binary);
  config = directory.write("syncline.json", std::string(std::istreambuf_iterator<char>(shipped), {}));
  std::vector<std::string> all = settings;
  all.push_back("storage.sqlite.path=" + database);
  process = std::make_unique<server_process>(config, with_settings(all));
}

std::vector<std::string> read_until_up_to_date(http_client& client, synced_copy* copy) {
  std::vector<std::string> lines;
  while (auto line = client.next_line(20000)) {
    if (line->empty()) continue;
    if (copy != nullptr) copy->apply(*line);
    lines.push_back(std::move(*line));
    if (lines.back().starts_with(R"({"op":"up_to_date")") || lines.back().starts_with(R"({"op":"reset")"))
      return lines;
  }
  throw std::runtime_error("the stream ended before it was up to date, after " +
                           std::to_string(lines.size()) + " lines");
}

std::vector<std::string> sync_once(std::uint16_t port, const std::string& target, synced_copy* copy,
                                   const std::vector<std::string>& headers) {
  http_client client(port);
  if (const int status = client.open_stream("/v1/sync?" + target, headers); status != 200) {
    throw std::runtime_error("sync answered " + std::to_string(status) + " for " + target);
  }
  auto lines = read_until_up_to_date(client, copy);
  if (client.next_line(10000)) throw std::runtime_error("a line after up_to_date without live=1");
  return lines;
}

std::vector<std::string> changes_in(const std::vector<std::string>& lines) {
  std::vector<std::string> out;
  for (const auto& line : lines) {
    const auto object = json_object(line);
    const std::string op(object.at("op").as_string());
    if (op != "put" && op != "remove") continue;
    out.push_back(op + " " + std::string(object.at("resource").as_string()) + " " +
                  boost::json::serialize(object.at("id")));
  }
  return out;
}

std::optional<std::string> next_news(http_client& client, int timeout_ms) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now())
            .count();
    if (left <= 0) return std::nullopt;
    auto line = client.next_line(static_cast<int>(left));
    if (!line || !line->empty()) return line;
  }
}

upload_answer::upload_answer(const answer& got) : status(got.status) {
  if (got.header("content-type") != "application/x-ndjson") return;
  std::size_t at = 0;
  for (std::size_t end = 0; (end = got.body.find("\r\n", at)) != std::string::npos; at = end + 2) {
    const std::string line = got.body.substr(at, end - at);
    const auto object = json_object(line);
    const std::string kind(object.at("line").as_string());
    if (kind == "batch") batches.push_back(line);
    if (kind == "rejected")
      rejected.push_back(boost::json::serialize(object.at("number")) + " " +
                         std::string(object.at("code").as_string()));
    if (kind == "summary") summary = object;
    if (kind == "error") failure = object;
  }
}

std::int64_t upload_answer::count(std::string_view name) const {
  const auto* value = summary.if_contains(name);
  return value == nullptr ? -1 : value->to_number<std::int64_t>();
}

upload_answer upload(std::uint16_t port, const std::string& target, std::string_view body,
                     std::vector<std::string> headers) {
  return upload_answer(fetch(port, "POST", target, body, headers));
}

std::string gzip(std::string_view plain) {
  z_stream stream{};
  if (deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    throw std::runtime_error("deflateInit2 failed");
  std::string out(deflateBound(&stream, plain.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(plain.data()));
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

boost::json::object json_object(const std::string& text) {
  boost::json::error_code failed;
  boost::json::value value = boost::json::parse(text, failed);
  if (failed || !value.is_object()) throw std::runtime_error("no JSON object: " + text);
  return std::move(value.as_object());
}

std::string problem_type(const answer& got) {
  if (got.header("content-type") != "application/problem+json") return {};
  const auto object = json_object(got.body);
  const std::string type(object.at("type").as_string());
  if (object.at("status").to_number<int>() != got.status) return "status differs from the answer's";
  constexpr std::string_view kPrefix = "/problems/";
  return type.starts_with(kPrefix) ? type.substr(kPrefix.size()) : type;
}

bool eventually(const std::function<bool()>& holds, int timeout_ms) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

}  // namespace syncline::e2e
