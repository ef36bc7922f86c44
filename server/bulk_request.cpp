#include "server/bulk_request.h"

#include <fmt/format.h>

#include "server/problems.h"
#include "server/query.h"
#include "storage/resource.h"

namespace syncline::server {

using net::errc;

std::optional<bulk_request> read_bulk_request(net::http::exchange& x, const storage::resource& of) {
  bulk_request request;
  request.of = &of;
  auto asked = query::parse(x.head().query, {"conflict", "atomic", "dry_run", "format"});
  if (!asked) return answer_error(x, asked.error()), std::nullopt;
  const auto atomic = asked->flag("atomic");
  const auto dry_run = asked->flag("dry_run");
  if (!atomic) return answer_error(x, atomic.error()), std::nullopt;
  if (!dry_run) return answer_error(x, dry_run.error()), std::nullopt;
  request.atomic = *atomic;
  request.dry_run = *dry_run;
  const std::string conflict = asked->has("conflict") ? *asked->find("conflict") : "upsert";
  if (conflict == "insert") {
    request.kind = storage::write_kind::insert;
  } else if (conflict == "skip") {
    request.kind = storage::write_kind::skip;
  } else if (conflict != "upsert") {
    return answer_error(
               x, net::error(errc::invalid, "parameter `conflict` must be upsert, insert or skip", conflict)),
           std::nullopt;
  }
  const std::string_view type = x.head().header("Content-Type");
  const std::string_view plain = type.substr(0, type.find(';'));
  std::string format = net::http::iequals(plain, "text/csv") ? "csv" : "ndjson";
  if (asked->has("format")) format = *asked->find("format");
  if (format != "ndjson" && format != "csv") {
    return answer_error(x, net::error(errc::invalid, "parameter `format` must be ndjson or csv", format)),
           std::nullopt;
  }
  request.format = format == "csv" ? bulk_format::csv : bulk_format::ndjson;
  const std::string_view coding = x.head().header("Content-Encoding");
  request.gzip = net::http::iequals(coding, "gzip") || net::http::iequals(coding, "x-gzip");
  if (!coding.empty() && !request.gzip && !net::http::iequals(coding, "identity")) {
    answer_problem(x, 415, "unsupported-encoding", "Content-Encoding is not supported",
                   "send gzip or nothing");
    return std::nullopt;
  }
  request.fingerprint = storage::hash_bytes(
      fmt::format("{} {} {} {} {}", of.name, conflict, format, request.atomic, request.dry_run));
  return request;
}

}  // namespace syncline::server
