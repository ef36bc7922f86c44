// A small blocking WebSocket client for tests (RFC 6455, RFC 7692 without context takeover).
//
// Deliberately independent of the server's own WebSocket code. Thread: one at a time. Failure: exceptions,
// which end the test, when the connection breaks or the server breaks a rule; a refused handshake is told by
// status().
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace syncline::e2e {

class websocket_client {
 public:
  // Connects and asks for an upgrade of `target`; `headers` are lines without end.
  websocket_client(std::uint16_t port, std::string_view target, bool deflate = false,
                   const std::vector<std::string>& headers = {});
  ~websocket_client();
  websocket_client(const websocket_client&) = delete;
  websocket_client& operator=(const websocket_client&) = delete;

  [[nodiscard]] int status() const { return status_; }  // 101 when it is open
  [[nodiscard]] const std::string& refusal() const { return buffer_; }
  void send_text(std::string_view text) { send_frame(1, text); }
  void send_texts(const std::vector<std::string>& texts);  // in one write
  void send_frame(unsigned op, std::string_view payload, bool final = true);
  // The next text or binary message; nothing when `timeout_ms` passed or the server closed (see
  // close_code()).
  [[nodiscard]] std::optional<std::string> next_message(int timeout_ms);
  // Of the server's close frame, 1006 when the connection ended without one; 0 while it is open.
  [[nodiscard]] int close_code() const { return close_code_; }
  [[nodiscard]] const std::string& close_reason() const { return close_reason_; }
  [[nodiscard]] bool compressed_any() const { return compressed_any_; }

 private:
  struct frame {
    unsigned op = 0;
    bool final = true;
    bool compressed = false;
    std::string payload;
  };
  void send_bytes(std::string_view bytes) const;
  bool fill(int timeout_ms);
  void handshake(std::string_view target, bool deflate, const std::vector<std::string>& headers);
  [[nodiscard]] bool take_frame(frame& out);
  [[nodiscard]] std::string inflated(const std::string& packed) const;

  int fd_ = -1;
  int status_ = 0;
  int close_code_ = 0;
  bool deflate_ = false;
  bool compressed_any_ = false;
  bool ended_ = false;
  std::string buffer_;
  std::string message_;
  std::string close_reason_;
};

}  // namespace syncline::e2e
