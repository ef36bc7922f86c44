// A client that sends exactly the bytes a test says, over TCP on loopback or a unix socket, plain or inside
// TLS.
//
// Every wait is bounded: after kPatience a read gives what it has, and the test fails on that.
#pragma once

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cctype>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "tests/net/tls_peer.h"

namespace syncline::net::http::testing {

inline constexpr std::chrono::seconds kPatience{20};

struct response {
  int status = 0;
  std::string head;  // status line and headers
  std::string body;
  [[nodiscard]] bool has(std::string_view line) const {
    return head.find("\r\n" + std::string(line) + "\r\n") != std::string::npos;
  }
  [[nodiscard]] std::string header(const std::string& name) const {
    const std::size_t at = head.find("\r\n" + name + ": ");
    if (at == std::string::npos) return {};
    const std::size_t from = at + name.size() + 4;
    return head.substr(from, head.find("\r\n", from) - from);
  }
};

inline std::size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::size_t pages = 0;
  statm >> pages >> pages;
  return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

inline std::string get(const std::string& path, const std::string& lines = {}) {
  return "GET " + path + " HTTP/1.1\r\nHost: a\r\n" + lines + "\r\n";
}

class raw_client {
 public:
  explicit raw_client(std::uint16_t port, int receive_buffer_bytes = 0)
      : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    if (receive_buffer_bytes != 0) {
      ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
    }
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(socket_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
  }
  explicit raw_client(const std::string& path, int receive_buffer_bytes = 0)
      : socket_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    // A unix socket has no receive buffer of its own: the sender's counts, which the server leaves at its
    // default.
    static_cast<void>(receive_buffer_bytes);
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    std::memcpy(to.sun_path, path.c_str(), path.size() + 1);
    connected_ = ::connect(socket_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
  }
  raw_client(raw_client&& other) noexcept
      : socket_(std::exchange(other.socket_, -1)),
        connected_(other.connected_),
        tls_(std::move(other.tls_)),
        received_(std::move(other.received_)),
        unsent_(std::move(other.unsent_)),
        buffer_(std::move(other.buffer_)) {}
  raw_client& operator=(raw_client&&) = delete;
  ~raw_client() { close(); }

  [[nodiscard]] bool connected() const { return connected_; }
  // Shakes hands; false when that fails (see tls_fault()).
  bool start_tls(const net::testing::tls_peer::options& how = {}) {
    tls_ = std::make_unique<tls_state>(how);
    net::testing::tls_peer& peer = tls_->peer;
    for (;;) {
      const bool done = peer.shake_hands();
      if (!send_raw(peer.take_records()) || done) return done;
      if (peer.broken()) return false;
      const std::string_view records = receive_records();
      if (records.empty()) return false;
      peer.give_records(records);
    }
  }
  [[nodiscard]] net::testing::tls_peer& tls() { return tls_->peer; }

  // False when the server no longer takes our bytes.
  bool send(std::string_view bytes) {
    if (tls_ == nullptr) return send_raw(bytes);
    while (!bytes.empty()) {
      const std::string_view piece = bytes.substr(0, kPieceBytes);
      if (!send_raw(encrypt(piece))) return false;
      bytes.remove_prefix(piece.size());
    }
    return true;
  }
  // Past TLS.
  bool send_raw(std::string_view bytes) {
    while (!bytes.empty()) {
      pollfd wanted{socket_, POLLOUT, 0};
      if (::poll(&wanted, 1, static_cast<int>(kPatience.count() * 1000)) != 1) return false;
      const ssize_t n = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n < 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  // Sends until the kernel takes nothing for `pause`; returns how much it took.
  std::size_t send_while_taken(std::string_view bytes, std::chrono::milliseconds pause) {
    if (tls_ == nullptr) return send_raw_while_taken(bytes, pause);
    std::size_t taken = 0;
    while (taken < bytes.size()) {
      const std::string_view piece = bytes.substr(taken, kPieceBytes);
      const std::string records = encrypt(piece);
      taken += piece.size();
      const std::size_t sent = send_raw_while_taken(records, pause);
      if (sent == records.size()) continue;
      unsent_ = records.substr(sent);  // goes first, whatever is sent next
      break;
    }
    return taken;
  }
  std::size_t send_raw_while_taken(std::string_view bytes, std::chrono::milliseconds pause) {
    std::size_t taken = 0;
    while (taken < bytes.size()) {
      pollfd wanted{socket_, POLLOUT, 0};
      if (::poll(&wanted, 1, static_cast<int>(pause.count())) != 1) break;
      const std::string_view left = bytes.substr(taken);
      const ssize_t n = ::send(socket_, left.data(), left.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n < 0) break;
      taken += static_cast<std::size_t>(n);
    }
    return taken;
  }
  void close() {
    if (socket_ >= 0 && tls_ != nullptr) send_close_notify();
    drop();
  }
  // Without close_notify.
  void drop() {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
  }
  void reset() {
    const linger now{1, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    drop();
  }
  void shut_down_writing() {
    if (tls_ != nullptr) send_close_notify();
    ::shutdown(socket_, SHUT_WR);
  }
  void send_close_notify() {
    std::string bytes = std::move(unsent_);
    {
      const std::lock_guard lock(tls_->mutex);
      bytes += tls_->peer.close_notify();
    }
    static_cast<void>(::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
  }

  // What comes next, past the buffer; empty at the end.
  std::string_view receive_piece() {
    if (tls_ == nullptr) return receive_records();
    static std::string plain;
    do {
      const std::string_view records = receive_records();
      if (records.empty()) return {};
      plain = decrypt(records);
    } while (plain.empty() && !tls_->peer.broken());
    return plain;
  }
  // One more read, of at most `bytes_max` as they come from the socket, into the buffer; false at the end, a
  // reset or when patience ends.
  bool receive_some(std::size_t bytes_max = kReceiveBytes) {
    const std::string_view bytes = receive_records(bytes_max);
    if (bytes.empty()) return false;
    buffer_.append(tls_ == nullptr ? std::string(bytes) : decrypt(bytes));
    return true;
  }
  // Takes up to and including `mark` from the buffer.
  std::string receive_until(std::string_view mark) {
    std::size_t at = buffer_.find(mark);
    while (at == std::string::npos) {
      const std::size_t from = buffer_.size() < mark.size() ? 0 : buffer_.size() - mark.size();
      if (!receive_some()) return take(buffer_.size());
      at = buffer_.find(mark, from);
    }
    return take(at + mark.size());
  }
  std::string receive_bytes(std::size_t n) {
    while (buffer_.size() < n && receive_some()) {
    }
    return take(std::min(n, buffer_.size()));
  }
  // What was read but not asked for yet.
  std::string take_buffered() { return take(buffer_.size()); }
  std::string receive_all() {
    while (receive_some()) {
    }
    return take(buffer_.size());
  }
  // True when the server closed in order (no reset, no endless wait, with TLS after close_notify) and nothing
  // is left.
  bool closed_in_order() {
    return receive_all().empty() && !was_reset_ && !impatient_ && (tls_ == nullptr || tls_->peer.closed());
  }
  [[nodiscard]] bool was_reset() const { return was_reset_; }

  response receive_response(bool head_only = false) {
    response out;
    out.head = receive_until("\r\n\r\n");
    if (out.head.size() < 12) return out;
    out.status = std::stoi(out.head.substr(9, 3));
    if (head_only || out.status == 204 || out.status == 304 || out.status < 200) return out;
    if (out.has("Transfer-Encoding: chunked")) {
      out.body = receive_chunks().body;
      return out;
    }
    const std::string length = out.header("Content-Length");
    out.body = length.empty() ? receive_all() : receive_bytes(std::stoul(length));
    return out;
  }
  // The chunks of a body, until the last one or the end.
  response receive_chunks() {
    response out;
    for (;;) {
      const std::string line = receive_until("\r\n");
      if (line.empty()) return out;
      const std::size_t n = std::stoul(line, nullptr, 16);
      const std::string piece = receive_bytes(n + 2);
      if (n == 0 || piece.size() != n + 2) return out;
      out.body.append(piece, 0, n);
    }
  }
  response ask(std::string_view bytes) {
    send(bytes);
    return receive_response();
  }

 private:
  static constexpr std::size_t kPieceBytes = 16384;
  struct tls_state {
    explicit tls_state(const net::testing::tls_peer::options& how) : peer(how) {}
    std::mutex mutex;  // tests send on one thread and receive on another
    net::testing::tls_peer peer;
  };

  // One read from the socket: plain bytes, or records of TLS.
  std::string_view receive_records(std::size_t bytes_max = kReceiveBytes) {
    pollfd wanted{socket_, POLLIN, 0};
    if (::poll(&wanted, 1, static_cast<int>(kPatience.count() * 1000)) != 1) {
      impatient_ = true;
      return {};
    }
    if (received_ == nullptr) received_.reset(new char[kReceiveBytes]);
    const ssize_t n = ::recv(socket_, received_.get(), std::min(bytes_max, kReceiveBytes), 0);
    if (n < 0) was_reset_ = true;
    return {received_.get(), n > 0 ? static_cast<std::size_t>(n) : 0};
  }
  std::string encrypt(std::string_view plain) {
    const std::lock_guard lock(tls_->mutex);
    return std::exchange(unsent_, {}) + tls_->peer.encrypt(plain);
  }
  std::string decrypt(std::string_view records) {
    const std::lock_guard lock(tls_->mutex);
    tls_->peer.give_records(records);
    return tls_->peer.decrypt();
  }
  std::string take(std::size_t n) {
    std::string out = buffer_.substr(0, n);
    buffer_.erase(0, n);
    return out;
  }

  int socket_;
  bool connected_ = false;
  bool was_reset_ = false;
  bool impatient_ = false;
  static constexpr std::size_t kReceiveBytes = 65536;
  std::unique_ptr<tls_state> tls_;
  std::unique_ptr<char[]> received_;
  std::string unsent_;  // records that the kernel has not taken yet
  std::string buffer_;
};

}  // namespace syncline::net::http::testing
