// Everything a connection needs only while it works: buffers, the parsed head, the body, the request's
// context.
//
// A core keeps one that all connections borrow for as long as they do not wait, so a request that is answered
// at once costs no buffer of its own; who has to wait takes it along and the core gets another from its spare
// ones. An idle connection has none. Thread: the core. Bound: one per connection that waits for the rest of a
// request, for a handler or for the peer to read.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "net/core/byte_buffer.h"
#include "net/core/event.h"
#include "net/core/hosted_sockets.h"
#include "net/core/output_queue.h"
#include "net/core/request_context.h"
#include "net/http/body_source.h"
#include "net/http/parser.h"

namespace syncline::net::http {

// Why a handler found no usable body; becomes the status when it returns without an answer.
enum class body_problem : std::uint8_t { none, too_large, invalid, timed_out, gone };

struct workspace {
  explicit workspace(core& on) : context(on), waits(on), ready(on) {}

  byte_buffer in;
  output_queue out;
  head_parser parser;
  std::vector<header_field> fields;
  request_head head;
  body_source body;
  request_context context;
  request_context waits;  // for the connection's own waits: never cancelled, no deadline
  event ready;            // the socket became what the task waits for

  steady_time started{};  // when the head was complete
  std::uint64_t body_limit_bytes = 0;
  std::uint64_t unsuspended_bytes = 0;  // moved by the task since it last let others run
  std::chrono::steady_clock::duration body_waited{};
  std::unique_ptr<hosted_socket> next;  // whose the socket will be after "101"
  std::string_view route;
  std::uint64_t body_bytes = 0;  // answered
  int status = 0;
  bool answered = false;
  bool streaming = false;  // begin() was called
  bool ended = false;      // the answer is complete
  bool chunked_answer = false;
  bool without_body = false;  // HEAD, 204, 304
  bool continue_sent = false;
  bool counted = false;  // in the metrics
  body_problem body_failed = body_problem::none;

  // A stream that goes on until its client or the drain ends it. An upload (work class bulk) streams its
  // report too, but ends by itself: a drain lets it finish, and a client that shut down its sending side
  // still wants the answer.
  [[nodiscard]] bool endless() const noexcept { return streaming && context.work() != work_class::bulk; }

  // A peer that sent part of a head may stay like that: it keeps those bytes and no room of earlier requests.
  void give_up_room() {
    constexpr std::size_t kOutputBytesKept = 4096, kInputBytesKept = 16 * 1024;
    if (out.empty() && out.capacity() > kOutputBytesKept) out.release();
    if (in.capacity() > kInputBytesKept && in.size() <= kInputBytesKept) {
      byte_buffer fresh;
      fresh.append(in.view());
      in.swap(fresh);
    }
    body.release();
  }

  // Before each request; buffers stay.
  void begin_request(steady_time now, std::uint64_t body_bytes_max) noexcept {
    context.reset();
    started = now;
    body_limit_bytes = body_bytes_max;
    unsuspended_bytes = 0;
    body_waited = {};
    route = {};
    body_bytes = 0;
    status = 0;
    answered = streaming = ended = chunked_answer = without_body = continue_sent = counted = false;
    body_failed = body_problem::none;
  }
};

}  // namespace syncline::net::http
