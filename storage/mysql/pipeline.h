// The answers a connection owes us, in the order of the statements; who reads which, and what nobody reads.
//
// Several statements may be sent before the first answer is read. Each has a `pending` here; only the first
// one's holder reads. A pending whose holder went away is read and dropped by the pipeline itself, within
// `drain_bytes_max` and `drain_timeout_ms`; beyond that the connection is destroyed. So a session is whole or
// gone, never in between.
//
// Thread: the core. Bound: `pipeline_limit` answers owed; nothing is read while the first one's holder does
// not ask. Failure: failure(): every pending ends with it at once.
//
// Invariants
//  1. A pending is linked to its pipeline exactly while its answer is owed.
//  2. A view given by read() stays valid until the next call for the same pending: no read is on its way.
//  3. While answers are owed and nobody waits, the drain timer runs.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>

#include "net/core/event.h"
#include "storage/mysql/frame_reader.h"
#include "storage/mysql/link.h"
#include "storage/mysql/message.h"
#include "storage/mysql/statement_notes.h"

namespace syncline::storage::mysql {

struct pipeline_limits {
  std::size_t message_bytes_max = 64UL * 1024 * 1024;  // the server's own default (mysqlx_max_allowed_packet)
  std::size_t pipeline_limit = 64;
  std::size_t drain_bytes_max = 1024 * 1024;
  std::uint32_t drain_timeout_ms = 1000;
  std::uint32_t silence_timeout_ms = 60'000;  // a server that says nothing for so long is taken for dead
};

class pipeline;

class pending {
 public:
  explicit pending(net::core& on) : ready_(on) {}
  // Its answer is complete, or will never be.
  [[nodiscard]] bool ended() const noexcept { return owner_ == nullptr; }
  // How it ended, when badly: the statement's own error, or what happened to the connection.
  [[nodiscard]] const std::optional<net::error>& failure() const noexcept { return failure_; }

 private:
  friend class pipeline;
  pipeline* owner_ = nullptr;
  net::event ready_;
  std::optional<net::error> failure_;
  std::size_t held_bytes_ = 0;  // of the frame given last
  bool attended_ = false;
  bool abandoned_ = false;
  bool plain_ = false;  // ends with Ok, not with StmtExecuteOk
};

class pipeline {
 public:
  // `compressed`: messages may come packed, which was agreed on with the server.
  pipeline(net::core& on, std::shared_ptr<link> over, const pipeline_limits& limits, bool compressed);
  ~pipeline();
  pipeline(const pipeline&) = delete;
  pipeline& operator=(const pipeline&) = delete;

  // For a statement whose message was just appended to output(). Unattended: nobody will read the answer,
  // but its failure() is kept.
  [[nodiscard]] std::shared_ptr<pending> expect(bool attended, bool plain);
  [[nodiscard]] net::byte_buffer& output() noexcept { return link_->output(); }
  // errc::overloaded when pipeline_limit answers are owed, or why the connection is gone.
  [[nodiscard]] net::result<void> room() const;

  // The next frame of a pending; only while it is not ended. `incomplete` also while others are before it.
  [[nodiscard]] frame_state read(pending& of, frame& out);
  // Its last frame was read.
  void finish(pending& of, std::optional<net::error> failure);
  // Its holder goes away.
  void abandon(pending& of);
  // Until read() may give something or the pending has ended. errc::timed_out, errc::cancelled: it is still
  // owed.
  [[nodiscard]] static net::task<net::result<void>> wait(std::shared_ptr<pending> of,
                                                         net::request_context& context);
  // Until nothing is owed. errc::down when the connection broke instead.
  [[nodiscard]] net::task<net::result<void>> settle(net::request_context& context);

  void fail(net::error why);
  [[nodiscard]] const std::optional<net::error>& failure() const noexcept { return failure_; }
  [[nodiscard]] std::size_t owed() const noexcept { return queue_.size(); }
  [[nodiscard]] const pipeline_limits& limits() const noexcept { return limits_; }
  [[nodiscard]] const server_notes& server() const noexcept { return server_; }
  [[nodiscard]] server_notes& server() noexcept { return server_; }
  [[nodiscard]] link& over() noexcept { return *link_; }

 private:
  [[nodiscard]] bool is_front(const pending& of) const noexcept {
    return !queue_.empty() && queue_.front().get() == &of;
  }
  void release_held(pending& of) noexcept;
  void pop();
  void advance();
  [[nodiscard]] bool drop_frame(pending* of);
  void watch_drain();
  void end_all();
  void end(pending& of, const std::optional<net::error>& failure);

  net::core* core_;
  std::shared_ptr<link> link_;
  frame_reader frames_;
  pipeline_limits limits_;
  std::deque<std::shared_ptr<pending>> queue_;
  std::shared_ptr<pending> spare_;  // the last one that ended, used again
  std::size_t attended_ = 0;
  std::size_t dropped_bytes_ = 0;
  std::optional<net::error> failure_;
  server_notes server_;
  net::timer_entry drain_timer_;
  net::event idle_;
};

}  // namespace syncline::storage::mysql
