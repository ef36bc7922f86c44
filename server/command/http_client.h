// A small blocking HTTP/1.1 client for the commands `load` and `sync`: one connection, one request, streams
// both ways.
//
// Not for the server: it blocks. http and https, whose server must show a certificate for its name. Thread:
// one that sends and one that reads may work at the same time; abort() from any. Bound: 64 KB of input,
// response heads of 64 KB, lines of kLineBytesMax. Failure: errc::down when the server cannot be reached or
// is gone, timed_out when it is silent for longer than allowed, corrupt for an answer that is no HTTP.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "net/core/error.h"

namespace syncline::server::command {

inline constexpr std::size_t kLineBytesMax = 256 * 1024 * 1024;

struct http_url {
  bool tls = false;
  std::string host;
  std::string port;
  std::string path;  // before "/v1/…", without a slash at its end
};
[[nodiscard]] net::result<http_url> parse_url(std::string_view text);

using http_headers = std::span<const std::pair<std::string_view, std::string_view>>;

struct http_answer {
  int status = 0;
  std::uint32_t retry_after_s = 0;  // 0: none
};

class http_client {
 public:
  // `silence_max_s`: how long a read may wait for a byte, and a write for the peer to take one. `ca_file`:
  // PEM of the authorities that are trusted with https instead of the system's; empty: those.
  [[nodiscard]] static net::result<http_client> connect(const http_url& to, std::uint32_t silence_max_s,
                                                        const std::string& ca_file = {});
  ~http_client();
  http_client(http_client&&) noexcept;
  http_client& operator=(http_client&&) noexcept;

  // The head of a request; `chunked` when send_chunk() and end_chunks() follow.
  [[nodiscard]] net::result<void> send_head(std::string_view method, std::string_view target,
                                            http_headers headers, bool chunked);
  [[nodiscard]] net::result<void> send_chunk(std::string_view bytes);
  [[nodiscard]] net::result<void> end_chunks();

  [[nodiscard]] net::result<http_answer> read_head();
  // The next line of the body without its end, gzip undone; false at the end of the body.
  [[nodiscard]] net::result<bool> read_line(std::string& line);
  // What is left of the body, at most `bytes_max` of it.
  [[nodiscard]] net::result<std::string> read_rest(std::size_t bytes_max);
  // Lets every call that waits fail.
  void abort() noexcept;

 private:
  struct state;
  explicit http_client(std::unique_ptr<state> with);
  std::unique_ptr<state> state_;
};

// "title: detail" of an RFC 9457 answer, or the beginning of whatever it is.
[[nodiscard]] std::string describe_problem(int status, std::string_view body);

}  // namespace syncline::server::command
