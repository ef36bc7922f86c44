// A real server whose every path is a WebSocket, and a client for it that speaks through the library's own
// reader and writer in the client's role.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/core/request_context.h"
#include "net/websocket/upgrade.h"
#include "tests/net/scripted_server.h"
#include "tests/net/websocket_frames.h"

namespace syncline::net::websocket::testing {

using http::testing::eventually;
using http::testing::form;
using http::testing::form_name;
using http::testing::over_each_form;
using http::testing::quick_options;
using http::testing::raw_client;
using http::testing::some_rows;

// Echoes on "/echo", else only listens. What happened may be asked for from the test's thread.
class test_socket final : public session_handler {
 public:
  explicit test_socket(std::string path) : path_(std::move(path)) {}

  void on_open(session& s) override {
    session_ = &s;
    on_ = &s.on();
    if (path_ == "/greet") static_cast<void>(s.send(opcode::text, "hello"));
    opened = true;
  }
  void on_message(session& s, opcode op, std::string_view bytes) override {
    ++messages;
    last_size = bytes.size();
    const bool same = std::exchange(turn_, s.on().turns()) == s.on().turns();
    in_turn_ = same ? in_turn_ + 1 : 1;
    most_in_a_turn = std::max<int>(most_in_a_turn, in_turn_);
    if (path_ == "/throw") throw std::runtime_error("boom");
    if (path_ == "/close") return s.close(close_code::policy, "enough");
    if (path_ == "/echo" && s.send(op, bytes).has_error()) s.close(close_code::try_again_later);
  }
  void on_pong(session&, std::string_view) override { ++pongs; }
  void on_drained(session&) override { ++drained; }
  void on_stopping(session& s) override {
    if (path_ != "/stubborn") session_handler::on_stopping(s);
  }
  void on_closed(close_code with, std::string_view reason) override {
    session_ = nullptr;
    const std::lock_guard lock(mutex_);
    reason_ = reason;
    code = static_cast<std::uint16_t>(with);
    ++closed;
  }
  // Null when it is closed. On its core only.
  [[nodiscard]] session* on_core() const { return session_; }
  [[nodiscard]] std::string reason() {
    const std::lock_guard lock(mutex_);
    return reason_;
  }
  // Runs `what` on the session's core and waits for it; false when the session is gone.
  bool run(const std::function<void(session&)>& what) {
    std::promise<bool> done;
    on_.load()->post([&] {
      if (session_ != nullptr) what(*session_);
      done.set_value(session_ != nullptr);
    });
    return done.get_future().get();
  }

  std::atomic<bool> opened{false};
  std::atomic<int> messages{0}, pongs{0}, drained{0}, closed{0};
  std::atomic<int> most_in_a_turn{0};  // messages
  std::atomic<std::size_t> last_size{0};
  std::atomic<std::uint16_t> code{0};

 private:
  const std::string path_;
  std::atomic<core*> on_{nullptr};
  session* session_ = nullptr;  // the core's, like the next two
  std::uint64_t turn_ = 0;
  int in_turn_ = 0;
  std::mutex mutex_;
  std::string reason_;
};

class upgrading_handler final : public http::handler {
 public:
  explicit upgrading_handler(endpoint& at) : at_(at) {}
  http::tried try_answer(http::exchange& x) override {
    x.set_route("websocket");
    if (x.head().path == "/task") return http::tried::need_task;
    if (x.head().path == "/plain") {
      x.answer(http::response_head{200, "text/plain", {}, false}, "plain");
    } else if (x.head().path == "/big") {
      x.answer(http::response_head{200, "text/plain", {}, false},
               std::make_shared<const std::string>(16 << 20, 'b'));
    } else {
      open(x);
    }
    return http::tried::answered;
  }
  task<void> answer(http::exchange& x) override {
    co_await yield_core();
    open(x);
    co_await yield_core();
  }
  void open(http::exchange& x) {
    auto made = std::make_shared<test_socket>(std::string(x.head().path));
    {
      const std::lock_guard lock(mutex_);
      sockets_.push_back(made);
    }
    static constexpr std::array<std::string_view, 2> kProtocols{"lines", "rows"};
    const upgrade_error wrong = upgrade(x, at_, std::move(made), kProtocols);
    if (wrong == upgrade_error::none) return;
    const upgrade_error_text& text = describe(wrong);
    x.answer(http::response_head{text.status, "text/plain", text.header_line, false}, text.detail);
  }
  [[nodiscard]] std::shared_ptr<test_socket> at(std::size_t i) {
    const std::lock_guard lock(mutex_);
    return i < sockets_.size() ? sockets_[i] : nullptr;
  }
  [[nodiscard]] std::shared_ptr<test_socket> newest() {
    const std::lock_guard lock(mutex_);
    return sockets_.empty() ? nullptr : sockets_.back();
  }

 private:
  endpoint& at_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<test_socket>> sockets_;
};

// One WebSocket of a client.
class client {
 public:
  explicit client(raw_client socket, std::optional<deflate_agreement> deflate = std::nullopt)
      : socket_(std::move(socket)),
        deflate_(deflate),
        reader_(std::make_unique<message_reader>(options(), role::client, deflate, &streams())),
        piece_(socket_.take_buffered()),  // frames that came with the answer
        unread_(piece_) {}
  client(client&&) = delete;

  bool send(opcode op, std::string_view payload) { return socket_.send(frame({.op = op}, payload)); }
  bool send_compressed(opcode op, std::string_view message) {
    return socket_.send(frame({.op = op, .compressed = true}, compressed(message)));
  }
  // A message's payload, by itself.
  [[nodiscard]] std::string compressed(std::string_view message) const {
    std::string out;
    const compressor_lease stream = streams().borrow_compressor(deflate_->client_window_bits);
    stream->run(message, true, out);
    return out;
  }
  bool send_close(std::uint16_t code, std::string_view reason = {}) {
    const std::string payload =
        from_bytes({static_cast<unsigned>(code) >> 8U, code & 255U}) + std::string(reason);
    return send(opcode::close, payload);
  }
  // The next event; `need_more` at the end of the connection.
  seen receive() {
    for (;;) {
      const message_event e = reader_->next(unread_);
      if (e.what == event_kind::need_more) {
        piece_ = std::string(socket_.receive_piece());
        if (piece_.empty()) return {};
        unread_ = piece_;
        continue;
      }
      seen out;
      out.what = e.what;
      out.bytes = std::string(e.bytes);
      out.code = e.what == event_kind::text || e.what == event_kind::binary
                     ? std::uint16_t{0}
                     : static_cast<std::uint16_t>(e.code);
      return out;
    }
  }
  // After the close frame: nothing comes, and the connection ends in order.
  bool ends() { return unread_.empty() && socket_.closed_in_order(); }
  [[nodiscard]] raw_client& socket() { return socket_; }

 private:
  static const reader_options& options() {
    static const reader_options out{.limits = {.frame_bytes_max = 64 << 20, .message_bytes_max = 64 << 20},
                                    .whole_messages = true};
    return out;
  }
  static deflate_pool& streams() {
    static thread_local deflate_pool pool;
    return pool;
  }

  raw_client socket_;
  std::optional<deflate_agreement> deflate_;
  std::unique_ptr<message_reader> reader_;
  std::string piece_;
  std::span<char> unread_;
};

inline constexpr std::string_view kTestWebsocketKey = "dGhlIHNhbXBsZSBub25jZQ==";

inline std::string upgrade_text(std::string_view path, std::string_view more = {}) {
  std::string out = "GET ";
  out.append(path).append(" HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n");
  out.append("Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ").append(kTestWebsocketKey).append("\r\n");
  out.append(more).append("\r\n");
  return out;
}

inline session_options quick_session_options() {
  session_options out;
  out.metrics_label = "test";
  return out;
}

// Nothing that the server does by itself ends a session in time.
inline session_options patient_session_options() {
  session_options out = quick_session_options();
  out.ping_interval_ms = 0;
  out.message_timeout_ms = 0;
  out.send_queue_bytes_max = 64 << 20;
  out.write_timeout_ms = out.close_timeout_ms = out.linger_timeout_ms = 600'000;
  return out;
}

struct websocket_server {
  explicit websocket_server(const http::server_options& http_options = quick_options(),
                            const session_options& options = quick_session_options(), unsigned cores = 2)
      : address(http_options.address),
        tls(http_options.tls.enabled()),
        group(core_group_options{cores, false}),
        sockets(group, options),
        handles(sockets),
        serves(std::make_unique<http::server>(group, handles, http_options)) {
    group.start();
    const result<void> started = serves->start();
    if (started.has_error()) throw std::runtime_error(started.error().text());
  }
  [[nodiscard]] raw_client connect(int receive_buffer_bytes = 0) const {
    constexpr std::string_view kUnix = "unix:";
    raw_client out = address.starts_with(kUnix)
                         ? raw_client(address.substr(kUnix.size()), receive_buffer_bytes)
                         : raw_client(serves->port(), receive_buffer_bytes);
    if (tls) out.start_tls();
    return out;
  }
  // A WebSocket that the server has opened.
  [[nodiscard]] client open(std::string_view path, bool offer_deflate = false,
                            int receive_buffer_bytes = 0) const {
    raw_client socket = connect(receive_buffer_bytes);
    const std::string_view offer = "permessage-deflate; client_max_window_bits";
    const std::string line =
        offer_deflate ? "Sec-WebSocket-Extensions: " + std::string(offer) + "\r\n" : std::string();
    socket.send(upgrade_text(path, line));
    const http::testing::response answer = socket.receive_response(true);
    upgrade_response response;
    const std::string upgrade = answer.header("Upgrade"), connection = answer.header("Connection");
    const std::string accept = answer.header("Sec-WebSocket-Accept");
    const std::string extensions = answer.header("Sec-WebSocket-Extensions");
    response.status = answer.status;
    response.upgrade = upgrade;
    response.connection = connection;
    response.accept = accept;
    response.extensions = extensions;
    const auto agreed = check_upgrade_response(response, kTestWebsocketKey, {}, offer_deflate);
    EXPECT_TRUE(agreed.has_value()) << answer.head;
    return client(std::move(socket), agreed ? agreed->deflate : std::nullopt);
  }
  // The server's end of what was opened last.
  [[nodiscard]] std::shared_ptr<test_socket> newest() {
    std::shared_ptr<test_socket> out;
    EXPECT_TRUE(eventually([&] {
      out = handles.newest();
      return out != nullptr && out->opened;
    }));
    return out;
  }

  const std::string address;
  const bool tls;
  core_group group;
  endpoint sockets;
  upgrading_handler handles;
  std::unique_ptr<http::server> serves;
};

}  // namespace syncline::net::websocket::testing
