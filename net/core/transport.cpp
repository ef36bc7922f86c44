#include "net/core/transport.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

namespace syncline::net {

bool transport::peer_took_some() noexcept {
  int held = 0;
  if (::ioctl(descriptor_, SIOCOUTQ, &held) != 0) held = 0;
  const bool less = held < held_bytes_;
  held_bytes_ = held;
  return less;
}

io transport::handshake() noexcept {
  if (tls_ == nullptr) return io::done;
  const io done = tls_->handshake();
  readable_ = tls_->has_more();
  return done;
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

io transport::write_tls(std::span<const iovec> parts, std::size_t& sent) noexcept {
  if (!writable_) return io::blocked;
  const io done = tls_->write(parts, sent);
  if (done == io::failed) peer_gone_ = true;
  if (done == io::blocked) writable_ = false;
  return done;
}

io transport::send_file(int file, std::size_t from, std::size_t count, std::size_t& sent) noexcept {
  sent = 0;
  while (writable_) {
    auto offset = static_cast<off_t>(from);
    const ssize_t n = ::sendfile(descriptor_, file, &offset, count);
    if (n > 0) {
      sent = static_cast<std::size_t>(n);
      return io::done;
    }
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      writable_ = false;
      return io::blocked;
    }
    peer_gone_ = true;  // or a file shorter than it says, after which nothing we could send would be right
    return io::failed;
  }
  return io::blocked;
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
