// Answers of a connection: complete ones, streamed ones, and the ones it gives itself when a handler gave
// none.
#include <array>
#include <charconv>
#include <cstring>

#include "net/http/connection.h"
#include "perf/log.h"

namespace syncline::net::http {

namespace {

// A larger body is sent from where it is: copying 16 KB costs about as much as the second entry of a gathered
// write.
constexpr std::size_t kCopyBytesMax = 16 * 1024;
constexpr std::uint64_t kLeftBytesMax = 64 * 1024;

bool status_without_body(int status) noexcept {
  return status < 200 || status == 204 || status == 304;
}

}  // namespace

// Reading a body nobody wants is only worth it while it is short; and a client that waits for 100-continue
// may or may not send it (RFC 9110 section 10.1.1), so then nothing after the head can be trusted.
bool connection::body_can_be_left() const noexcept {
  const workspace& w = *ws_;
  if (w.body.done()) return true;
  if (w.head.expect_continue && !w.continue_sent && w.body.untouched()) return false;
  return w.body.left() <= kLeftBytesMax;
}

bool connection::start_answer(const response_head& head, body_framing framing, std::uint64_t length,
                              std::size_t more_room) {
  workspace& w = *ws_;
  if (w.answered) {
    perf::log_error("a handler answered twice", {{"route", w.route}, {"status", head.status}});
    return false;
  }
  w.answered = true;
  w.status = head.status;
  const bool never_body = status_without_body(head.status);
  w.without_body = never_body || w.head.verb == method::head;
  if (never_body) framing = body_framing::none;
  if (!w.without_body) w.body_bytes = length;
  if (head.close || framing == body_framing::until_close || part_.draining()) close_after_ = true;

  connection_line line = connection_line::none;
  if (close_after_) {
    line = connection_line::close;
  } else if (w.head.minor == 0) {
    line = connection_line::keep_alive;
  }
  const head_lines lines{head, part_.standard_lines(), w.context.request_id, framing, length, line};
  char* const to = w.out.prepare(head_bytes_max(lines) + more_room);
  char* const end = write_head(to, lines);
  w.out.commit(static_cast<std::size_t>(end - to));
  return true;
}

// An answer that is half written cannot be taken back, nor a second one put behind it.
void connection::give_up_answer() noexcept {
  perf::log_error("a connection was closed for lack of memory");
  ws_->answered = ws_->ended = true;
  socket_.set_peer_gone();  // finish_request() closes
}

void connection::answer(const response_head& head, std::string_view body) {
  try {
    if (!body_can_be_left()) close_after_ = true;
    if (!start_answer(head, body_framing::length, body.size(), body.size())) return;
    if (!ws_->without_body) ws_->out.append(body);
    ws_->ended = true;
  } catch (const std::bad_alloc&) {
    give_up_answer();
  }
}

void connection::answer(const response_head& head, shared_bytes body) {
  const std::size_t size = body == nullptr ? 0 : body->size();
  if (size <= kCopyBytesMax) return answer(head, size == 0 ? std::string_view() : std::string_view(*body));
  try {
    if (!body_can_be_left()) close_after_ = true;
    if (!start_answer(head, body_framing::length, size, 0)) return;
    if (!ws_->without_body) ws_->out.append(std::move(body));
    ws_->ended = true;
  } catch (const std::bad_alloc&) {
    give_up_answer();
  }
}

void connection::begin(const response_head& head) {
  workspace& w = *ws_;
  // Who begins to stream before the body was read reads it meanwhile; after our head it is too late to ask
  // for it.
  if (!w.answered && w.head.expect_continue && !w.continue_sent && w.body.untouched() && !w.body.done()) {
    w.out.append("HTTP/1.1 100 Continue\r\n\r\n");
    w.continue_sent = true;
  }
  const body_framing framing = w.head.minor >= 1 ? body_framing::chunked : body_framing::until_close;
  if (!start_answer(head, framing, 0, 0)) return;
  w.streaming = true;
  w.chunked_answer = framing == body_framing::chunked;
  if (socket_.peer_done() && w.endless()) w.context.cancel();
}

void connection::end() {
  workspace& w = *ws_;
  if (!w.streaming || w.ended) return;
  if (w.chunked_answer && !w.without_body) w.out.append("0\r\n\r\n");
  w.ended = true;
}

result<void> connection::upgrade(std::string_view header_lines, std::unique_ptr<net::hosted_socket> next) {
  workspace& w = *ws_;
  if (w.answered || w.head.minor == 0 || !w.body.done())
    return error(errc::invalid, "this request cannot be upgraded");
  if (part_.draining()) return error(errc::cancelled, "the server drains");
  close_after_ = false;  // "Connection: close, Upgrade" asks for nothing that a 101 could do
  response_head head;
  head.status = 101;
  head.headers = header_lines;
  static_cast<void>(start_answer(head, body_framing::none, 0, 0));
  w.ended = true;
  w.next = std::move(next);
  return result<void>();
}

void connection::answer_for_handler(bool threw) {
  workspace& w = *ws_;
  if (w.ended) return;
  if (w.answered) {  // a stream without its end; the missing last chunk tells the client
    if (!socket_.peer_gone() && !w.context.cancelled()) part_.counts().handler_failures.add();
    return;
  }
  if (!threw && w.body_failed == body_problem::none && socket_.peer_gone()) return;  // nobody to answer
  problem what;
  what.title = "Internal Server Error";
  what.type = "/problems/internal";
  if (!threw) {
    switch (w.body_failed) {
      case body_problem::gone:
        return;  // no answer; those before it are still sent to a peer that only shut its side down
      case body_problem::too_large:
        what = problem{
            413, "/problems/body-too-large", "Content Too Large", "The request body is over its limit.", {},
            0};
        break;
      case body_problem::invalid:
        what =
            problem{400, "/problems/bad-body", "Bad Request", std::string(to_string(w.body.error())), {}, 0};
        break;
      case body_problem::timed_out:
        what = problem{
            408, "/problems/body-timeout", "Request Timeout", "The request body did not arrive in time.", {},
            0};
        break;
      case body_problem::none:
        break;
    }
  }
  if (what.status == 500) {
    part_.counts().handler_failures.add();
    what.detail = "The request could not be answered. The log has the reason under this request id.";
    if (!threw)
      perf::log_error("a handler gave no answer", {{"route", w.route}, {"request_id", w.context.request_id}});
  }
  if (w.body_failed != body_problem::none) close_after_ = true;
  answer_problem(*this, what);
}

}  // namespace syncline::net::http
