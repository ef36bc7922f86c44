#include "tests/e2e/websocket_client.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include <array>
#include <chrono>
#include <stdexcept>

namespace syncline::e2e {

namespace {

[[noreturn]] void broken(const char* what) {
  throw std::runtime_error(std::string("websocket: ") + what);
}

std::string masked_frame(unsigned op, std::string_view payload, bool final) {
  std::string out;
  out.push_back(static_cast<char>((final ? 0x80U : 0U) | op));
  if (payload.size() < 126) {
    out.push_back(static_cast<char>(0x80U | payload.size()));
  } else {
    out.push_back(static_cast<char>(0x80U | 127U));
    for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<char>(payload.size() >> shift));
    if (payload.size() <= 0xFFFF) {  // the shortest form is a rule
      out.resize(2);
      out[1] = static_cast<char>(0x80U | 126U);
      out.push_back(static_cast<char>(payload.size() >> 8U));
      out.push_back(static_cast<char>(payload.size()));
    }
  }
  const std::array<char, 4> key{0x12, 0x34, 0x56, 0x78};
  out.append(key.data(), key.size());
  for (std::size_t i = 0; i < payload.size(); ++i) out.push_back(static_cast<char>(payload[i] ^ key[i % 4]));
  return out;
}

}  // namespace

websocket_client::websocket_client(std::uint16_t port, std::string_view target, bool deflate,
                                   const std::vector<std::string>& headers) {
  fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) {
    ::close(fd_);
    broken("cannot connect");
  }
  try {
    handshake(target, deflate, headers);
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

websocket_client::~websocket_client() {
  if (fd_ >= 0) ::close(fd_);
}

void websocket_client::handshake(std::string_view target, bool deflate,
                                 const std::vector<std::string>& headers) {
  std::string request = "GET " + std::string(target) +
                        " HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  if (deflate)
    request +=
        "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
        "client_no_context_takeover\r\n";
  for (const std::string& line : headers) request.append(line).append("\r\n");
  request += "\r\n";
  if (::send(fd_, request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size()))
    broken("cannot send");
  while (buffer_.find("\r\n\r\n") == std::string::npos)
    if (!fill(10000)) broken("no answer to the handshake");
  status_ = std::stoi(buffer_.substr(9, 3));
  if (status_ != 101) return;
  const std::size_t end = buffer_.find("\r\n\r\n");
  const std::string head = buffer_.substr(0, end);
  // RFC 6455 section 1.3 gives the answer to this key.
  if (head.find("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") == std::string::npos) broken("wrong accept key");
  deflate_ = head.find("permessage-deflate") != std::string::npos;
  buffer_.erase(0, end + 4);
}

bool websocket_client::fill(int timeout_ms) {
  pollfd wait{fd_, POLLIN, 0};
  if (ended_ || ::poll(&wait, 1, timeout_ms) <= 0) return false;
  std::array<char, 16384> room;
  const ssize_t n = ::recv(fd_, room.data(), room.size(), 0);
  if (n <= 0) {
    ended_ = true;
    return false;
  }
  buffer_.append(room.data(), static_cast<std::size_t>(n));
  return true;
}

void websocket_client::send_bytes(std::string_view bytes) const {
  if (::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(bytes.size()))
    broken("cannot send");
}

void websocket_client::send_frame(unsigned op, std::string_view payload, bool final) {
  send_bytes(masked_frame(op, payload, final));
}

void websocket_client::send_texts(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += masked_frame(1, text, true);
  send_bytes(all);
}

bool websocket_client::take_frame(frame& out) {
  const auto byte = [this](std::size_t i) { return static_cast<unsigned char>(buffer_[i]); };
  if (buffer_.size() < 2) return false;
  std::size_t head = 2;
  std::uint64_t size = byte(1) & 0x7FU;
  if ((byte(1) & 0x80U) != 0) broken("the server masks");
  const std::size_t more = size == 126 ? 2 : size == 127 ? 8 : 0;
  if (buffer_.size() < head + more) return false;
  if (more != 0) {
    size = 0;
    for (std::size_t i = 0; i < more; ++i) size = size << 8U | byte(head + i);
    head += more;
  }
  if (buffer_.size() < head + size) return false;
  out.final = (byte(0) & 0x80U) != 0;
  out.compressed = (byte(0) & 0x40U) != 0;
  out.op = byte(0) & 0x0FU;
  if ((byte(0) & 0x30U) != 0 || (out.compressed && !deflate_)) broken("reserved bits");
  out.payload = buffer_.substr(head, size);
  buffer_.erase(0, head + size);
  return true;
}

std::string websocket_client::inflated(const std::string& packed) const {
  std::string in = packed;
  in.append("\x00\x00\xFF\xFF", 4);
  z_stream stream{};
  if (inflateInit2(&stream, -15) != Z_OK) broken("inflate");
  std::string out;
  std::array<char, 16384> room;
  stream.next_in = reinterpret_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  int code = Z_OK;
  do {
    stream.next_out = reinterpret_cast<Bytef*>(room.data());
    stream.avail_out = static_cast<uInt>(room.size());
    code = inflate(&stream, Z_SYNC_FLUSH);
    out.append(room.data(), room.size() - stream.avail_out);
  } while (code == Z_OK && stream.avail_out == 0);
  inflateEnd(&stream);
  if (code != Z_OK && code != Z_BUF_ERROR) broken("bad deflate");
  return out;
}

std::optional<std::string> websocket_client::next_message(int timeout_ms) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  bool compressed = false;
  for (;;) {
    frame got;
    while (!take_frame(got)) {
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
      if (left.count() <= 0 || !fill(static_cast<int>(left.count()))) {
        if (ended_ && close_code_ == 0) close_code_ = 1006;
        return std::nullopt;
      }
    }
    switch (got.op) {
      case 8:
        close_code_ = got.payload.size() < 2 ? 1005
                                             : static_cast<unsigned char>(got.payload[0]) * 256 +
                                                   static_cast<unsigned char>(got.payload[1]);
        close_reason_ = got.payload.size() < 2 ? "" : got.payload.substr(2);
        return std::nullopt;
      case 9:
        send_frame(10, got.payload);
        continue;
      case 10:
        continue;
      default:
        break;
    }
    if (got.op != 0) {
      message_.clear();
      compressed = got.compressed;
    }
    message_ += got.payload;
    if (!got.final) continue;
    compressed_any_ = compressed_any_ || compressed;
    return compressed ? inflated(message_) : message_;
  }
}

}  // namespace syncline::e2e
