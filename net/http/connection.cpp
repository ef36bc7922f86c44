#include "net/http/connection.h"

#include <algorithm>
#include <cstring>

#include "perf/access_log.h"
#include "perf/log.h"

namespace syncline::net::http {

namespace {

constexpr std::size_t kReadBytes = 16 * 1024;
constexpr std::uint32_t kSkipBytesMax = 64 * 1024;  // of a body that nobody read
constexpr std::size_t kLingerReadsPerTurn = 16;
// What counts as one request more towards `pipeline_requests_max`: about a millisecond of copying for all 64.
constexpr std::uint64_t kTurnBytesIn = 4 * 1024, kTurnBytesOut = 16 * 1024;
constexpr std::size_t kRequestIdBytesMax = 64;

std::chrono::milliseconds ms(std::uint32_t n) noexcept {
  return std::chrono::milliseconds(n);
}

bool sane_request_id(std::string_view text) noexcept {
  return !text.empty() && text.size() <= kRequestIdBytesMax &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

}  // namespace

connection::connection(core_part& part, transport socket, std::string_view peer, bool refused)
    : part_(part),
      timer_([](void* owner) noexcept { static_cast<connection*>(owner)->on_deadline(); }, this),
      socket_(std::move(socket)),
      refused_(refused) {
  peer_size_ = static_cast<std::uint8_t>(std::min(peer.size(), peer_.size()));
  std::memcpy(peer_.data(), peer.data(), peer_size_);
  if (refused) {
    phase_ = phase::linger;
    set_deadline(timeout_kind::linger, part_.now() + ms(part_.bounds().linger_timeout_ms));
  } else if (socket_.has_tls()) {
    phase_ = phase::handshake;
    set_deadline(timeout_kind::handshake, part_.now() + ms(part_.bounds().tls_handshake_timeout_ms));
  } else {
    set_deadline(timeout_kind::idle, part_.now() + ms(part_.bounds().idle_timeout_ms));
  }
}

void connection::on_events(std::uint32_t events) noexcept {
  if (phase_ == phase::closed) return;
  // Hang-up before we shut our side down is a reset, or on a unix socket a close: nobody will read what we
  // say.
  if (socket_.note(events) && phase_ != phase::linger && phase_ != phase::closing) socket_.set_peer_gone();
  if (phase_ != phase::task) return drive();
  // A half-closed client still gets a plain answer; of a stream it would never say that it lost interest.
  if (socket_.peer_gone() || (ws_->endless() && socket_.peer_done())) ws_->context.cancel();
  if (task_waits_ && (task_waits_to_write_ ? socket_.writable() : socket_.readable())) ws_->ready.notify();
}

void connection::drive() noexcept {
  if (phase_ == phase::task || phase_ == phase::closed) return;
  if (phase_ == phase::handshake && !shake_hands()) return;
  try {
    if (advance() == verdict::run_task) start_task();
  } catch (const std::bad_alloc&) {
    if (phase_ == phase::closed) return;  // with its task, which could not be started
    perf::log_error("a connection was closed for lack of memory");
    phase_ = phase::head;  // a task that could not be made will not come back
    abort();
  }
}

void connection::drain() noexcept {
  if (phase_ == phase::task) {
    if (ws_->endless()) ws_->context.cancel();
    return;
  }
  const bool idle = phase_ == phase::head && ws_ == nullptr && !socket_.readable();
  if (idle || phase_ == phase::handshake) close();
}

void connection::abort() noexcept {
  if (phase_ == phase::closed) return;
  if (phase_ != phase::task) {
    close();
    return;
  }
  socket_.give_up();
  ws_->context.cancel();
  if (task_waits_) ws_->ready.notify();
}

connection::verdict connection::advance() {
  if (ws_ == nullptr) ws_ = &part_.shared_workspace();
  verdict v = verdict::go_on;
  do {
    switch (phase_) {
      case phase::head:
        v = take_request();
        break;
      case phase::skip_body:
        v = skip_body();
        break;
      case phase::upgrade:
        v = hand_over();
        break;
      case phase::closing:
        v = finish_closing();
        break;
      case phase::linger:
        v = linger();
        break;
      case phase::handshake:
      case phase::task:
      case phase::closed:
        v = verdict::closed;
        break;
    }
  } while (v == verdict::go_on);
  leave(v);
  return v;
}

// Who waits with something in the workspace takes it along; else it goes back.
void connection::leave(verdict v) {
  if (v == verdict::closed) return;
  if (v == verdict::wait) batch_ = 0;
  const bool nothing = v == verdict::wait && (phase_ == phase::head || phase_ == phase::linger) &&
                       ws_->in.empty() && ws_->out.empty();
  if (nothing) {
    ws_->parser.reset();
    if (owned_ != nullptr) part_.give_back(std::move(owned_));
    ws_ = nullptr;
  } else if (owned_ == nullptr) {
    owned_ = part_.take_shared();
    ws_ = owned_.get();
  }
  if (v == verdict::wait && phase_ == phase::head && ws_ != nullptr) ws_->give_up_room();
}

connection::verdict connection::take_request() {
  workspace& w = *ws_;
  const limits& bounds = part_.bounds();
  if (w.out.size() >= bounds.output_buffer_bytes || batch_ >= bounds.pipeline_requests_max) {
    const io sent = send_pending();
    if (sent == io::failed) return close();
    if (sent == io::blocked) return wait_to_write();
    if (batch_ >= bounds.pipeline_requests_max) {
      yielded_ = true;
      part_.run_later(*this);
      // A peer that always has more to ask never comes to where the idle time begins.
      set_deadline(timeout_kind::idle, part_.now() + ms(bounds.idle_timeout_ms));
    }
  }
  if (yielded_) return verdict::wait;
  // Met twice a request, before its bytes are read and after its answer: the parser's attempts at nothing
  // cost 290 instructions of 4,017 (callgrind).
  if (w.in.empty()) return read_head();
  switch (w.parser.parse(w.in.view(), bounds, w.fields, w.head)) {
    case parse_status::incomplete:
      return read_head();
    case parse_status::complete:
      return begin_request();
    case parse_status::failed:
      break;
  }
  const parse_error why = w.parser.error();
  part_.counts().parse_errors[static_cast<std::size_t>(why)].add();
  const parse_error_text& text = describe(why);
  return refuse(text.status, text.label, text.detail);
}

connection::verdict connection::read_head() {
  workspace& w = *ws_;
  const limits& bounds = part_.bounds();
  const io sent = send_pending();
  if (sent == io::failed) return close();
  if (sent == io::blocked) return wait_to_write();
  if (deadline_kind_ == timeout_kind::write)
    head_begun_ = false;  // the time for the head starts when the answers are out
  if (socket_.readable()) {
    // The window of the parser fits whole; more room only means more pipelined requests a read.
    const std::size_t whole = std::max<std::size_t>(kReadBytes, bounds.header_bytes_max);
    char* const to = w.in.prepare(whole - std::min(w.in.size(), whole - 1));
    std::size_t received = 0;
    const io got = receive(to, w.in.room(), received);
    w.in.commit(received);
    if (got == io::done) return verdict::go_on;
    if (got == io::failed) return close();
  }
  if (w.in.empty()) {
    head_begun_ = false;
    if (part_.draining()) return close();
    // Bytes that make no request (part of a TLS record) do not begin the time anew.
    if (std::exchange(answered_, false) || deadline_kind_ != timeout_kind::idle)
      set_deadline(timeout_kind::idle, part_.now() + ms(bounds.idle_timeout_ms));
  } else if (!head_begun_) {
    head_begun_ = true;
    set_deadline(timeout_kind::header, part_.now() + ms(bounds.header_timeout_ms));
  }
  return verdict::wait;
}

connection::verdict connection::begin_request() {
  workspace& w = *ws_;
  head_begun_ = false;
  close_after_ = !w.head.keep_alive;
  w.begin_request(part_.now(), part_.bounds().body_bytes_max);
  w.body.start(w.head, w.parser.size());
  take_request_id();
  if (w.head.path == "*") {
    answer_server_options();
    return finish_request();
  }
  if (part_.handles().try_answer(*this) == tried::need_task) {
    // The answers before it are not to wait for this one.
    if (!w.out.empty() && send_pending() == io::failed) return close();
    phase_ = phase::task;
    clear_deadline();
    return verdict::run_task;
  }
  if (!w.ended) answer_for_handler(false);
  return finish_request();
}

void connection::take_request_id() {
  workspace& w = *ws_;
  const std::string_view given = w.head.header("x-request-id");
  if (sane_request_id(given)) {
    w.context.request_id.assign(given);
  } else {
    part_.make_request_id(w.context.request_id);
  }
}

void connection::answer_server_options() {
  ws_->route = "OPTIONS *";
  response_head head;
  head.status = 204;
  head.headers = "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n";
  answer(head, std::string_view());
}

connection::verdict connection::finish_request() {
  workspace& w = *ws_;
  record();
  if (socket_.peer_gone()) return close();
  if (w.next != nullptr) {
    phase_ = phase::upgrade;
    return verdict::go_on;
  }
  if (!w.ended) close_after_ = true;  // a stream that was broken off ends without its last chunk
  if (close_after_) {
    phase_ = phase::closing;
    return verdict::go_on;
  }
  skipped_bytes_ = 0;
  deadline_kind_ = timeout_kind::idle;
  answered_ = true;
  if (w.body.done()) return next_request();
  phase_ = phase::skip_body;
  return verdict::go_on;
}

connection::verdict connection::skip_body() {
  workspace& w = *ws_;
  for (;;) {
    std::string_view piece;
    const body_source::state state = w.body.next(w.in, piece);
    if (state == body_source::state::done) return next_request();
    skipped_bytes_ += static_cast<std::uint32_t>(piece.size());
    if (state == body_source::state::failed || skipped_bytes_ > kSkipBytesMax) {
      phase_ = phase::closing;
      return verdict::go_on;
    }
    if (state == body_source::state::piece) continue;
    const io sent = send_pending();
    if (sent == io::failed) return close();
    if (sent == io::blocked) return wait_to_write();
    std::size_t received = 0;
    const io got = receive(w.body.room(), kBodyReadBytes, received);
    w.body.filled(received);
    if (got == io::failed) return close();
    if (got == io::done) continue;
    // One deadline for all that is skipped: a client that trickles does not move it.
    if (deadline_kind_ != timeout_kind::body) {
      set_deadline(timeout_kind::body, part_.now() + ms(part_.bounds().body_progress_timeout_ms));
    }
    return verdict::wait;
  }
}

connection::verdict connection::next_request() {
  workspace& w = *ws_;
  w.body.finish(w.in);
  w.parser.reset();
  batch_ += 1 + static_cast<std::uint32_t>((w.unsuspended_bytes + skipped_bytes_) / kTurnBytesIn +
                                           w.body_bytes / kTurnBytesOut);
  phase_ = phase::head;
  return verdict::go_on;
}

connection::verdict connection::finish_closing() {
  const io sent = send_pending();
  if (sent == io::failed) return close();
  if (sent == io::blocked) return wait_to_write();
  workspace& w = *ws_;
  if (w.body.done()) w.body.finish(w.in);
  const bool all_read = w.body.done() && w.in.empty() && !socket_.readable();
  if (socket_.shut_down_writing() == io::blocked) return wait_to_write();
  if (all_read) return close();
  w.in.clear();
  phase_ = phase::linger;
  set_deadline(timeout_kind::linger, part_.now() + ms(part_.bounds().linger_timeout_ms));
  return verdict::go_on;
}

connection::verdict connection::linger() {
  if (yielded_) return verdict::wait;
  workspace& w = *ws_;
  for (std::size_t i = 0; i < kLingerReadsPerTurn; ++i) {
    std::size_t received = 0;
    const io got = receive(w.in.prepare(kReadBytes), kReadBytes, received);
    if (got == io::failed) return close();
    if (got == io::blocked) return verdict::wait;
  }
  yielded_ = true;
  part_.run_later(*this);
  return verdict::wait;
}

// After "101" and all answers before it: the socket, with what came behind the request, is another's.
connection::verdict connection::hand_over() {
  const io sent = send_pending();
  if (sent == io::failed) return close();
  if (sent == io::blocked) return wait_to_write();
  workspace& w = *ws_;
  w.body.finish(w.in);
  phase_ = phase::closed;
  part_.hand_over(*this, std::move(w.next), std::move(socket_), {w.in.data(), w.in.size()});
  end_here();
  return verdict::closed;
}

connection::verdict connection::close() noexcept {
  phase_ = phase::closed;
  part_.unwatch(socket_.descriptor());
  socket_.close();
  end_here();
  part_.bury(*this);
  return verdict::closed;
}

void connection::end_here() noexcept {
  timer_.disarm();
  if (ws_ == nullptr) return;
  ws_->in.clear();
  ws_->out.clear();
  ws_->parser.reset();
  ws_->next.reset();
  if (owned_ != nullptr) part_.give_back(std::move(owned_));
  ws_ = nullptr;
}

connection::verdict connection::refuse(int status, std::string_view label, std::string_view detail) {
  workspace& w = *ws_;
  w.begin_request(part_.now(), 0);
  w.head = request_head();
  w.head.keep_alive = false;
  w.body.start(w.head, w.in.size());
  w.route = "refused";
  close_after_ = true;
  part_.make_request_id(w.context.request_id);
  problem what;
  what.status = status;
  std::string type = "/problems/";
  type.append(label);
  what.type = type;
  what.title = status_text(status);
  what.detail.assign(detail);
  answer_problem(*this, what);
  record();
  socket_.try_reading_again();  // whatever the client still sends is read until it has seen the answer
  phase_ = phase::closing;
  return verdict::go_on;
}

void connection::record() noexcept {
  workspace& w = *ws_;
  if (w.counted) return;
  w.counted = true;
  const steady_time now = part_.refresh();
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(now - w.started).count();
  part_.routes().record(w.route, w.status, static_cast<std::uint64_t>(std::max<std::int64_t>(us, 0)));
  if (!perf::access_log_enabled()) return;
  perf::log_access({.when = now,
                    .method = w.head.method_text,
                    .target = w.head.target,
                    .route = w.route,
                    .peer = peer_address(),
                    .request_id = w.context.request_id,
                    .bytes = w.body_bytes,
                    .us = static_cast<std::uint32_t>(std::clamp<std::int64_t>(us, 0, UINT32_MAX)),
                    .status = static_cast<std::uint16_t>(w.status)});
}

}  // namespace syncline::net::http
