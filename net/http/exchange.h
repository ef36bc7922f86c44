// One request and its answer: the whole of what a handler sees of HTTP.
//
// This is the narrow interface between `server/` and the HTTP stack; what is behind it (parser, connection,
// buffers) may be replaced without touching a handler.
//
// Use it so: either answer() once with a complete answer, or begin(), write() any number of times, end().
// Read the body before the answer, between pieces of it, or not at all (what is left is drained or the
// connection is closed). Thread: the core of the connection. Lifetime: until the handler returns; `head()`
// and its views likewise. Bounds: the body is limited by `limits::body_bytes_max` unless set_body_limit()
// says otherwise; write() waits while more than `limits::output_buffer_bytes` are unsent, so a handler holds
// one piece at a time. Failure: write() and read_body() give errc::closed when the peer is gone,
// errc::timed_out when it makes no progress, errc::too_large for a body over its limit, errc::invalid for
// broken framing; then the handler just returns.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "net/core/hosted_sockets.h"
#include "net/core/request_context.h"
#include "net/core/shared_bytes.h"
#include "net/core/task.h"
#include "net/http/request.h"

namespace syncline::net::http {

// Header lines ready to send ("Name: value\r\n"…). add() drops a value with a control character in it
// (response splitting).
class header_block {
 public:
  header_block& add(std::string_view name, std::string_view value);
  [[nodiscard]] std::string_view text() const noexcept { return text_; }
  [[nodiscard]] bool empty() const noexcept { return text_.empty(); }

 private:
  std::string text_;
};

struct response_head {
  int status = 200;
  std::string_view content_type;  // empty: none is sent
  std::string_view headers;       // lines as header_block makes them
  bool close = false;             // end the connection after this answer
};

using net::shared_bytes;  // sent by reference when large

class exchange {
 public:
  virtual ~exchange() = default;

  [[nodiscard]] virtual const request_head& head() const noexcept = 0;
  [[nodiscard]] virtual request_context& context() noexcept = 0;
  [[nodiscard]] virtual std::string_view peer_address() const noexcept = 0;

  // The next piece of the body, decoded from chunks, valid until the next call; empty at its end.
  // Sends 100-continue first when the client waits for it.
  [[nodiscard]] virtual task<result<std::string_view>> read_body() = 0;
  // The same without waiting: nothing when read_body() would wait for the peer, or should let others run.
  [[nodiscard]] virtual std::optional<result<std::string_view>> try_read_body() = 0;
  // Waits until the peer has sent something (or is gone); false at `until`, which is no fault of the peer's.
  [[nodiscard]] virtual task<bool> body_arrives(steady_time until) = 0;
  // The body as one string of at most `bytes_max`.
  [[nodiscard]] virtual task<result<std::string>> read_whole_body(std::size_t bytes_max) = 0;
  virtual void set_body_limit(std::uint64_t bytes_max) noexcept = 0;

  // A complete answer; content-length is added, and no body is sent for HEAD, 204 and 304. Copies `body`.
  virtual void answer(const response_head& head, std::string_view body) = 0;
  virtual void answer(const response_head& head, shared_bytes body) = 0;

  // A streamed answer: chunked for HTTP/1.1, ended by close for HTTP/1.0. begin() also watches for a peer
  // that goes away and then cancels context(), so a handler that waits for something else notices.
  virtual void begin(const response_head& head) = 0;
  // Copies `piece` into the output, then waits until there is room for the next.
  [[nodiscard]] virtual task<result<void>> write(std::string_view piece) = 0;
  // Hands everything to the kernel (as far as the peer reads). A piece is otherwise held back until the
  // buffer is worth sending.
  [[nodiscard]] virtual task<result<void>> flush() = 0;
  virtual void end() = 0;

  // The answer "101 Switching Protocols" with these header lines (Upgrade and Connection among them); once it
  // is sent and the handler has returned, `next` gets the socket, with what the peer sent behind its request,
  // and this connection is gone. It still counts as one of the server's. Call it instead of answer().
  // errc::invalid for a request that cannot be upgraded (HTTP/1.0, an unread body, already answered),
  // errc::cancelled while the server drains; then the handler answers something else.
  [[nodiscard]] virtual result<void> upgrade(std::string_view header_lines,
                                             std::unique_ptr<net::hosted_socket> next) = 0;

  // For logs and metrics, set by the router: a static route name such as "GET /v1/{resource}/{key}".
  virtual void set_route(std::string_view route) noexcept = 0;
  // True once answer() or begin() was called.
  [[nodiscard]] virtual bool answered() const noexcept = 0;
  // True while the server drains: a long stream ends at its next safe point.
  [[nodiscard]] virtual bool draining() const noexcept = 0;
};

enum class tried : std::uint8_t { answered, need_task };

// What the server does with requests. One object for all cores: its members are called on any of them.
class handler {
 public:
  virtual ~handler() = default;
  // The fast path, a plain function: a cache hit, a 304, a 404. Must not wait; throws nothing but bad_alloc,
  // which closes the connection.
  [[nodiscard]] virtual tried try_answer(exchange& x) = 0;
  // Everything else. An exception or a return without an answer becomes a 500.
  [[nodiscard]] virtual task<void> answer(exchange& x) = 0;
};

}  // namespace syncline::net::http
