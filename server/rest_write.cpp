// POST, PUT, PATCH and DELETE of one row.
//
// Order: headers, body, the memory of earlier requests with this Idempotency-Key, the store. What a key did
// is remembered in the transaction of the write; only what is known before the write can be in it, so a key
// that the database makes, and 201 instead of 200 for a PUT, are added by a second small write. If that one
// is lost (a crash in between), the same request again tells that it was done and shows no row.
#include <optional>

#include "server/allow.h"
#include "server/idempotency.h"
#include "server/problems.h"
#include "server/query.h"
#include "server/representation.h"
#include "server/routes.h"
#include "server/row_write.h"
#include "storage/key.h"

namespace syncline::server {
namespace {

using net::errc;
using storage::fate;
using storage::write_kind;

constexpr std::string_view kReplayed = "Idempotency-Replayed: true\r\n";

std::string location_line(const storage::resource& of, std::string_view key) {
  net::http::header_block headers;
  headers.add("Location", "/v1/" + encode_component(of.name) + "/" + storage::key_to_path(key));
  return std::string(headers.text());
}

void answer_fault(net::http::exchange& x, const storage::row_fault& fault) {
  std::string extra = ",\"code\":";
  storage::append_json_string(fault.code, extra);
  if (!fault.column.empty()) {
    extra.append(",\"column\":");
    storage::append_json_string(fault.column, extra);
  }
  std::string detail = fault.column.empty() ? fault.detail : fault.column + ": " + fault.detail;
  answer_problem(x, 422, "invalid-row", "The row was refused", std::move(detail), std::move(extra));
}

void answer_reused(net::http::exchange& x) {
  answer_problem(x, 422, "idempotency-key-reused", "This Idempotency-Key belongs to another request",
                 "Send a new key with a new request, and the same key only with the same request");
}

void answer_rejected(net::http::exchange& x, const row_write& asked, const net::error& why) {
  if (why.code == errc::invalid) {
    return answer_fault(x, storage::row_fault{"refused-by-database", {}, why.text()});
  }
  // The condition was ours: PUT on a resource that may only be created, or only be updated.
  if (why.code == errc::precondition_failed && !asked.conditional) {
    if (asked.condition.must_exist)
      return answer_not_found(x, "there is no row with this key, and PUT may not create one here");
    return answer_error(x, net::error(errc::conflict, "the row exists, and PUT may not replace it here"));
  }
  answer_error(x, why);
}

// 204 with a position: done, and no row to show.
void answer_done(net::http::exchange& x, std::int64_t position, std::string_view more) {
  const std::string headers = "Syncline-Position: " + std::to_string(position) + "\r\n" + std::string(more);
  const net::http::response_head head{.status = 204, .content_type = {}, .headers = headers};
  x.answer(head, std::string_view());
}

int status_of(write_kind kind, fate what) noexcept {
  if (kind == write_kind::remove) return 204;
  return kind == write_kind::create || what == fate::created ? 201 : 200;
}

saved_write saved_of(const row_write& asked, const storage::write_outcome& outcome) {
  const storage::row_result& result = outcome.rows.front();
  saved_write out;
  out.status = status_of(asked.kind, result.what);
  out.key = asked.key.empty() ? std::string(outcome.bytes, result.key_at, result.key_size) : asked.key;
  return out;
}

// What can be said before the write.
saved_write expected_of(const row_write& asked, const storage::write_batch& batch) {
  saved_write out;
  out.status = status_of(asked.kind, fate::updated);
  out.key = asked.key;
  if (asked.kind == write_kind::create) {
    if (auto key = storage::key_of_row(*asked.of, batch.cells)) out.key = std::move(*key);
  }
  return out;
}

void answer_outcome(net::http::exchange& x, const row_write& asked, const storage::write_outcome& outcome,
                    const saved_write& what) {
  const storage::row_result& result = outcome.rows.front();
  const std::string_view row = std::string_view(outcome.bytes).substr(result.json_at, result.json_size);
  const std::string more = what.status == 201 ? location_line(*asked.of, what.key) : std::string();
  // A row that the write took out of `where` (a soft delete) is no row any more.
  if (what.status == 204 || row.empty()) return answer_done(x, outcome.position, more);
  answer_written(x, what.status, row, outcome.position, more);
}

// The same request again: the status of then with the row of now.
net::task<void> replay(const services& with, net::http::exchange& x, const row_write& asked,
                       storage::idempotency before) {
  const auto what = saved_write::parse(before.saved);
  if (!what) {
    co_return answer_error(x, net::error(errc::corrupt, "what this Idempotency-Key did cannot be read"));
  }
  if (what->status == 204 || what->key.empty()) co_return answer_done(x, with.store->watermark(), kReplayed);
  std::string more = what->status == 201 ? location_line(*asked.of, what->key) : std::string();
  more.append(kReplayed);
  auto all = storage::projection::all(*asked.of);
  std::vector<std::string> keys;
  keys.push_back(what->key);
  auto read = co_await with.store->get(x.context(), *asked.of, std::move(all), std::move(keys));
  if (!read) co_return answer_error(x, read.error());
  if (read->slices.empty() || !read->slices.front().found) co_return answer_done(x, read->position, more);
  answer_written(x, what->status, read->json(read->slices.front()), read->position, more);
}

// False when this key is not known yet; otherwise the request is answered, or its peer is gone.
net::task<bool> answered_from_memory(const services& with, net::http::exchange& x, const row_write& asked) {
  std::string key = asked.idempotency_key;
  auto known = co_await with.store->recall(x.context(), std::move(key));
  if (!known) {
    answer_error(x, known.error());
    co_return true;
  }
  if (!*known) co_return false;
  if ((*known)->fingerprint != asked.fingerprint) {
    answer_reused(x);
    co_return true;
  }
  storage::idempotency before = std::move(**known);
  co_await replay(with, x, asked, std::move(before));
  co_return true;
}

storage::idempotency memory_of(const row_write& asked, std::string saved) {
  storage::idempotency out;
  out.key = asked.idempotency_key;
  out.fingerprint = asked.fingerprint;
  out.saved = std::move(saved);
  out.complete = true;
  return out;
}

// Adds to the memory of a key what was not known before its write. A failure is no failure of the request:
// see the top of this file.
net::task<void> remember_rest(const services& with, net::http::exchange& x, const row_write& asked,
                              std::string saved) {
  storage::write_batch marker;
  marker.of = asked.of;
  marker.kind = write_kind::upsert;
  marker.remember = memory_of(asked, std::move(saved));
  (void)co_await with.store->write(x.context(), std::move(marker));
}

net::task<void> answer_failed_write(const services& with, net::http::exchange& x, const row_write& asked,
                                    net::error why) {
  // Another node was faster with the same key.
  const bool beaten = why.code == errc::conflict && !asked.idempotency_key.empty();
  const bool answered = beaten && co_await answered_from_memory(with, x, asked);
  if (!answered) answer_error(x, why);
}

// `outcome` and `expected` live in the caller's frame, which waits for this.
net::task<void> answer_landed(const services& with, net::http::exchange& x, const row_write& asked,
                              const storage::write_outcome& outcome, const saved_write& expected) {
  if (outcome.rows.empty())
    co_return answer_error(x, net::error(errc::internal, "the store answered no row"));
  const storage::row_result& result = outcome.rows.front();
  if (result.what == fate::rejected) {
    co_return answer_rejected(x, asked,
                              result.why.value_or(net::error(errc::internal, "the store gave no reason")));
  }
  const saved_write what = saved_of(asked, outcome);
  if (!asked.idempotency_key.empty() && what.text() != expected.text()) {
    std::string saved = what.text();
    co_await remember_rest(with, x, asked, std::move(saved));
  }
  answer_outcome(x, asked, outcome, what);
}

net::task<void> write_once(const services& with, net::http::exchange& x, const row_write& asked,
                           storage::write_batch batch) {
  const saved_write expected = expected_of(asked, batch);
  if (!asked.idempotency_key.empty()) batch.remember = memory_of(asked, expected.text());
  auto outcome = co_await with.store->write(x.context(), std::move(batch));
  if (outcome) {
    co_await answer_landed(with, x, asked, *outcome, expected);
  } else {
    net::error why = outcome.error();
    co_await answer_failed_write(with, x, asked, std::move(why));
  }
}

net::task<void> write_idempotently(const services& with, net::http::exchange& x, const row_write& asked,
                                   storage::write_batch batch) {
  const requests_in_progress::claim mine(*with.in_progress, asked.idempotency_key);
  if (!mine) {
    co_return answer_problem(x, 409, "idempotency-in-progress",
                             "The first request with this Idempotency-Key is still being worked on",
                             "Send it again in a moment");
  }
  const bool answered = co_await answered_from_memory(with, x, asked);
  if (!answered) co_await write_once(with, x, asked, std::move(batch));
}

net::task<void> perform(const services& with, net::http::exchange& x, const storage::resource& of,
                        std::string key_segment) {
  const auto asked_nothing = query::parse(x.head().query, {});
  if (!asked_nothing) co_return answer_error(x, asked_nothing.error());
  auto asked = row_write::from(x, of, key_segment);
  if (!asked) co_return answer_error(x, asked.error());
  std::string body;
  if (asked->has_body()) {
    if (!asked->accepts(x.head().header("Content-Type"))) {
      const bool patch = asked->kind == write_kind::patch;
      co_return answer_unsupported_media_type(x, patch ? "Accept-Patch" : "Accept",
                                              patch ? kPatchTypes : "application/json");
    }
    const std::size_t bytes_max = with.settings->rest.write_body_bytes_max;
    x.set_body_limit(bytes_max);
    auto whole = co_await x.read_whole_body(bytes_max);
    if (!whole)
      co_return;  // the connection answers 400, 408 or 413 for a body that failed, or the peer is gone
    body = std::move(*whole);
  }
  storage::write_batch batch;
  if (const auto fault = asked->fill(body, with.settings->rest.write_body_bytes_max, batch))
    co_return answer_fault(x, *fault);
  if (asked->idempotency_key.empty()) {
    co_await write_once(with, x, *asked, std::move(batch));
    co_return;
  }
  asked->fingerprint = request_fingerprint(x.head().query, body);
  co_await write_idempotently(with, x, *asked, std::move(batch));
}

}  // namespace

net::task<void> create_row(const services& with, net::http::exchange& x, const storage::resource& of) {
  return perform(with, x, of, std::string());
}

net::task<void> write_row(const services& with, net::http::exchange& x, const storage::resource& of,
                          std::string key_segment) {
  return perform(with, x, of, std::move(key_segment));
}

}  // namespace syncline::server
