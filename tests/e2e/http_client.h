// A small blocking HTTP/1.1 client for tests: whole answers, and streams read line by line.
//
// Deliberately independent of the server's own HTTP code. Thread: one at a time per object. Failure:
// exceptions, which end the test.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace syncline::e2e {

struct answer {
  int status = 0;
  std::map<std::string, std::string> headers;  // lower-case names
  std::string body;
  [[nodiscard]] std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? std::string() : found->second;
  }
};

class http_client {
 public:
  explicit http_client(std::uint16_t port, int receive_buffer_bytes = 0);
  ~http_client();
  http_client(http_client&& other) noexcept;
  http_client& operator=(http_client&&) = delete;

  // Sends a request and reads the whole answer. `headers` are lines without end.
  answer request(std::string_view method, std::string_view target, std::string_view body = {},
                 const std::vector<std::string>& headers = {});
  // Sends a GET and reads the head; then next_line(). A stream that says Content-Encoding: gzip is inflated
  // as it comes.
  int open_stream(std::string_view target, const std::vector<std::string>& headers = {});
  // The next line without its end; nothing when the stream ended or `timeout_ms` passed (see ended()). Empty
  // lines are given too.
  [[nodiscard]] std::optional<std::string> next_line(int timeout_ms);
  [[nodiscard]] bool ended() const { return ended_; }

  // The head of a request whose body follows in pieces, each sent at once; last_piece() ends it.
  void begin_upload(std::string_view target, const std::vector<std::string>& headers = {});
  void send_piece(std::string_view bytes);
  void last_piece();
  // The head of an answer that is then read with next_line().
  int read_stream_head();

  void send_raw(std::string_view bytes);
  [[nodiscard]] answer read_answer(bool head_only = false);
  void shutdown_write();
  void reset();  // closes with RST
  [[nodiscard]] const answer& last_head() const { return head_; }

 private:
  bool fill(int timeout_ms);  // more bytes into buffer_; false at end or timeout
  answer read_head();
  bool read_chunk_into_lines(int timeout_ms);

  struct inflater;

  int fd_ = -1;
  std::string buffer_;
  std::string lines_;
  answer head_;
  std::unique_ptr<inflater> inflate_;
  bool chunked_ = false;
  bool ended_ = false;
};

// One request on a connection of its own.
[[nodiscard]] answer fetch(std::uint16_t port, std::string_view method, std::string_view target,
                           std::string_view body = {}, const std::vector<std::string>& headers = {});

}  // namespace syncline::e2e
