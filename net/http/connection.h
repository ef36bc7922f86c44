// One client connection: a plain state machine that reads, parses, asks the handler and writes; it is also
// the `exchange` that the handler sees. Only a request that must wait has a coroutine.
//
// Thread: its core. Bounds: `limits`; at idle this object alone, everything else is in the borrowed
// workspace. Failure: a client that breaks a rule gets problem+json, then the connection closes with a
// linger, so that the answer is not lost to the reset which the kernel sends when unread bytes are thrown
// away (RFC 9112 section 9.6).
//
// Files: connection.cpp (the machine), connection_io.cpp (bytes, deadlines), connection_answer.cpp
// (answers), connection_task.cpp (what coroutines call).
//
// Invariants
//  1. ws_ is null exactly while nothing is buffered and no request is in progress.
//  2. advance() never runs while a task does, nor inside itself.
//  3. What a peer sent after the end of a request is not read before its answer is in the output.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "net/core/poller.h"
#include "net/core/transport.h"
#include "net/http/core_part.h"
#include "net/http/exchange.h"

namespace syncline::net::http {

class connection final : public exchange, public poll_target {
 public:
  connection(core_part& part, transport socket, std::string_view peer, bool refused);
  ~connection() override = default;
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;

  void on_events(std::uint32_t events) noexcept override;
  void drive() noexcept;  // does what can be done now
  void drain() noexcept;  // end when idle; tell a stream
  void abort() noexcept;  // close, or when a task runs, as soon as it returns
  [[nodiscard]] bool refused() const noexcept { return refused_; }

  // exchange
  [[nodiscard]] const request_head& head() const noexcept override { return ws_->head; }
  [[nodiscard]] request_context& context() noexcept override { return ws_->context; }
  [[nodiscard]] std::string_view peer_address() const noexcept override { return {peer_.data(), peer_size_}; }
  [[nodiscard]] task<result<std::string_view>> read_body() override;
  [[nodiscard]] std::optional<result<std::string_view>> try_read_body() override;
  [[nodiscard]] task<bool> body_arrives(steady_time until) override;
  [[nodiscard]] task<result<std::string>> read_whole_body(std::size_t bytes_max) override;
  void set_body_limit(std::uint64_t bytes_max) noexcept override { ws_->body_limit_bytes = bytes_max; }
  void answer(const response_head& head, std::string_view body) override;
  void answer(const response_head& head, shared_bytes body) override;
  void begin(const response_head& head) override;
  [[nodiscard]] task<result<void>> write(std::string_view piece) override;
  [[nodiscard]] task<result<void>> flush() override;
  void end() override;
  [[nodiscard]] result<void> upgrade(std::string_view header_lines,
                                     std::unique_ptr<net::hosted_socket> next) override;
  void set_route(std::string_view route) noexcept override { ws_->route = route; }
  [[nodiscard]] bool answered() const noexcept override { return ws_->answered; }
  [[nodiscard]] bool draining() const noexcept override { return part_.draining(); }

 private:
  friend class core_part;
  enum class phase : std::uint8_t { handshake, head, task, skip_body, upgrade, closing, linger, closed };
  enum class verdict : std::uint8_t { go_on, wait, run_task, closed };

  // connection.cpp: the machine
  verdict advance();
  verdict take_request();
  verdict read_head();
  verdict begin_request();
  verdict finish_request();
  verdict skip_body();
  verdict next_request();
  verdict hand_over();
  verdict finish_closing();
  verdict linger();
  verdict close() noexcept;
  void end_here() noexcept;
  verdict refuse(int status, std::string_view label, std::string_view detail);
  void take_request_id();
  void answer_server_options();
  void leave(verdict v);
  void record() noexcept;

  // connection_io.cpp: bytes and time
  [[nodiscard]] bool shake_hands() noexcept;  // true when the handshake is done
  [[nodiscard]] io send_pending() noexcept;
  [[nodiscard]] io send_some(std::size_t& sent) noexcept;
  [[nodiscard]] io receive(char* to, std::size_t room, std::size_t& received) noexcept;
  void set_deadline(timeout_kind kind, steady_time when) noexcept;
  void clear_deadline() noexcept { deadline_ = steady_time::max(); }
  void on_deadline() noexcept;
  verdict wait_to_write() noexcept;

  // connection_answer.cpp
  [[nodiscard]] bool start_answer(const response_head& head, body_framing framing, std::uint64_t length,
                                  std::size_t more_room);
  [[nodiscard]] bool body_can_be_left() const noexcept;
  void answer_for_handler(bool threw);
  void give_up_answer() noexcept;

  // connection_task.cpp
  void start_task();
  // In the frame of a task: closes the connection if that is dropped before it began.
  class unstarted {
   public:
    unstarted(std::shared_ptr<core_part> part, connection& c) noexcept : part_(std::move(part)), waits_(&c) {}
    unstarted(unstarted&& other) noexcept
        : part_(std::move(other.part_)), waits_(std::exchange(other.waits_, nullptr)) {}
    unstarted& operator=(unstarted&&) = delete;
    ~unstarted();
    core_part& begin() noexcept {
      waits_ = nullptr;
      return *part_;
    }

   private:
    std::shared_ptr<core_part> part_;  // the connection is alive while it is
    connection* waits_;
  };
  static task<void> run_task(connection& self, unstarted until_begun);
  verdict after_task(bool threw) noexcept;
  task<result<void>> fill_body();
  task<result<void>> wait_for_socket(bool to_write, steady_time until);
  task<result<void>> send_until(std::size_t pending_bytes_max);
  [[nodiscard]] std::optional<result<std::string_view>> next_piece();
  [[nodiscard]] error give_up(body_problem why, errc code, std::string_view what);

  core_part& part_;
  connection* previous_ = nullptr;
  connection* next_ = nullptr;
  workspace* ws_ = nullptr;
  std::unique_ptr<workspace> owned_;
  steady_time deadline_ = steady_time::max();
  steady_time armed_for_ = steady_time::max();
  timer_entry timer_;
  transport socket_;
  std::uint32_t batch_ = 0;  // requests answered in this turn, large ones counted more than once
  std::uint32_t skipped_bytes_ = 0;
  phase phase_ = phase::head;
  timeout_kind deadline_kind_ = timeout_kind::idle;
  bool task_waits_ = false;
  bool task_waits_to_write_ = false;
  bool head_begun_ = false;   // bytes of the next head are there
  bool answered_ = true;      // a request, since the idle time began; or nothing was asked yet
  bool close_after_ = false;  // the current answer is the last
  bool yielded_ = false;
  bool sent_some_ = false;  // since the write deadline was set
  const bool refused_;
  std::uint8_t peer_size_ = 0;
  std::array<char, 48> peer_{};
};

}  // namespace syncline::net::http
