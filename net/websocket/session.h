// One WebSocket of a server on a real connection: messages in by callbacks, messages out by send().
//
// Made by upgrade() (upgrade.h) inside an HTTP handler; begins once "101" is sent and lives until
// on_closed(). Thread: its core, every member and every callback. Owned by the server's list of sockets:
// refer to it by the reference that on_open() gives, and forget that in on_closed().
//
// Sending never writes at once: what is queued during one turn of the core leaves in one call of the kernel,
// and a broadcast (broadcast_message) to many sockets of a core is laid out once for all of them.
//
//     class feed : public session_handler {
//       void on_open(session& s) override { socket_ = &s; }
//       void on_message(session&, opcode, std::string_view bytes) override { ... }
//       void on_drained(session&) override { room_.notify(); }  // an `event` that a task waits for
//       void on_closed(close_code, std::string_view) override { socket_ = nullptr; context_.cancel(); }
//     };
//     task<void> produce(std::shared_ptr<feed> self) {          // the task keeps the handler alive
//       while (self->socket_ != nullptr) {
//         if (self->socket_->queued_bytes() > kPageMark) {
//           result<void> room = co_await self->room_.wait(self->context_);
//           if (room.has_error()) co_return;                      // closed meanwhile
//           continue;
//         }
//         result<void> sent = self->socket_->send(opcode::text, next_page());
//       }
//     }
//
// Bounds (session_options): a message `message_bytes_max`; unsent data frames `send_queue_bytes_max`, the
// next message counted; control frames beyond it at most 4 KB and the latest pong; while more than
// `read_pause_bytes` are unsent nothing is read from this peer. At idle, deflate off, a session is about half
// a kilobyte and holds no buffer.
// Failure: a peer that breaks the protocol gets the close code that names it, nothing after it is looked at;
// one that takes nothing for `write_timeout_ms`, or gives no sign of life within `pong_timeout_ms` after a
// ping, is dropped; one whose message does not end within `message_timeout_ms` of its first byte, which holds
// an inflater and what came of it, is told 1008. Each ends in on_closed().
//
// Invariants
//  1. on_open() is the first callback, on_closed() the last, each exactly once; a session that never began
//  (the connection broke before "101" was out) calls neither.
//  2. Nothing is sent after a close frame.
//  3. A session is not deleted inside a callback, whatever the callback does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "net/core/error.h"
#include "net/core/hosted_sockets.h"
#include "net/core/timer_wheel.h"
#include "net/websocket/broadcast.h"
#include "net/websocket/frame.h"
#include "net/websocket/message_reader.h"
#include "net/websocket/message_writer.h"

namespace syncline::net::websocket {

class session;
class endpoint_core;
struct session_output;

// What becomes of a WebSocket's events. Callbacks run on the session's core, outside of any task; they may
// call anything of the session. One that throws closes the session with 1011.
class session_handler {
 public:
  virtual ~session_handler() = default;
  virtual void on_open(session&) {}
  // A whole message; `op` is text (then it is valid UTF-8) or binary. `bytes` are valid until the return.
  virtual void on_message(session& s, opcode op, std::string_view bytes) = 0;
  virtual void on_pong(session&, std::string_view) {}
  // queued_bytes() was above `drained_bytes` and is not any more.
  virtual void on_drained(session&) {}
  // The server stops. Say what must be said and close; who does not is cut off at the drain's deadline.
  virtual void on_stopping(session& s);
  // The end. `code` is the peer's when the peer began to close, ours when we did, close_code::abnormal when
  // the connection broke or timed out without a close frame.
  virtual void on_closed(close_code code, std::string_view reason) = 0;
};

class session final : public hosted_socket {
 public:
  // Only upgrade() has a use for it.
  session(std::shared_ptr<endpoint_core> shared, const std::optional<deflate_agreement>& deflate,
          std::shared_ptr<session_handler> handler);
  ~session() override;

  // `op` is text or binary; the bytes are copied. errc::overloaded when the queue has no room for it,
  // errc::closed after close() or the end. Before on_open() it queues.
  [[nodiscard]] result<void> send(opcode op, std::string_view message);
  // The same by reference: the message's frame is shared by all who are sent it in this turn.
  [[nodiscard]] result<void> send(const broadcast_message& message);
  void ping(std::string_view payload = {});
  // Sends what is queued, then a close frame, and waits `close_timeout_ms` for the peer's. Messages that come
  // meanwhile are dropped. Nothing happens when the session is closing already.
  void close(close_code code, std::string_view reason = {});

  // Unsent, headers and control frames included.
  [[nodiscard]] std::size_t queued_bytes() const noexcept;
  [[nodiscard]] bool is_open() const noexcept { return phase_ == phase::open; }
  [[nodiscard]] core& on() const noexcept;

  void on_events(std::uint32_t events) noexcept override;

 private:
  enum class phase : std::uint8_t {
    open,
    closing,    // our close frame is queued or sent, the peer's is awaited
    finishing,  // nothing more is expected: send the rest, FIN, throw away what still comes
    closed,
  };

  // hosted_socket
  void begin(std::span<char> received) noexcept override;
  void flush() noexcept override;
  void resume() noexcept override;
  void drain() noexcept override;
  void abort() noexcept override;

  // session.cpp: what comes in, and the ends
  // Runs what may call the handler or allocate.
  template <class Call>
  void guarded(Call call) noexcept {
    try {
      call();
    } catch (...) {
      on_exception();
    }
  }
  void on_exception() noexcept;
  void read_all();
  void take(std::span<char> in);
  void on_event(const message_event& e);
  void on_ping(std::string_view payload);
  void on_peer_close(const message_event& e);
  void on_end_of_input();
  void fail(close_code code, std::string_view reason);
  void finish();
  void linger() noexcept;
  void lost(std::string_view reason) noexcept;
  void close_now() noexcept;
  void tell_closed(close_code code, std::string_view reason) noexcept;

  // session_send.cpp: what goes out
  [[nodiscard]] session_output& output();
  [[nodiscard]] bool has_range() const noexcept { return range_to_ != range_from_; }
  [[nodiscard]] bool blocked() const noexcept { return out_ != nullptr && !socket_.writable(); }
  [[nodiscard]] result<void> check_room(std::size_t frame_bytes);
  void queued_message() noexcept;
  void append_control(opcode op, std::string_view payload);
  void append_close(close_code code, std::string_view reason);
  void settle_range(std::size_t sent);
  void drop_output() noexcept;
  [[nodiscard]] io write_queued();
  [[nodiscard]] io write_range();
  void after_write(io done);

  // session_time.cpp
  void schedule() noexcept;
  void on_deadline() noexcept;
  void note_heard() noexcept;
  [[nodiscard]] steady_time message_time() noexcept;
  [[nodiscard]] steady_time ping_time() const noexcept;

  std::shared_ptr<endpoint_core> shared_;
  std::shared_ptr<session_handler> handler_;
  std::unique_ptr<session_output> out_;  // while something of our own is unsent
  message_reader reader_;
  message_writer writer_;
  timer_entry timer_;
  steady_time armed_for_ = steady_time::max();
  steady_time heard_{};                                // the last bytes came
  steady_time message_deadline_ = steady_time::max();  // of the message that has begun to come
  steady_time write_deadline_ = steady_time::max();
  steady_time end_deadline_ = steady_time::max();  // of the pong, the close handshake or the linger
  std::uint32_t range_from_ = 0;  // what is unsent of this turn's broadcasts (broadcast_log.h)
  std::uint32_t range_to_ = 0;
  phase phase_ = phase::open;
  bool shared_form_ = false;  // which form of a broadcast this peer takes
  bool pinged_ = false;       // and nothing heard since
  bool above_mark_ = false;
  bool read_paused_ = false;
  bool hung_up_ = false;
  bool wrote_some_ = false;   // since the write deadline was set
  bool peer_closed_ = false;  // its close frame came
  bool fin_sent_ = false;
  const bool deflates_;
  bool told_closed_ = false;
  close_code our_code_ = close_code::normal;
};

}  // namespace syncline::net::websocket
