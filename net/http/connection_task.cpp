// What a request that waits calls: body pieces, streamed pieces, and the coroutine around its handler.
#include <algorithm>
#include <charconv>
#include <exception>

#include "net/http/connection.h"
#include "perf/log.h"

namespace syncline::net::http {

namespace {

constexpr std::size_t kSendWorthBytes = 16 * 1024;  // less is held back until flush() or end()
constexpr std::uint64_t kUnsuspendedBytesMax =
    256 * 1024;  // a fast peer would otherwise keep its core to itself
constexpr std::size_t kChunkHeadBytesMax = 16 + 2;

std::chrono::milliseconds ms(std::uint64_t n) noexcept {
  return std::chrono::milliseconds(n);
}

}  // namespace

// Without memory for its start a task is dropped by the core, in silence: the connection would wait for ever.
connection::unstarted::~unstarted() {
  if (waits_ == nullptr || waits_->phase_ == phase::closed) return;
  perf::log_error("a connection was closed: its task could not be started");
  waits_->phase_ = phase::head;
  waits_->abort();
}

void connection::start_task() {
  task<void> root = run_task(*this, unstarted(part_.shared_from_this(), *this));
  spawn(part_.on(), std::move(root));
}

// `self` outlives the task: its part does, and a connection with a task is not buried.
task<void> connection::run_task(connection& self, unstarted until_begun) {
  core_part& part = until_begun.begin();
  handler& handles = part.handles();
  for (;;) {
    bool threw = false;
    part.refresh();
    try {
      co_await handles.answer(self);
    } catch (const std::exception& e) {
      threw = true;
      perf::log_error(
          "a handler threw",
          {{"route", self.ws_->route}, {"text", e.what()}, {"request_id", self.ws_->context.request_id}});
    } catch (...) {
      threw = true;
      perf::log_error("a handler threw something that is no std::exception", {{"route", self.ws_->route}});
    }
    if (self.after_task(threw) != verdict::run_task) co_return;
  }
}

connection::verdict connection::after_task(bool threw) noexcept {
  try {
    part_.refresh();
    answer_for_handler(threw);
    phase_ = phase::head;
    verdict v = finish_request();
    if (v == verdict::go_on) v = advance();
    return v;
  } catch (const std::bad_alloc&) {
    perf::log_error("a connection was closed for lack of memory");
    phase_ = phase::head;
    return close();
  }
}

error connection::give_up(body_problem why, errc code, std::string_view what) {
  ws_->body_failed = why;
  return error(code, what);
}

// What is in the buffers; nothing when more must be read.
std::optional<result<std::string_view>> connection::next_piece() {
  workspace& w = *ws_;
  if (w.body_failed != body_problem::none) return error(errc::closed, "the body already failed");
  if (w.head.content_length.value_or(0) > w.body_limit_bytes)
    return give_up(body_problem::too_large, errc::too_large, "the body is over its limit");
  std::string_view piece;
  switch (w.body.next(w.in, piece)) {
    case body_source::state::done:
      return std::string_view();
    case body_source::state::failed:
      part_.counts().bad_bodies.add();
      return give_up(body_problem::invalid, errc::invalid, to_string(w.body.error()));
    case body_source::state::piece:
      if (w.body.received() > w.body_limit_bytes)
        return give_up(body_problem::too_large, errc::too_large, "the body is over its limit");
      return piece;
    case body_source::state::need_more:
      break;
  }
  return std::nullopt;
}

std::optional<result<std::string_view>> connection::try_read_body() {
  workspace& w = *ws_;
  for (;;) {
    std::optional<result<std::string_view>> piece = next_piece();
    if (piece) return piece;
    if (w.head.expect_continue && !w.continue_sent && w.body.untouched()) return std::nullopt;
    if (w.unsuspended_bytes >= kUnsuspendedBytesMax) return std::nullopt;
    std::size_t received = 0;
    const io got = receive(w.body.room(), kBodyReadBytes, received);
    w.body.filled(received);
    if (got == io::failed) return give_up(body_problem::gone, errc::closed, "the peer is gone");
    if (got == io::blocked) return std::nullopt;
    w.unsuspended_bytes += received;
  }
}

task<bool> connection::body_arrives(steady_time until) {
  workspace& w = *ws_;
  if (w.unsuspended_bytes >= kUnsuspendedBytesMax) {
    w.unsuspended_bytes = 0;
    co_await yield_core();
  }
  const result<void> ready = co_await wait_for_socket(false, until);
  co_return ready.has_value() || ready.error().code != errc::timed_out;
}

task<result<std::string_view>> connection::read_body() {
  for (;;) {
    const std::optional<result<std::string_view>> piece = next_piece();
    if (piece) co_return *piece;
    const result<void> filled = co_await fill_body();
    if (filled.has_error()) co_return filled.error();
  }
}

task<result<std::string>> connection::read_whole_body(std::size_t bytes_max) {
  workspace& w = *ws_;
  w.body_limit_bytes = std::min<std::uint64_t>(w.body_limit_bytes, bytes_max);
  std::string whole;
  for (;;) {
    const result<std::string_view> piece = co_await read_body();
    if (piece.has_error()) co_return piece.error();
    if (piece->empty()) co_return whole;
    if (whole.empty()) whole.reserve(static_cast<std::size_t>(w.head.content_length.value_or(0)));
    whole.append(*piece);
  }
}

task<result<void>> connection::fill_body() {
  workspace& w = *ws_;
  if (w.head.expect_continue && !w.continue_sent && w.body.untouched() && !w.answered) {
    w.out.append("HTTP/1.1 100 Continue\r\n\r\n");
    w.continue_sent = true;
    const result<void> sent = co_await send_until(0);
    if (sent.has_error()) co_return sent;
  }
  for (;;) {
    std::size_t received = 0;
    const io got = receive(w.body.room(), kBodyReadBytes, received);
    w.body.filled(received);
    if (got == io::failed) co_return give_up(body_problem::gone, errc::closed, "the peer is gone");
    if (got == io::done) {
      w.unsuspended_bytes += received;
      if (w.unsuspended_bytes >= kUnsuspendedBytesMax) {
        w.unsuspended_bytes = 0;
        co_await yield_core();
      }
      co_return result<void>();
    }
    // What was answered so far may be what the client waits for before it sends more.
    if (send_pending() == io::failed) co_return give_up(body_problem::gone, errc::closed, "the peer is gone");

    // The average counts only the time we waited: a slow handler is not the client's fault.
    const limits& bounds = part_.bounds();
    const steady_time before = part_.refresh();
    const auto progress = ms(bounds.body_progress_timeout_ms);
    steady_time until = before + progress;
    if (bounds.body_bytes_per_s_min != 0) {
      const auto earned = ms(w.body.received() * 1000 / bounds.body_bytes_per_s_min);
      until = std::min(
          until, before + (std::max<std::chrono::steady_clock::duration>(progress, earned) - w.body_waited));
    }
    const result<void> ready = co_await wait_for_socket(false, until);
    w.body_waited += part_.refresh() - before;
    if (ready.has_value()) continue;
    if (ready.error().code != errc::timed_out)
      co_return give_up(body_problem::gone, errc::closed, "the peer is gone");
    part_.counts().timeouts[static_cast<std::size_t>(timeout_kind::body)].add();
    co_return give_up(body_problem::timed_out, errc::timed_out, "the body does not arrive");
  }
}

// Ends with errc::timed_out at `until`, errc::closed when the connection is given up meanwhile.
task<result<void>> connection::wait_for_socket(bool to_write, steady_time until) {
  workspace& w = *ws_;
  while (!socket_.peer_gone() && !(to_write ? socket_.writable() : socket_.readable())) {
    task_waits_ = true;
    task_waits_to_write_ = to_write;
    const result<void> woken = co_await w.ready.wait(w.waits, until);
    task_waits_ = false;
    w.unsuspended_bytes = 0;
    if (woken.has_error()) co_return woken;
  }
  if (socket_.peer_gone()) co_return error(errc::closed, "the peer is gone");
  co_return result<void>();
}

// Sends until at most `pending_bytes_max` are left.
task<result<void>> connection::send_until(std::size_t pending_bytes_max) {
  workspace& w = *ws_;
  w.unsuspended_bytes += w.out.size();
  bool progress = true;
  steady_time until;
  for (;;) {
    const std::size_t before = w.out.size();
    if (send_pending() == io::failed) co_return error(errc::closed, "the peer is gone");
    if (w.out.size() <= pending_bytes_max) break;
    // With TLS whatever the peer sends wakes this wait; only what it takes is progress.
    if (progress || w.out.size() < before) {
      static_cast<void>(socket_.peer_took_some());  // from here on
      until = part_.refresh() + ms(part_.bounds().write_progress_timeout_ms);
    }
    const result<void> ready = co_await wait_for_socket(true, until);
    progress = ready.has_error() && ready.error().code == errc::timed_out && socket_.peer_took_some();
    if (ready.has_value() || progress) continue;
    if (ready.error().code == errc::timed_out) {
      part_.counts().timeouts[static_cast<std::size_t>(timeout_kind::write)].add();
      socket_.set_peer_gone();
    }
    co_return ready;
  }
  if (w.unsuspended_bytes >= kUnsuspendedBytesMax) {
    w.unsuspended_bytes = 0;
    co_await yield_core();
  }
  co_return result<void>();
}

task<result<void>> connection::write(std::string_view piece) {
  workspace& w = *ws_;
  if (socket_.peer_gone()) co_return error(errc::closed, "the peer is gone");
  if (!w.streaming || w.ended) co_return error(errc::internal, "write() outside of begin() and end()");
  if (w.without_body || piece.empty()) co_return result<void>();
  w.body_bytes += piece.size();
  if (w.chunked_answer) {
    char* to = w.out.prepare(kChunkHeadBytesMax + piece.size() + 2);
    char* const end = std::to_chars(to, to + 16, piece.size(), 16).ptr;
    end[0] = '\r';
    end[1] = '\n';
    w.out.commit(static_cast<std::size_t>(end + 2 - to));
    w.out.append(piece);
    w.out.append("\r\n");
  } else {
    w.out.append(piece);
  }
  if (w.out.size() < kSendWorthBytes) co_return result<void>();
  const std::size_t pending_max = part_.bounds().output_buffer_bytes;
  const result<void> sent = co_await send_until(pending_max);
  co_return sent;
}

task<result<void>> connection::flush() {
  if (socket_.peer_gone()) co_return error(errc::closed, "the peer is gone");
  const result<void> sent = co_await send_until(0);
  co_return sent;
}

}  // namespace syncline::net::http
