#include "tests/e2e/http_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <stdexcept>
#include <utility>

namespace syncline::e2e {
namespace {
constexpr int kAnswerTimeoutMs = 60000;
}

struct http_client::inflater {
  inflater() { inflateInit2(&stream, 15 + 16); }
  ~inflater() { inflateEnd(&stream); }
  inflater(const inflater&) = delete;
  inflater& operator=(const inflater&) = delete;
  void append(std::string_view packed, std::string& out) {
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
    stream.avail_in = static_cast<uInt>(packed.size());
    char piece[65536];
    for (int code = Z_OK; code == Z_OK;) {
      stream.next_out = reinterpret_cast<Bytef*>(piece);
      stream.avail_out = sizeof piece;
      code = ::inflate(&stream, Z_SYNC_FLUSH);
      if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
        throw std::runtime_error("the stream is no gzip");
      out.append(piece, sizeof piece - stream.avail_out);
    }
  }
  z_stream stream{};
};

http_client::http_client(std::uint16_t port, int receive_buffer_bytes) {
  fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (receive_buffer_bytes > 0)
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) {
    ::close(fd_);
    throw std::runtime_error("cannot connect");
  }
}

http_client::~http_client() {
  if (fd_ >= 0) ::close(fd_);
}

http_client::http_client(http_client&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      buffer_(std::move(other.buffer_)),
      lines_(std::move(other.lines_)),
      head_(std::move(other.head_)),
      inflate_(std::move(other.inflate_)),
      chunked_(other.chunked_),
      ended_(other.ended_) {}

void http_client::send_raw(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) throw std::runtime_error("the server closed while we were sending");
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

void http_client::shutdown_write() {
  ::shutdown(fd_, SHUT_WR);
}

void http_client::reset() {
  const linger now{1, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  ::close(std::exchange(fd_, -1));
  ended_ = true;
}

bool http_client::fill(int timeout_ms) {
  pollfd ready{fd_, POLLIN, 0};
  if (::poll(&ready, 1, timeout_ms) <= 0) return false;
  char bytes[65536];
  const ssize_t got = ::recv(fd_, bytes, sizeof bytes, 0);
  if (got <= 0) {
    ended_ = true;
    return false;
  }
  buffer_.append(bytes, static_cast<std::size_t>(got));
  return true;
}

answer http_client::read_head() {
  std::size_t end = 0;
  while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
    if (!fill(kAnswerTimeoutMs)) throw std::runtime_error("no answer: " + buffer_);
  }
  answer head;
  const std::string text = buffer_.substr(0, end);
  buffer_.erase(0, end + 4);
  head.status = std::stoi(text.substr(9, 3));
  for (std::size_t at = text.find("\r\n"); at != std::string::npos;) {
    const std::size_t next = text.find("\r\n", at + 2);
    const std::string line = text.substr(at + 2, next == std::string::npos ? next : next - at - 2);
    const std::size_t colon = line.find(':');
    std::string name = line.substr(0, colon);
    for (char& c : name) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    head.headers[name] = line.substr(line.find_first_not_of(' ', colon + 1));
    at = next;
  }
  if (head.status == 100) return read_head();
  chunked_ = head.header("transfer-encoding") == "chunked";
  return head;
}

answer http_client::read_answer(bool head_only) {
  answer got = read_head();
  if (head_only || got.status == 204 || got.status == 304) return got;
  if (chunked_) {
    ended_ = false;
    lines_.clear();
    while (read_chunk_into_lines(kAnswerTimeoutMs)) {
    }
    got.body = std::exchange(lines_, {});
    ended_ = false;
    return got;
  }
  const std::string length = got.header("content-length");
  if (length.empty()) {
    while (fill(kAnswerTimeoutMs)) {
    }
    got.body = std::exchange(buffer_, {});
    return got;
  }
  const std::size_t bytes = std::stoull(length);
  while (buffer_.size() < bytes) {
    if (!fill(kAnswerTimeoutMs)) throw std::runtime_error("the answer ends early");
  }
  got.body = buffer_.substr(0, bytes);
  buffer_.erase(0, bytes);
  return got;
}

answer http_client::request(std::string_view method, std::string_view target, std::string_view body,
                            const std::vector<std::string>& headers) {
  std::string text;
  text.append(method).append(" ").append(target).append(" HTTP/1.1\r\nHost: localhost\r\n");
  for (const auto& line : headers) text.append(line).append("\r\n");
  if (!body.empty() || method == "POST" || method == "PUT" || method == "PATCH")
    text.append("Content-Length: " + std::to_string(body.size()) + "\r\n");
  text.append("\r\n").append(body);
  send_raw(text);
  return read_answer(method == "HEAD");
}

int http_client::open_stream(std::string_view target, const std::vector<std::string>& headers) {
  std::string text;
  text.append("GET ").append(target).append(" HTTP/1.1\r\nHost: localhost\r\n");
  for (const auto& line : headers) text.append(line).append("\r\n");
  send_raw(text.append("\r\n"));
  return read_stream_head();
}

int http_client::read_stream_head() {
  head_ = read_head();
  inflate_.reset();
  if (head_.header("content-encoding") == "gzip") inflate_ = std::make_unique<inflater>();
  return head_.status;
}

void http_client::begin_upload(std::string_view target, const std::vector<std::string>& headers) {
  std::string text;
  text.append("POST ").append(target).append(
      " HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n");
  for (const auto& line : headers) text.append(line).append("\r\n");
  send_raw(text.append("\r\n"));
}

void http_client::send_piece(std::string_view bytes) {
  if (bytes.empty()) return;
  char size[32];
  const int digits = std::snprintf(size, sizeof size, "%zx\r\n", bytes.size());
  send_raw(std::string(size, static_cast<std::size_t>(digits)).append(bytes).append("\r\n"));
}

void http_client::last_piece() {
  send_raw("0\r\n\r\n");
}

// Moves one chunk from buffer_ to lines_; false at the end of the body, of the connection, or when time is
// up.
bool http_client::read_chunk_into_lines(int timeout_ms) {
  std::size_t line_end = 0;
  while ((line_end = buffer_.find("\r\n")) == std::string::npos) {
    if (!fill(timeout_ms)) return false;
  }
  const std::size_t bytes = std::stoull(buffer_.substr(0, line_end), nullptr, 16);
  while (buffer_.size() < line_end + 2 + bytes + 2) {
    if (!fill(timeout_ms)) return false;
  }
  if (inflate_ && bytes != 0) {
    inflate_->append(std::string_view(buffer_).substr(line_end + 2, bytes), lines_);
  } else {
    lines_.append(buffer_, line_end + 2, bytes);
  }
  buffer_.erase(0, line_end + 2 + bytes + 2);
  if (bytes == 0) ended_ = true;
  return bytes != 0;
}

std::optional<std::string> http_client::next_line(int timeout_ms) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  for (;;) {
    const std::size_t end = lines_.find("\r\n");
    if (end != std::string::npos) {
      std::string line = lines_.substr(0, end);
      lines_.erase(0, end + 2);
      return line;
    }
    if (ended_) return std::nullopt;
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now())
            .count();
    if (left < 0) return std::nullopt;
    read_chunk_into_lines(static_cast<int>(left));
  }
}

answer fetch(std::uint16_t port, std::string_view method, std::string_view target, std::string_view body,
             const std::vector<std::string>& headers) {
  http_client client(port);
  return client.request(method, target, body, headers);
}

}  // namespace syncline::e2e
