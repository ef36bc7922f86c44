#include "server/problems.h"

#include <algorithm>
#include <array>

#include "perf/log.h"
#include "perf/metrics.h"
#include "storage/row_json.h"

namespace syncline::server {
namespace {

using net::errc;

struct problem_row {
  errc code;
  int status;
  std::string_view type;
  std::string_view title;
  std::uint32_t retry_after_s;  // when the error does not say
};

// docs/api.md lists each of these; cancelled and closed have nobody to answer.
constexpr std::array<problem_row, 14> kByCode{{
    {errc::invalid, 400, "invalid-request", "The request is not valid", 0},
    {errc::not_found, 404, "not-found", "There is nothing here", 0},
    {errc::conflict, 409, "conflict", "The state of the data forbids it", 0},
    {errc::precondition_failed, 412, "precondition-failed",
     "The row is not in the state the request asks for", 0},
    {errc::too_large, 413, "too-large", "The request is over a limit", 0},
    {errc::corrupt, 500, "corrupt", "Stored data could not be read", 0},
    {errc::internal, 500, "internal", "The server failed", 0},
    {errc::unsupported, 501, "unsupported", "This server does not do that", 0},
    {errc::overloaded, 503, "overloaded", "The server has too much to do", 1},
    {errc::locked, 503, "database-locked", "The database is locked by another process", 1},
    {errc::down, 503, "storage-down", "The database does not answer", 1},
    {errc::schema_mismatch, 503, "schema-mismatch", "The database no longer fits the configuration", 0},
    {errc::timed_out, 504, "timed-out", "The request took too long", 0},
    {errc::disk_full, 507, "disk-full", "The database has no room left", 0},
}};

constexpr std::array<std::string_view, 11> kOtherTypes{"method-not-allowed",
                                                       "unsupported-media-type",
                                                       "unsupported-encoding",
                                                       "invalid-row",
                                                       "bad-body",
                                                       "body-too-large",
                                                       "idempotency-key-reused",
                                                       "idempotency-in-progress",
                                                       "not-a-websocket",
                                                       "origin-not-allowed",
                                                       "other"};

// Registered once, found by a linear look: problems are few and no hit path.
struct problem_counters {
  std::array<std::pair<std::string_view, perf::counter>, kByCode.size() + kOtherTypes.size()> all;
  problem_counters() {
    std::size_t at = 0;
    const auto add = [this, &at](std::string_view type) {
      all[at++] = {type, perf::metrics::add_counter("syncline_problems_total", "Problems answered",
                                                    {{"type", std::string(type)}})};
    };
    for (const auto& row : kByCode) add(row.type);
    for (const std::string_view type : kOtherTypes) add(type);
  }
};

void count(std::string_view type) {
  static const problem_counters counters;
  const auto found = std::find_if(counters.all.begin(), counters.all.end() - 1,
                                  [type](const auto& one) { return one.first == type; });
  found->second.add();  // the last one is "other"
}

// A problem with header lines that http::problem has no place for. Title and detail must be UTF-8.
void answer_with_lines(net::http::exchange& x, int status, std::string_view type, std::string_view title,
                       std::string_view detail, std::string_view lines) {
  count(type);
  std::string body = "{\"type\":\"/problems/";
  body.append(type).append("\",\"title\":");
  storage::append_json_string(title, body);
  body.append(",\"status\":").append(std::to_string(status)).append(",\"detail\":");
  storage::append_json_string(detail, body);
  body.append("}\n");
  const net::http::response_head head{
      .status = status, .content_type = "application/problem+json", .headers = lines};
  x.answer(head, std::string_view(body));
}

const problem_row& row_of(const net::error& failure) {
  const auto found = std::find_if(kByCode.begin(), kByCode.end(),
                                  [&failure](const problem_row& row) { return row.code == failure.code; });
  return found != kByCode.end() ? *found : kByCode[6];
}

// What the client may read; the rest goes to the log.
std::string public_detail(const problem_row& row, const net::error& failure, std::string_view request) {
  std::string detail = failure.text();
  if (row.status != 500 && failure.code != errc::schema_mismatch) return detail;
  perf::log_error("request failed",
                  {{"request", request}, {"code", net::to_string(failure.code)}, {"why", detail}});
  detail = "See the server's log";
  if (!request.empty()) detail.append(" for request ").append(request);
  return detail;
}

}  // namespace

void answer_error(net::http::exchange& x, const net::error& failure) {
  if (failure.code == errc::cancelled || failure.code == errc::closed) return;
  const problem_row& row = row_of(failure);
  count(row.type);
  const std::string type = "/problems/" + std::string(row.type);
  net::http::problem out{.status = row.status, .type = type, .title = row.title, .detail = {}, .extra = {}};
  out.detail = public_detail(row, failure, x.context().request_id);
  out.retry_after_s = failure.retry_after_ms != 0 ? (failure.retry_after_ms + 999) / 1000 : row.retry_after_s;
  net::http::answer_problem(x, out);
}

void append_problem_members(const net::error& failure, std::string_view request, std::string& out) {
  const problem_row& row = row_of(failure);
  count(row.type);
  out.append("\"type\":\"/problems/").append(row.type).append("\",\"title\":");
  storage::append_json_string(row.title, out);
  out.append(",\"status\":").append(std::to_string(row.status)).append(",\"detail\":");
  storage::append_json_string(public_detail(row, failure, request), out);
}

void answer_problem(net::http::exchange& x, int status, std::string_view type, std::string_view title,
                    std::string detail, std::string extra) {
  count(type);
  const std::string uri = "/problems/" + std::string(type);
  net::http::problem out{.status = status, .type = uri, .title = title, .detail = {}, .extra = {}};
  out.detail = std::move(detail);
  out.extra = std::move(extra);
  net::http::answer_problem(x, out);
}

void answer_not_found(net::http::exchange& x, std::string_view what) {
  answer_error(x, net::error(errc::not_found, what));
}

void answer_method_not_allowed(net::http::exchange& x, std::string_view allow) {
  net::http::header_block headers;
  headers.add("Allow", allow);
  answer_with_lines(x, 405, "method-not-allowed", "This method is not allowed here",
                    "The header Allow lists what is", headers.text());
}

void answer_unsupported_media_type(net::http::exchange& x, std::string_view header, std::string_view wanted) {
  net::http::header_block headers;
  headers.add(header, wanted);
  answer_with_lines(x, 415, "unsupported-media-type", "The body's media type is not supported",
                    "Send Content-Type: " + std::string(wanted.substr(0, wanted.find(','))), headers.text());
}

void answer_refused_upgrade(net::http::exchange& x, int status, std::string_view detail,
                            std::string_view lines) {
  answer_with_lines(x, status, "not-a-websocket", "This is a WebSocket", detail, lines);
}

}  // namespace syncline::server
