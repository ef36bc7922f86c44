#include "net/websocket/session.h"

#include <exception>
#include <new>
#include <utility>

#include "net/core/core.h"
#include "net/websocket/endpoint.h"
#include "net/websocket/session_output.h"
#include "perf/log.h"

namespace syncline::net::websocket {

namespace {

constexpr int kReadsPerTurn = 16;
// Of a peer that compresses less is read at a time: DEFLATE makes up to 1,032 bytes of one, and what was read
// is looked at without a break. A turn that goes on with what an earlier one left and hears of more reads
// twice, so 16 KB, which are at most 16 MB of messages; sixteen reads each were a quarter of a gigabyte, and
// nobody else on the core was served meanwhile.
constexpr std::size_t kDeflatedReadBytes = 8 * 1024;
constexpr int kDeflatedReadsPerTurn = 1;

}  // namespace

void session_handler::on_stopping(session& s) {
  s.close(close_code::going_away, "the server stops");
}

session::session(std::shared_ptr<endpoint_core> shared, const std::optional<deflate_agreement>& deflate,
                 std::shared_ptr<session_handler> handler)
    : shared_(std::move(shared)),
      handler_(std::move(handler)),
      reader_(shared_->reading(), role::server, deflate, &shared_->streams()),
      writer_(deflate, &shared_->streams()),
      timer_([](void* owner) noexcept { static_cast<session*>(owner)->on_deadline(); }, this),
      shared_form_(deflate && deflate->server_no_context_takeover),
      deflates_(deflate.has_value()) {}

// One that ends with its core, or never began, says nothing.
session::~session() {
  drop_output();
}

core& session::on() const noexcept {
  return host()->on();
}

// The handler's exceptions are its own fault, but the peer shall hear of them.
void session::on_exception() noexcept {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    perf::log_error("a WebSocket was closed for lack of memory");
    return lost("out of memory");
  } catch (const std::exception& e) {
    perf::log_error("a WebSocket handler threw", {{"text", e.what()}});
  } catch (...) {
    perf::log_error("a WebSocket handler threw something that is no std::exception");
  }
  try {
    fail(close_code::internal_error, "internal error");
  } catch (const std::bad_alloc&) {
    lost("out of memory");
  }
}

void session::begin(std::span<char> received) noexcept {
  shared_->counts().open.add(1);
  shared_->counts().opened.add();
  heard_ = host()->now();
  guarded([&] {
    handler_->on_open(*this);
    if (queued_bytes() != 0) host()->flush_later(*this);
    take(received);
    read_all();
  });
}

void session::on_events(std::uint32_t events) noexcept {
  if (phase_ == phase::closed) return;
  if (socket_.note(events)) hung_up_ = true;
  const bool fin_waits = phase_ == phase::finishing && !fin_sent_;
  if ((out_ != nullptr || fin_waits) && socket_.writable()) host()->flush_later(*this);
  guarded([this] { read_all(); });
}

void session::resume() noexcept {
  if (phase_ == phase::closed) return;
  guarded([this] { read_all(); });
}

void session::drain() noexcept {
  if (phase_ != phase::open) return;
  guarded([this] { handler_->on_stopping(*this); });
}

void session::abort() noexcept {
  lost("the server stops");
}

void session::read_all() {
  const std::span<char> buffer = shared_->read_buffer();
  const std::size_t room = deflates_ ? kDeflatedReadBytes : buffer.size();
  // Of one that hung up this may be the last look.
  const int reads = deflates_ && !hung_up_ ? kDeflatedReadsPerTurn : kReadsPerTurn;
  for (int i = 0; i < reads; ++i) {
    if (phase_ == phase::closed) return;
    if (phase_ == phase::finishing) return linger();
    // Who does not read what it is sent is not read either.
    read_paused_ = !hung_up_ && phase_ == phase::open && queued_bytes() > shared_->options().read_pause_bytes;
    if (read_paused_) return schedule();
    std::size_t received = 0;
    const io got = socket_.read_some(buffer.data(), room, received);
    if (got == io::failed) return on_end_of_input();
    if (got == io::blocked) return schedule();
    note_heard();
    shared_->counts().bytes_in.add(received);
    take(buffer.first(received));
  }
  if (socket_.readable()) host()->run_later(*this);
  schedule();
}

void session::take(std::span<char> in) {
  while (phase_ == phase::open || phase_ == phase::closing) {
    const message_event e = reader_.next(in);
    if (e.what == event_kind::need_more) return;
    on_event(e);
  }
}

void session::on_event(const message_event& e) {
  switch (e.what) {
    case event_kind::text:
    case event_kind::binary:
      shared_->counts().messages_in.add();
      message_deadline_ = steady_time::max();
      if (phase_ == phase::open)
        handler_->on_message(*this, e.what == event_kind::text ? opcode::text : opcode::binary, e.bytes);
      return;
    case event_kind::ping:
      if (phase_ == phase::open) on_ping(e.bytes);
      return;
    case event_kind::pong:
      if (phase_ == phase::open) handler_->on_pong(*this, e.bytes);
      return;
    case event_kind::close:
      return on_peer_close(e);
    case event_kind::failed:
      shared_->counts().protocol_errors[static_cast<std::size_t>(reader_.error())].add();
      return fail(e.code, e.bytes);
    case event_kind::need_more:
      return;
  }
}

void session::on_ping(std::string_view payload) {
  session_output& out = output();
  const bool room = out.control_bytes + kControlFrameBytesMax <= session_output::kControlBytesMax;
  if (room && !out.owes_pong && socket_.writable()) return append_control(opcode::pong, payload);
  if (out.owes_pong) shared_->counts().pongs_dropped.add();
  payload.copy(out.pong.data(), out.pong.size());
  out.pong_bytes = static_cast<std::uint8_t>(payload.size());
  out.owes_pong = true;
  host()->flush_later(*this);
}

// RFC 6455 section 5.5.1: the answer to a close frame is one with the same code.
void session::on_peer_close(const message_event& e) {
  peer_closed_ = true;
  const bool ours = phase_ == phase::closing;
  if (!ours) append_close(e.code, {});
  finish();
  tell_closed(ours ? our_code_ : e.code, e.bytes);
}

void session::on_end_of_input() {
  if (socket_.peer_gone() || hung_up_) return lost("the connection broke");
  // Without a close frame, but the peer may still read: what is queued goes out.
  const bool ours = phase_ == phase::closing;
  finish();
  tell_closed(ours ? our_code_ : close_code::abnormal, "the peer ended without a close frame");
}

// The peer broke a rule, or we cannot go on: a close frame, then nothing.
void session::fail(close_code code, std::string_view reason) {
  if (phase_ == phase::open) {
    append_close(code, reason);
    our_code_ = code;
  } else if (phase_ != phase::closing) {
    return;
  }
  finish();
  tell_closed(our_code_, reason);
}

void session::finish() {
  phase_ = phase::finishing;
  end_deadline_ = steady_time::max();
  host()->flush_later(*this);
}

void session::linger() noexcept {
  if (hung_up_) return close_now();
  if (!fin_sent_) return schedule();
  const std::span<char> buffer = shared_->read_buffer();
  for (int i = 0; i < kReadsPerTurn; ++i) {
    std::size_t received = 0;
    const io got = socket_.read_some(buffer.data(), buffer.size(), received);
    if (got == io::failed) return close_now();
    if (got == io::done) continue;
    // After both close frames nothing can come that a reset would make the peer lose.
    if (peer_closed_ || socket_.peer_done()) return close_now();
    return schedule();
  }
  host()->run_later(*this);
  schedule();  // a peer that always has more would else never be given a deadline
}

void session::lost(std::string_view reason) noexcept {
  if (phase_ == phase::closed) return;
  tell_closed(phase_ == phase::closing ? our_code_ : close_code::abnormal, reason);
  close_now();
}

void session::close_now() noexcept {
  if (phase_ == phase::closed) return;
  phase_ = phase::closed;
  timer_.disarm();
  drop_output();
  host()->on().poll().remove(socket_.descriptor());
  socket_.close();
  shared_->counts().open.add(-1);
  host()->bury(*this);
}

void session::tell_closed(close_code code, std::string_view reason) noexcept {
  if (std::exchange(told_closed_, true)) return;
  if (phase_ == phase::open) phase_ = phase::finishing;  // nobody sends any more
  shared_->counts().closed_with(code).add();
  try {
    handler_->on_closed(code, reason);
  } catch (const std::exception& e) {
    perf::log_error("a WebSocket handler threw", {{"text", e.what()}});
  } catch (...) {
    perf::log_error("a WebSocket handler threw something that is no std::exception");
  }
}

}  // namespace syncline::net::websocket
