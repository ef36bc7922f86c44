// Bytes and deadlines of a connection.
#include <sys/uio.h>

#include <array>
#include <span>

#include <new>

#include "net/http/connection.h"
#include "perf/log.h"

namespace syncline::net::http {

namespace {

constexpr std::size_t kIovecs = 16;

}  // namespace

// With TLS before anything else. A few steps a turn: with an RSA key one costs the core up to a millisecond,
// which a burst of new clients must not take from the others.
bool connection::shake_hands() noexcept {
  if (yielded_) return false;
  if (!part_.may_shake_hands()) {
    try {
      yielded_ = true;
      part_.run_later(*this);
    } catch (const std::bad_alloc&) {
      abort();
    }
    return false;
  }
  const io done = socket_.handshake();
  if (done == io::blocked) return false;
  const server_metrics& counts = part_.counts();
  if (done == io::failed) {
    counts.tls_failures[static_cast<std::size_t>(socket_.tls()->failure())].add();
    socket_.set_peer_gone();
    close();
    return false;
  }
  (socket_.tls()->resumed() ? counts.tls_resumed : counts.tls_full).add();
  phase_ = phase::head;
  set_deadline(timeout_kind::idle, part_.now() + std::chrono::milliseconds(part_.bounds().idle_timeout_ms));
  return true;
}

io connection::send_some(std::size_t& sent) noexcept {
  output_queue& out = ws_->out;
  if (out.has_shared() && !socket_.has_tls()) {
    const output_queue::next_shared next = out.first_shared();
    const bool begins = next.sent == 0;
    const int file =
        next.body->size() < body_files::kBodyBytesMin ? -1 : part_.files().find(next.body, begins);
    if (file >= 0 && next.before.empty())
      return socket_.send_file(file, next.sent, next.body->size() - next.sent, sent);
    if (file >= 0) {
      iovec head{next.before.data(), next.before.size()};
      return socket_.write_some({&head, 1}, sent, true);
    }
  }
  std::array<iovec, kIovecs> parts;  // filled by gather()
  const std::size_t count = out.gather(parts);
  return socket_.write_some(std::span(parts).first(count), sent);
}

io connection::send_pending() noexcept {
  output_queue& out = ws_->out;
  while (!out.empty()) {
    if (socket_.peer_gone()) return io::failed;
    std::size_t sent = 0;
    const io done = send_some(sent);
    if (done != io::done) return done;
    out.consume(sent);
    sent_some_ = true;
    part_.counts().sent_bytes.add(sent);
    // A short count does not promise an event before the next attempt would block, so the loop tries once
    // more.
  }
  return io::done;
}

io connection::receive(char* to, std::size_t room, std::size_t& received) noexcept {
  const io done = socket_.read_some(to, room, received);
  if (done == io::done) {
    part_.counts().received_bytes.add(received);
  } else if (done == io::failed && socket_.has_tls() && socket_.tls()->truncated()) {
    part_.counts().tls_truncated.add();
  }
  return done;
}

// The timer is only moved when the deadline comes closer; a later deadline is noticed when the old one fires.
// A keep-alive connection so moves its timer once per idle timeout, not per request.
void connection::set_deadline(timeout_kind kind, steady_time when) noexcept {
  deadline_ = when;
  deadline_kind_ = kind;
  if (timer_.armed() && armed_for_ <= when) return;
  armed_for_ = when;
  part_.on().timers().arm(timer_, when);
}

// Only progress moves the deadline; a peer that keeps sending but reads nothing does not.
connection::verdict connection::wait_to_write() noexcept {
  // A task that ran since has cleared the deadline, and left its kind.
  if (sent_some_ || deadline_kind_ != timeout_kind::write || deadline_ == steady_time::max()) {
    set_deadline(timeout_kind::write,
                 part_.now() + std::chrono::milliseconds(part_.bounds().write_progress_timeout_ms));
    sent_some_ = false;
    static_cast<void>(socket_.peer_took_some());  // from here on
  }
  return verdict::wait;
}

void connection::on_deadline() noexcept {
  const steady_time now = part_.refresh();
  if (phase_ == phase::closed || deadline_ == steady_time::max()) return;
  if (now < deadline_) return set_deadline(deadline_kind_, deadline_);
  clear_deadline();
  if (phase_ == phase::task) return;  // a task has its own deadlines
  if (deadline_kind_ == timeout_kind::write && socket_.peer_took_some())
    return set_deadline(timeout_kind::write,
                        now + std::chrono::milliseconds(part_.bounds().write_progress_timeout_ms));
  part_.counts().timeouts[static_cast<std::size_t>(deadline_kind_)].add();
  if (phase_ == phase::handshake)
    part_.counts().tls_failures[static_cast<std::size_t>(tls_failure::timeout)].add();
  if (deadline_kind_ == timeout_kind::header && ws_ != nullptr) {
    try {
      static_cast<void>(refuse(408, "header-timeout", "The request head did not arrive in time."));
      return drive();
    } catch (const std::bad_alloc&) {
      perf::log_error("a connection was closed for lack of memory");
    }
  }
  abort();
}

}  // namespace syncline::net::http
