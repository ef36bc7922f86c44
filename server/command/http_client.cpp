#include "server/command/http_client.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <fmt/format.h>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/json/parse.hpp>

#include "net/core/gzip.h"
#include "server/command/tls_channel.h"

namespace syncline::server::command {
namespace {

namespace http = boost::beast::http;

constexpr std::size_t kReadBytes = 64 * 1024;
constexpr std::size_t kDecodeBytes = 256 * 1024;

net::error system_error(std::string_view doing, int code) {
  if (code == EAGAIN || code == EWOULDBLOCK)
    return net::error(net::errc::timed_out, "the server is silent", std::string(doing));
  return net::error(net::errc::down, "the connection failed",
                    fmt::format("{}: {}", doing, std::strerror(code)));
}

class descriptor {
 public:
  explicit descriptor(int fd = -1) noexcept : fd_(fd) {}
  descriptor(descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  descriptor& operator=(descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const noexcept { return fd_; }

 private:
  int fd_;
};

void set_silence(int fd, std::uint32_t silence_max_s) {
  const timeval limit{static_cast<time_t>(silence_max_s), 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

net::result<descriptor> open_socket(const http_url& to, std::uint32_t silence_max_s) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int code = getaddrinfo(to.host.c_str(), to.port.c_str(), &hints, &found); code != 0) {
    return net::error(net::errc::down, "the name of the server is not known",
                      fmt::format("{}: {}", to.host, gai_strerror(code)));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> addresses(found, freeaddrinfo);
  int failed = ECONNREFUSED;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    descriptor fd(::socket(each->ai_family, each->ai_socktype | SOCK_CLOEXEC, each->ai_protocol));
    if (fd.get() < 0) continue;
    set_silence(fd.get(), silence_max_s);
    if (::connect(fd.get(), each->ai_addr, each->ai_addrlen) == 0) return fd;
    failed = errno == EINPROGRESS ? ETIMEDOUT : errno;
  }
  return net::error(net::errc::down, "the server does not answer",
                    fmt::format("{}:{}: {}", to.host, to.port, std::strerror(failed)));
}

bool has_gzip(std::string_view coding) {
  return coding == "gzip" || coding == "x-gzip";
}

}  // namespace

struct http_client::state {
  explicit state(descriptor d, std::string h) : fd(std::move(d)), host(std::move(h)) {
    parser.body_limit(boost::none);
    parser.header_limit(64 * 1024);
  }

  [[nodiscard]] net::result<void> send(std::string_view bytes) {
    return tls ? tls->send(bytes) : write_socket(bytes);
  }

  [[nodiscard]] net::result<void> write_socket(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0) return system_error("sending", errno);
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return {};
  }

  // Reads once; 0 at the end of the stream.
  [[nodiscard]] net::result<std::size_t> read(char* to, std::size_t room) {
    return tls ? tls->read(to, room) : read_socket(to, room);
  }

  [[nodiscard]] net::result<std::size_t> read_socket(char* to, std::size_t room) {
    for (;;) {
      const ssize_t got = ::recv(fd.get(), to, room, 0);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return system_error("reading", errno);
      return static_cast<std::size_t>(got);
    }
  }

  // Feeds the parser once; what it decoded of the body goes to `body`.
  [[nodiscard]] net::result<void> parse() {
    boost::beast::error_code failed;
    if (input.empty()) {
      const auto got = read(raw.data(), raw.size());
      if (!got) return got.error();
      input = std::string_view(raw.data(), *got);
      if (input.empty()) {
        parser.put_eof(failed);
        if (failed) return net::error(net::errc::down, "the server ended the connection early");
        return {};
      }
    }
    parser.get().body().data = decoded.data();
    parser.get().body().size = decoded.size();
    parser.get().body().more = true;
    const std::size_t used = parser.put(boost::asio::const_buffer(input.data(), input.size()), failed);
    if (failed == http::error::need_more && used == 0) return parse_split_element();
    if (failed && failed != http::error::need_more && failed != http::error::need_buffer) {
      return net::error(net::errc::corrupt, "the answer is no HTTP", failed.message());
    }
    input.remove_prefix(used);
    if (!parser.is_header_done()) return {};
    return take_body(std::string_view(decoded.data(), decoded.size() - parser.get().body().size));
  }

  // An element of the protocol (a head, a chunk's size) is split between two reads: both are parsed together.
  [[nodiscard]] net::result<void> parse_split_element() {
    std::memmove(raw.data(), input.data(), input.size());
    const std::size_t kept = input.size();
    if (kept == raw.size())
      return net::error(net::errc::corrupt, "the answer is no HTTP", "its head is too large");
    const auto got = read(raw.data() + kept, raw.size() - kept);
    if (!got) return got.error();
    if (*got == 0) return net::error(net::errc::down, "the server ended the connection early");
    input = std::string_view(raw.data(), kept + *got);
    return {};
  }

  [[nodiscard]] net::result<void> take_body(std::string_view bytes) {
    if (!unzip) {
      body.append(bytes);
      return {};
    }
    std::size_t before = 0;
    do {
      before = body.size();
      if (auto done = unzip->decode(bytes, kDecodeBytes, body); !done) return done;
    } while (!bytes.empty() || body.size() - before == kDecodeBytes);
    return {};
  }

  // Drops the lines that were given out, once they are worth a move.
  void compact() {
    if (line_at < kDecodeBytes && line_at < body.size()) return;
    body.erase(0, line_at);
    scanned -= line_at;
    line_at = 0;
  }

  descriptor fd;
  std::unique_ptr<tls_channel> tls;  // null: http
  std::string host;
  std::array<char, kReadBytes> raw;
  std::array<char, kReadBytes> decoded;
  std::string_view input;
  http::response_parser<http::buffer_body> parser;
  std::optional<net::gzip_decoder> unzip;
  std::string body;  // decoded and not yet given out from line_at on
  std::size_t line_at = 0;
  std::size_t scanned = 0;  // no line end before
};

http_client::http_client(std::unique_ptr<state> with) : state_(std::move(with)) {}
http_client::~http_client() = default;
http_client::http_client(http_client&&) noexcept = default;
http_client& http_client::operator=(http_client&&) noexcept = default;

net::result<http_client> http_client::connect(const http_url& to, std::uint32_t silence_max_s,
                                              const std::string& ca_file) {
  auto fd = open_socket(to, silence_max_s);
  if (!fd) return fd.error();
  const bool v6 = to.host.find(':') != std::string::npos;
  auto made = std::make_unique<state>(
      std::move(*fd), fmt::format("{}{}{}:{}", v6 ? "[" : "", to.host, v6 ? "]" : "", to.port));
  if (to.tls) {
    auto channel = tls_channel::open(
        to.host, ca_file, [&s = *made](std::string_view bytes) { return s.write_socket(bytes); },
        [&s = *made](char* at, std::size_t room) { return s.read_socket(at, room); });
    if (!channel) return channel.error();
    made->tls = std::move(*channel);
  }
  return http_client(std::move(made));
}

net::result<void> http_client::send_head(std::string_view method, std::string_view target,
                                         http_headers headers, bool chunked) {
  std::string head =
      fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: syncline\r\nConnection: close\r\n", method,
                  target, state_->host);
  for (const auto& [name, value] : headers)
    fmt::format_to(std::back_inserter(head), "{}: {}\r\n", name, value);
  if (chunked) head += "Transfer-Encoding: chunked\r\n";
  head += "\r\n";
  return state_->send(head);
}

net::result<void> http_client::send_chunk(std::string_view bytes) {
  if (bytes.empty()) return {};  // a chunk without bytes would be the end
  std::string framed = fmt::format("{:x}\r\n", bytes.size());
  framed.append(bytes).append("\r\n");
  return state_->send(framed);
}

net::result<void> http_client::end_chunks() {
  return state_->send("0\r\n\r\n");
}

net::result<http_answer> http_client::read_head() {
  while (!state_->parser.is_header_done()) {
    if (auto parsed = state_->parse(); !parsed) return parsed.error();
  }
  const auto& head = state_->parser.get();
  const auto coding = head[http::field::content_encoding];
  if (has_gzip({coding.data(), coding.size()})) state_->unzip.emplace();
  http_answer out;
  out.status = static_cast<int>(head.result_int());
  const auto retry = head[http::field::retry_after];
  std::from_chars(retry.data(), retry.data() + retry.size(), out.retry_after_s);
  return out;
}

net::result<bool> http_client::read_line(std::string& line) {
  state& s = *state_;
  for (;;) {
    const std::size_t end = s.body.find('\n', std::max(s.scanned, s.line_at));
    if (end != std::string::npos) {
      line.assign(s.body, s.line_at, end - s.line_at);
      if (line.ends_with('\r')) line.pop_back();
      s.line_at = s.scanned = end + 1;
      s.compact();
      return true;
    }
    s.scanned = s.body.size();
    if (s.parser.is_done()) {
      if (s.unzip && !s.unzip->complete())
        return net::error(net::errc::corrupt, "the answer ends in the middle");
      line = s.body.substr(s.line_at);
      s.line_at = s.scanned = s.body.size();
      return !line.empty();
    }
    if (s.body.size() - s.line_at > kLineBytesMax)
      return net::error(net::errc::too_large, "a line of the answer is too long");
    if (auto parsed = s.parse(); !parsed) return parsed.error();
  }
}

net::result<std::string> http_client::read_rest(std::size_t bytes_max) {
  state& s = *state_;
  while (!s.parser.is_done() && s.body.size() - s.line_at < bytes_max) {
    if (auto parsed = s.parse(); !parsed) return parsed.error();
  }
  return s.body.substr(s.line_at, bytes_max);
}

void http_client::abort() noexcept {
  ::shutdown(state_->fd.get(), SHUT_RDWR);
}

net::result<http_url> parse_url(std::string_view text) {
  constexpr std::string_view kPlain = "http://", kTls = "https://";
  constexpr std::string_view kAllowed = "allowed: http://HOST[:PORT] and https://HOST[:PORT]";
  http_url out;
  out.tls = text.starts_with(kTls);
  if (!out.tls && !text.starts_with(kPlain))
    return net::error(net::errc::invalid, "not a URL this command can use",
                      fmt::format("\"{}\"; {}", text, kAllowed));
  text.remove_prefix((out.tls ? kTls : kPlain).size());
  const std::size_t slash = std::min(text.find('/'), text.size());
  std::string_view place = text.substr(0, slash);
  out.path = text.substr(slash);
  while (out.path.ends_with('/')) out.path.pop_back();
  const bool v6 = place.starts_with('[');
  const std::size_t colon =
      v6 ? place.find("]:") + (place.find("]:") == std::string_view::npos ? 0 : 1) : place.find(':');
  out.port =
      colon == std::string_view::npos ? (out.tls ? "443" : "80") : std::string(place.substr(colon + 1));
  place = place.substr(0, colon);
  if (v6) place = place.ends_with(']') ? place.substr(1, place.size() - 2) : std::string_view();
  out.host = place;
  const bool digits = !out.port.empty() && std::all_of(out.port.begin(), out.port.end(),
                                                       [](char c) { return c >= '0' && c <= '9'; });
  const bool plain = out.path.find_first_of("?# \r\n") == std::string::npos &&
                     out.host.find_first_of("@ \r\n") == std::string::npos;
  if (out.host.empty() || !digits || !plain)
    return net::error(net::errc::invalid, "not a URL this command can use", std::string(kAllowed));
  return out;
}

std::string describe_problem(int status, std::string_view body) {
  boost::json::error_code failed;
  const boost::json::value parsed = boost::json::parse(body, failed);
  const auto* problem = failed ? nullptr : parsed.if_object();
  const auto member = [&](std::string_view name) {
    const auto* value = problem != nullptr ? problem->if_contains(name) : nullptr;
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
  };
  const std::string title = member("title"), detail = member("detail");
  if (!title.empty()) return fmt::format("{} {}{}{}", status, title, detail.empty() ? "" : ": ", detail);
  return fmt::format("{} {}", status, body.substr(0, 500));
}

}  // namespace syncline::server::command
