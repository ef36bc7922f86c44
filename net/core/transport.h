// The bytes of one connection: its descriptor, what the poller said about it, and TLS when there is some.
//
// TCP and unix sockets are read and written by direct calls; only a connection with TLS has a session, which
// costs the others one test of a pointer. Everything is tried until it would block, edge-triggered: a short
// read has emptied the socket, and nothing asks the kernel again before the next event. Use it for sockets
// that are driven by hand (see poller.h), not for Asio's. Thread: the core. Bound: none of its own; callers
// bring the room. Failure: io::failed, and then peer_gone() tells a broken connection from a peer that has
// only finished sending.
//
// Invariants
//  1. While readable() or writable() is false, an event will make it true; nothing is lost in between.
//  2. With TLS either direction may wait for the other's event, so any event makes both worth a try.
//  3. After shut_down_writing() is done there is no session: what still comes is only read to be thrown away.
#pragma once

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "net/core/tls.h"

namespace syncline::net {

class transport final {
 public:
  // Owns `descriptor`, a non-blocking stream socket that is connected, or will be before it is read or
  // written; -1: none yet.
  explicit transport(int descriptor, std::unique_ptr<tls_session> tls = nullptr) noexcept
      : tls_(std::move(tls)), descriptor_(descriptor) {}
  ~transport() { close(); }
  transport(transport&& other) noexcept
      : tls_(std::move(other.tls_)),
        descriptor_(std::exchange(other.descriptor_, -1)),
        held_bytes_(other.held_bytes_),
        readable_(other.readable_),
        writable_(other.writable_),
        peer_done_(other.peer_done_),
        peer_gone_(other.peer_gone_) {}
  transport& operator=(transport&& other) noexcept {
    if (this == &other) return *this;
    close();
    tls_ = std::move(other.tls_);
    descriptor_ = std::exchange(other.descriptor_, -1);
    held_bytes_ = other.held_bytes_;
    readable_ = other.readable_;
    writable_ = other.writable_;
    peer_done_ = other.peer_done_;
    peer_gone_ = other.peer_gone_;
    return *this;
  }

  // True: a read may give something, a write may be taken.
  [[nodiscard]] bool readable() const noexcept { return readable_; }
  [[nodiscard]] bool writable() const noexcept { return writable_; }
  [[nodiscard]] bool peer_done() const noexcept { return peer_done_; }  // its side is shut down
  [[nodiscard]] bool peer_gone() const noexcept { return peer_gone_; }  // reset, or we gave it up
  [[nodiscard]] bool has_tls() const noexcept { return tls_ != nullptr; }
  [[nodiscard]] const tls_session* tls() const noexcept { return tls_.get(); }
  [[nodiscard]] int descriptor() const noexcept { return descriptor_; }

  // `events` as in epoll_wait. True when the connection hung up: a reset, unless our side is shut down.
  bool note(std::uint32_t events) noexcept;
  // Whoever waits is to try again and to find the connection gone.
  void give_up() noexcept { peer_gone_ = readable_ = writable_ = true; }
  void set_peer_gone() noexcept { peer_gone_ = true; }
  void try_reading_again() noexcept { readable_ = true; }

  // With TLS first this, until it is done; without it is done at once. After `failed`, tls()->failure().
  [[nodiscard]] io handshake() noexcept;
  // At most `room` bytes, at least one when done. `failed` at the end of input too, see peer_done().
  [[nodiscard]] io read_some(char* to, std::size_t room, std::size_t& received) noexcept;
  // After `blocked` the next call must begin with the same bytes (TLS has encrypted them).
  // `more`: the rest follows at once, so the kernel may wait with a packet that is not full.
  [[nodiscard]] io write_some(std::span<iovec> parts, std::size_t& sent, bool more = false) noexcept;
  // Bytes of a file, which the kernel need not copy. Not with TLS.
  [[nodiscard]] io send_file(int file, std::size_t from, std::size_t count, std::size_t& sent) noexcept;
  // Whether the kernel holds fewer of our bytes than at the last call: it reports a socket writable only when
  // a third of its buffer is free, megabytes on a fast path, and a slow reader is long at that. Asked when
  // writing begins to block, and again before the peer is given up. What the peer's kernel has acknowledged
  // counts; that the peer takes single bytes out of a full buffer over there is never told to us.
  [[nodiscard]] bool peer_took_some() noexcept;
  // Says that nothing more will come: FIN, with TLS close_notify before it.
  [[nodiscard]] io shut_down_writing() noexcept;
  // With TLS says close_notify if that is possible at once. Twice is fine.
  void close() noexcept;

 private:
  [[nodiscard]] io read_tls(char* to, std::size_t room, std::size_t& received) noexcept;
  [[nodiscard]] io write_tls(std::span<const iovec> parts, std::size_t& sent) noexcept;

  std::unique_ptr<tls_session> tls_;
  int descriptor_;
  int held_bytes_ = 0;
  bool readable_ = false;
  bool writable_ = true;
  bool peer_done_ = false;
  bool peer_gone_ = false;
};

// Inline: as calls these three cost a plain request 38 instructions more (3,527, measured with callgrind).

inline bool transport::note(std::uint32_t events) noexcept {
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

inline io transport::read_some(char* to, std::size_t room, std::size_t& received) noexcept {
  received = 0;
  if (tls_ != nullptr) [[unlikely]]
    return read_tls(to, room, received);
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

inline io transport::write_some(std::span<iovec> parts, std::size_t& sent, bool more) noexcept {
  sent = 0;
  if (tls_ != nullptr) [[unlikely]]
    return write_tls(parts, sent);
  const int flags = MSG_NOSIGNAL | MSG_DONTWAIT | (more ? MSG_MORE : 0);
  while (writable_) {
    ssize_t n = 0;
    if (parts.size() == 1) {
      n = ::send(descriptor_, parts[0].iov_base, parts[0].iov_len, flags);
    } else {
      msghdr message{};
      message.msg_iov = parts.data();
      message.msg_iovlen = parts.size();
      n = ::sendmsg(descriptor_, &message, flags);
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

}  // namespace syncline::net
