#include "net/core/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "net/core/tls_socket.h"

namespace syncline::net {

namespace {

constexpr std::size_t kRecordBytes = SSL3_RT_MAX_PLAIN_LENGTH;  // 16 KB

}  // namespace

int tls_socket::read(BIO* bio, char* to, int room) noexcept {
  tls_session& self = *static_cast<tls_session*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  if (room <= 0) return 0;
  while (self.in_ready_) {
    const ssize_t n = ::recv(self.descriptor_, to, static_cast<std::size_t>(room), MSG_DONTWAIT);
    if (n >= 0) {
      if (n == 0) self.eof_ = true;
      // A short read has emptied the socket; the end of input, once announced, is read.
      if (n < room && !self.ended_) self.in_ready_ = false;
      return static_cast<int>(n);
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) return -1;
    self.in_ready_ = false;
  }
  BIO_set_retry_read(bio);
  return -1;
}

int tls_socket::write(BIO* bio, const char* from, int size) noexcept {
  tls_session& self = *static_cast<tls_session*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  if (size <= 0) return 0;
  while (self.out_ready_) {
    const ssize_t n =
        ::send(self.descriptor_, from, static_cast<std::size_t>(size), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0) return static_cast<int>(n);
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) return -1;
    self.out_ready_ = false;
  }
  BIO_set_retry_write(bio);
  return -1;
}

long tls_socket::control(BIO* bio, int command, long, void*) noexcept {
  if (command == BIO_CTRL_FLUSH) return 1;
  if (command == BIO_CTRL_EOF) return static_cast<tls_session*>(BIO_get_data(bio))->eof_ ? 1 : 0;
  return 0;
}

const BIO_METHOD* tls_socket::method() noexcept {
  static const BIO_METHOD* const made = []() noexcept -> const BIO_METHOD* {
    BIO_METHOD* const out = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "syncline socket");
    if (out == nullptr) return nullptr;
    BIO_meth_set_read(out, &tls_socket::read);
    BIO_meth_set_write(out, &tls_socket::write);
    BIO_meth_set_ctrl(out, &tls_socket::control);
    BIO_meth_set_create(out, [](BIO* bio) {
      BIO_set_init(bio, 1);
      return 1;
    });
    return out;
  }();
  return made;
}

std::string_view to_string(tls_failure why) noexcept {
  static constexpr std::array<std::string_view, kTlsFailures> kNames{
      "plain_http", "not_tls", "unsupported", "alert", "closed", "timeout", "other"};
  return kNames[static_cast<std::size_t>(why)];
}

tls_session::~tls_session() {
  SSL_free(ssl_);
}

// What a call that moved nothing means.
io tls_session::outcome(int returned) noexcept {
  switch (SSL_get_error(ssl_, returned)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      return io::blocked;
    case SSL_ERROR_ZERO_RETURN:
      at_end_ = true;
      if (!shaken_) failure_ = tls_failure::closed;
      return io::failed;
    default:
      classify(ERR_peek_error());
      broken_ = true;
      ERR_clear_error();
      return io::failed;
  }
}

void tls_session::classify(unsigned long code) noexcept {
  failure_ = tls_failure::other;
  if (code == 0) {
    failure_ = tls_failure::closed;  // the socket failed or ended
  } else if (ERR_GET_LIB(code) == ERR_LIB_SSL) {
    const int reason = ERR_GET_REASON(code);
    if (reason > SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256) failure_ = tls_failure::alert;
    switch (reason) {
      case SSL_R_HTTP_REQUEST:
      case SSL_R_HTTPS_PROXY_REQUEST:
        failure_ = tls_failure::plain_http;
        break;
      case SSL_R_WRONG_VERSION_NUMBER:
      case SSL_R_UNEXPECTED_MESSAGE:
      case SSL_R_UNEXPECTED_RECORD:
      case SSL_R_BAD_RECORD_TYPE:
      case SSL_R_RECORD_LENGTH_MISMATCH:
      case SSL_R_PACKET_LENGTH_TOO_LONG:
      case SSL_R_ENCRYPTED_LENGTH_TOO_LONG:
        failure_ = tls_failure::not_tls;
        break;
      case SSL_R_UNSUPPORTED_PROTOCOL:
      case SSL_R_NO_SHARED_CIPHER:
      case SSL_R_NO_SUITABLE_KEY_SHARE:
      case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
      case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
      case SSL_R_NO_APPLICATION_PROTOCOL:
      case SSL_R_VERSION_TOO_LOW:
        failure_ = tls_failure::unsupported;
        break;
      case SSL_R_UNEXPECTED_EOF_WHILE_READING:
        failure_ = tls_failure::closed;
        break;
      default:
        break;
    }
  }
}

io tls_session::handshake() noexcept {
  if (broken_) return io::failed;
  ERR_clear_error();
  const int returned = SSL_do_handshake(ssl_);
  if (returned != 1) return outcome(returned);
  shaken_ = true;
  return io::done;
}

bool tls_session::resumed() const noexcept {
  return SSL_session_reused(ssl_) == 1;
}

io tls_session::read(char* to, std::size_t room, std::size_t& received) noexcept {
  received = 0;
  if (broken_ || at_end_) return io::failed;
  ERR_clear_error();
  const int returned = SSL_read_ex(ssl_, to, room, &received);
  return returned == 1 ? io::done : outcome(returned);
}

io tls_session::write(std::span<const iovec> parts, std::size_t& sent) noexcept {
  sent = 0;
  if (broken_) return io::failed;
  const char* from = static_cast<const char*>(parts.front().iov_base);
  std::size_t size = std::min(parts.front().iov_len, kRecordBytes);
  if (parts.size() > 1 && size < kRecordBytes) {
    // A record costs 22 bytes and a pass through the cipher; heads and short bodies share one. OpenSSL has
    // encrypted what it took, so nothing refers to this room afterwards.
    static thread_local std::array<char, kRecordBytes> together;
    size = 0;
    for (const iovec& part : parts) {
      const std::size_t n = std::min(part.iov_len, kRecordBytes - size);
      std::memcpy(together.data() + size, part.iov_base, n);
      size += n;
      if (size == kRecordBytes) break;
    }
    from = together.data();
  }
  ERR_clear_error();
  const int returned = SSL_write_ex(ssl_, from, size, &sent);
  return returned == 1 ? io::done : outcome(returned);
}

io tls_session::close_notify() noexcept {
  if (broken_ || !shaken_) return io::failed;
  ERR_clear_error();
  const int returned = SSL_shutdown(ssl_);
  return returned >= 0 ? io::done : outcome(returned);
}

bool tls_session::has_more() const noexcept {
  return in_ready_ || SSL_has_pending(ssl_) == 1;
}

}  // namespace syncline::net
