// The sockets of one core that have left HTTP: what became of a connection after "101 Switching Protocols".
//
// A server keeps one `hosted_sockets` a core beside its connections. A connection that is upgraded gives up
// its descriptor to a hosted_socket and is gone with everything it used; the descriptor keeps its
// registration in the poller (EPOLL_CTL_MOD). Use it for protocols that begin as an HTTP request. Thread: the
// core. Bound: a hosted socket is still one of the server's connections (connections_max). Failure: what
// cannot be adopted is aborted.
//
// Writing is deferred: who has something to send asks for flush_later() and is flushed once, at the end of
// the poller's batch, or, outside of a batch (tasks, timers, messages of other cores), as soon as the core
// has done what it is doing: in the next batch. So whatever was produced in between leaves in one call of the
// kernel.
//
// Invariants
//  1. A hosted socket is in the list from adopt() until bury(); then it is deleted once no caller can be
//  inside it, and never during a batch of the poller.
//  2. It is in the list to be flushed at most once, and in the list of those to be resumed at most once.
//  3. `one_less` is called once for each adopted socket that is buried.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>

#include "net/core/core.h"
#include "net/core/poller.h"
#include "net/core/timer_wheel.h"
#include "net/core/transport.h"

namespace syncline::net {

class hosted_sockets;

class hosted_socket : public poll_target {
 public:
  virtual ~hosted_socket() = default;
  hosted_socket(const hosted_socket&) = delete;
  hosted_socket& operator=(const hosted_socket&) = delete;

 protected:
  hosted_socket() = default;
  [[nodiscard]] hosted_sockets* host() const noexcept { return host_; }  // null before begin()
  transport socket_{-1};

 private:
  friend class hosted_sockets;
  // The socket is ours; `received` was read behind the request head. More may be readable at once.
  virtual void begin(std::span<char> received) noexcept = 0;
  virtual void flush() noexcept = 0;   // after flush_later()
  virtual void resume() noexcept = 0;  // after run_later()
  virtual void drain() noexcept = 0;   // the server stops: say goodbye
  virtual void abort() noexcept = 0;   // close now

  hosted_sockets* host_ = nullptr;
  hosted_socket* previous_ = nullptr;
  hosted_socket* next_ = nullptr;
  hosted_socket* next_flush_ = nullptr;
  hosted_socket* next_run_ = nullptr;
  bool flush_asked_ = false;
  bool run_asked_ = false;
  bool buried_ = false;
};

class hosted_sockets {
 public:
  hosted_sockets(core& on, std::function<void()> one_less);
  ~hosted_sockets();  // deletes what is left, without a word to anybody
  hosted_sockets(const hosted_sockets&) = delete;
  hosted_sockets& operator=(const hosted_sockets&) = delete;

  // Takes over a descriptor that the core's poller watches already.
  void adopt(std::unique_ptr<hosted_socket> next, transport socket, std::span<char> received) noexcept;
  // Around each batch of the poller, by the owner's batch_part.
  void begin_batch(steady_time now) noexcept;
  void end_batch() noexcept;
  void drain() noexcept;
  void abort_all() noexcept;
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  // For hosted sockets.
  [[nodiscard]] core& on() const noexcept { return on_; }
  // The latest look at the clock, good enough for deadlines; refresh() looks.
  [[nodiscard]] steady_time now() const noexcept { return now_; }
  steady_time refresh() noexcept { return now_ = std::chrono::steady_clock::now(); }
  void flush_later(hosted_socket& s) noexcept;
  void run_later(hosted_socket& s) noexcept;  // resume() after others on the core had their turn
  void bury(hosted_socket& s) noexcept;       // closed: forget it

 private:
  void flush_all() noexcept;
  void run_asked() noexcept;
  void sweep() noexcept;
  template <class Call>
  void for_each(Call call) noexcept;

  core& on_;
  std::function<void()> one_less_;
  steady_time now_;
  hosted_socket* first_ = nullptr;
  hosted_socket* to_flush_ = nullptr;  // newest first
  hosted_socket* to_run_ = nullptr;
  hosted_socket* buried_ = nullptr;
  std::size_t size_ = 0;
  bool in_batch_ = false;
  bool draining_ = false;
};

}  // namespace syncline::net
