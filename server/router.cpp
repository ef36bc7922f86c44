#include "server/router.h"

#include <array>
#include <chrono>

#include "server/allow.h"
#include "server/problems.h"
#include "server/routes.h"

namespace syncline::server {
namespace {

using net::http::method;
using net::http::tried;

constexpr std::string_view kVersion = "/v1/";
constexpr std::size_t kSegmentsMax = 3;

// What a path names; views into the request's target.
struct destination {
  bool known = false;
  place where = place::row;
  const storage::resource* of = nullptr;
  std::string_view key;
  const storage::merge* what = nullptr;
};

struct segments {
  std::array<std::string_view, kSegmentsMax> at;
  std::size_t count = 0;
  bool good = false;
};

// Refuses empty and dot segments (so also a trailing slash): two spellings of one path would be two cache
// keys somewhere.
segments split_path(std::string_view path) noexcept {
  segments out;
  std::size_t begin = 0;
  // By byte: segments are short, and a search costs a call for each.
  for (std::size_t at = 0; at <= path.size(); ++at) {
    if (at != path.size() && path[at] != '/') continue;
    const std::string_view segment(path.data() + begin, at - begin);
    if (segment.empty() || segment == "." || segment == ".." || out.count == kSegmentsMax) return out;
    out.at[out.count++] = segment;
    begin = at + 1;
  }
  out.good = true;
  return out;
}

destination find_destination(const storage::catalog& resources, std::string_view path) noexcept {
  destination out;
  if (!path.starts_with(kVersion)) return out;
  const segments parts = split_path(path.substr(kVersion.size()));
  if (!parts.good) return out;
  if (parts.at[0] == "sync" || parts.at[0] == "subscribe") {
    out.known = parts.count == 1;
    out.where = parts.at[0] == "sync" ? place::sync : place::subscribe;
    return out;
  }
  out.of = resources.find(parts.at[0]);
  if (out.of == nullptr) return out;
  out.known = true;
  if (parts.count == 1) {
    out.where = place::collection;
    return out;
  }
  out.key = parts.at[1];
  out.where = out.key == "bulk" ? place::bulk : place::row;
  if (parts.count == 2) return out;
  out.where = place::merged;
  out.what = resources.find_merge(*out.of, parts.at[2]);
  out.known = out.what != nullptr;
  return out;
}

std::string_view route_label(const destination& to, method verb) noexcept {
  if (!to.known) return "unknown";
  if (verb == method::options) return "OPTIONS";
  const bool reads = verb == method::get || verb == method::head;
  switch (to.where) {
    case place::sync:
      return "GET /v1/sync";
    case place::subscribe:
      return "GET /v1/subscribe";
    case place::merged:
      return "GET /v1/{resource}/{key}/{merge}";
    case place::collection:
      return reads ? "GET /v1/{resource}" : "POST /v1/{resource}";
    case place::bulk:
    case place::row:
      break;
  }
  switch (verb) {
    case method::post:
      return "POST /v1/{resource}/bulk";
    case method::put:
      return "PUT /v1/{resource}/{key}";
    case method::patch:
      return "PATCH /v1/{resource}/{key}";
    case method::del:
      return "DELETE /v1/{resource}/{key}";
    default:
      return "GET /v1/{resource}/{key}";
  }
}

void answer_options(net::http::exchange& x, const destination& to) {
  net::http::header_block headers;
  headers.add("Allow", allow_list(to.where, to.of));
  if (allows(to.where, to.of, method::patch)) headers.add("Accept-Patch", kPatchTypes);
  const net::http::response_head head{.status = 204, .content_type = {}, .headers = headers.text()};
  x.answer(head, std::string_view());
}

net::task<void> nothing_left_to_do() {
  co_return;
}

}  // namespace

router::router(const services& with)
    : loader_(*with.store, *with.resources, with.threads, with.settings->rest.gzip_bytes_min), with_(with) {
  with_.row_loader = &loader_;
  with_.in_progress = &in_progress_;
}

tried router::try_answer(net::http::exchange& x) {
  const auto& head = x.head();
  const destination to = find_destination(*with_.resources, head.path);
  x.set_route(route_label(to, head.verb));
  if (!to.known) {
    answer_not_found(x, "there is nothing at this path");
    return tried::answered;
  }
  if (!allows(to.where, to.of, head.verb)) {
    answer_method_not_allowed(x, allow_list(to.where, to.of));
    return tried::answered;
  }
  if (head.verb == method::options) {
    answer_options(x, to);
    return tried::answered;
  }
  const bool reads_row = (to.where == place::row || to.where == place::bulk) &&
                         (head.verb == method::get || head.verb == method::head);
  return reads_row ? try_read_row(with_, x, *to.of, to.key) : tried::need_task;
}

// No coroutine of its own: the handler's task is the answer, one frame less for each request.
net::task<void> router::answer(net::http::exchange& x) {
  const auto& head = x.head();
  const destination to = find_destination(*with_.resources, head.path);
  // A handler is only called for what try_answer() let through; a caller that skipped it gets the same
  // answers.
  if (!to.known || !allows(to.where, to.of, head.verb) || head.verb == method::options) {
    if (!x.answered()) (void)try_answer(x);
    return nothing_left_to_do();
  }
  x.set_route(route_label(to, head.verb));
  auto& context = x.context();
  if (to.where == place::sync) {
    context.set_work(net::work_class::sync);
    return sync_stream(with_, x);
  }
  if (to.where == place::subscribe) {
    subscribe(with_, x);
    return nothing_left_to_do();
  }
  if (to.where == place::bulk && head.verb == method::post) {
    context.set_work(net::work_class::bulk);
    return bulk_upload(with_, x, *to.of);
  }
  context.set_work(net::work_class::interactive);
  context.set_deadline(std::chrono::steady_clock::now() +
                       std::chrono::milliseconds(with_.settings->rest.request_timeout_ms));
  if (to.what != nullptr) return read_merge(with_, x, *to.what, std::string(to.key));
  if (to.where == place::collection) {
    return head.verb == method::post ? create_row(with_, x, *to.of) : list_rows(with_, x, *to.of);
  }
  if (head.verb == method::get || head.verb == method::head)
    return read_row(with_, x, *to.of, std::string(to.key));
  return write_row(with_, x, *to.of, std::string(to.key));
}

}  // namespace syncline::server
