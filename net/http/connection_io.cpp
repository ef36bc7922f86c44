// Sockets and deadlines of a connection.
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>

#include "net/http/connection.h"

namespace syncline::net::http {

namespace {

constexpr std::size_t kIovecs = 16;

}  // namespace

connection::io connection::send_pending() noexcept {
  output_queue& out = ws_->out;
  while (!out.empty()) {
    if (peer_gone_) return io::failed;
    if (!writable_) return io::blocked;
    std::array<iovec, kIovecs> parts;  // filled by gather()
    const std::size_t count = out.gather(parts);
    std::size_t wanted = 0;
    for (std::size_t i = 0; i < count; ++i) wanted += parts[i].iov_len;
    ssize_t sent = 0;
    if (count == 1) {
      sent = ::send(descriptor_, parts[0].iov_base, parts[0].iov_len, MSG_NOSIGNAL | MSG_DONTWAIT);
    } else {
      msghdr message{};
      message.msg_iov = parts.data();
      message.msg_iovlen = count;
      sent = ::sendmsg(descriptor_, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) {
        peer_gone_ = true;
        return io::failed;
      }
      writable_ = false;
      return io::blocked;
    }
    const auto n = static_cast<std::size_t>(sent);
    out.consume(n);
    sent_some_ = true;
    part_.counts().sent_bytes.add(n);
    // A short count does not promise an event before the next attempt would block, so the loop tries once
    // more.
  }
  return io::done;
}

connection::io connection::receive(char* to, std::size_t room, std::size_t& received) noexcept {
  received = 0;
  while (readable_) {
    const ssize_t n = ::recv(descriptor_, to, room, MSG_DONTWAIT);
    if (n > 0) {
      received = static_cast<std::size_t>(n);
      part_.counts().received_bytes.add(received);
      // A short read has emptied the socket: whatever comes later is a new event. The end of input, once
      // announced, is read.
      if (received < room && !peer_done_) readable_ = false;
      return io::done;
    }
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      readable_ = false;
      break;
    }
    peer_done_ = true;
    if (n < 0) peer_gone_ = true;
    return io::failed;
  }
  return io::blocked;
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
  if (sent_some_ || deadline_kind_ != timeout_kind::write) {
    set_deadline(timeout_kind::write,
                 part_.now() + std::chrono::milliseconds(part_.bounds().write_progress_timeout_ms));
    sent_some_ = false;
  }
  return verdict::wait;
}

void connection::on_deadline() noexcept {
  const steady_time now = part_.refresh();
  if (phase_ == phase::closed || deadline_ == steady_time::max()) return;
  if (now < deadline_) return set_deadline(deadline_kind_, deadline_);
  clear_deadline();
  if (phase_ == phase::task) return;  // a task has its own deadlines
  part_.counts().timeouts[static_cast<std::size_t>(deadline_kind_)].add();
  if (deadline_kind_ == timeout_kind::header && ws_ != nullptr) {
    static_cast<void>(refuse(408, "header-timeout", "The request head did not arrive in time."));
    return drive();
  }
  abort();
}

}  // namespace syncline::net::http
