#include "net/core/transport.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace syncline::net {

bool transport::note(std::uint32_t events) noexcept {
  const bool in = (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
  const bool out = (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0;
  const bool ended = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
  if (ended) peer_done_ = true;
  if (tls_ == nullptr) {
    if (in) readable_ = true;
    if (out) writable_ = true;
  } else {
    tls_->note(in, out, ended);
    readable_ = writable_ = true;
  }
  return (events & (EPOLLHUP | EPOLLERR)) != 0;
}

io transport::handshake() noexcept {
  if (tls_ == nullptr) return io::done;
  const io done = tls_->handshake();
  readable_ = tls_->has_more();
  return done;
}

io transport::read_some(char* to, std::size_t room, std::size_t& received) noexcept {
  received = 0;
  if (tls_ != nullptr) return read_tls(to, room, received);
  while (readable_) {
    const ssize_t n = ::recv(descriptor_, to, room, MSG_DONTWAIT);
    if (n > 0) {
      received = static_cast<std::size_t>(n);
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

io transport::read_tls(char* to, std::size_t room, std::size_t& received) noexcept {
  if (!readable_) return io::blocked;
  const io done = tls_->read(to, room, received);
  writable_ = true;  // a write may have waited for what was just read; trying costs no call of the kernel
  if (done == io::failed) {
    peer_done_ = true;
    if (!tls_->at_end()) peer_gone_ = true;
    return io::failed;
  }
  readable_ = done == io::done && tls_->has_more();
  return done;
}

io transport::write_some(std::span<iovec> parts, std::size_t& sent) noexcept {
  sent = 0;
  if (tls_ != nullptr) return write_tls(parts, sent);
  while (writable_) {
    ssize_t n = 0;
    if (parts.size() == 1) {
      n = ::send(descriptor_, parts[0].iov_base, parts[0].iov_len, MSG_NOSIGNAL | MSG_DONTWAIT);
    } else {
      msghdr message{};
      message.msg_iov = parts.data();
      message.msg_iovlen = parts.size();
      n = ::sendmsg(descriptor_, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    if (n >= 0) {
      sent = static_cast<std::size_t>(n);
      return io::done;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) {
      peer_gone_ = true;
      return io::failed;
    }
    writable_ = false;
  }
  return io::blocked;
}

io transport::write_tls(std::span<const iovec> parts, std::size_t& sent) noexcept {
  if (!writable_) return io::blocked;
  const io done = tls_->write(parts, sent);
  if (done == io::failed) peer_gone_ = true;
  if (done == io::blocked) writable_ = false;
  return done;
}

io transport::shut_down_writing() noexcept {
  if (tls_ != nullptr) {
    if (!writable_) return io::blocked;
    if (tls_->close_notify() == io::blocked) {
      writable_ = false;
      return io::blocked;
    }
    tls_.reset();
    readable_ = true;
  }
  ::shutdown(descriptor_, SHUT_WR);
  return io::done;
}

void transport::close() noexcept {
  if (descriptor_ < 0) return;
  if (tls_ != nullptr && !peer_gone_) static_cast<void>(tls_->close_notify());
  tls_.reset();
  ::close(std::exchange(descriptor_, -1));
}

}  // namespace syncline::net
