// One core's part of a server: its listening socket, its connections, and what they share.
//
// Thread: its core, once started; made and bound elsewhere. Bounds: `limits` of the server,
// kSpareWorkspacesMax spare workspaces. Failure: when descriptors run out accepting pauses; the backlog of
// the kernel waits.
//
// Invariants
//  1. A connection is in `connections_` from accept until bury() or hand_over(); then it is deleted once no
//  caller can be inside it.
//  2. A task holds a shared pointer to the part, so the part outlives every coroutine frame that refers to a
//  connection.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/core/body_files.h"
#include "net/core/core.h"
#include "net/core/hosted_sockets.h"
#include "net/core/poller.h"
#include "net/http/response.h"
#include "net/http/server.h"
#include "net/http/server_metrics.h"
#include "net/http/workspace.h"

namespace syncline::net::http {

class connection;

class core_part;

// What the cores of one server share.
struct server_shared {
  server_shared(handler& h, const server_options& o) : handles(h), options(o), counts(o.metrics_label) {}
  // Of the parts, the one that should have a connection that `accepted_by` accepted.
  [[nodiscard]] std::size_t place_for(std::size_t accepted_by) const noexcept;

  // Counted in by who accepts, out by who forgets. Written by its core nearly always, read by all.
  struct alignas(64) core_load {
    std::atomic<std::uint32_t> connections{0};
  };
  std::vector<std::weak_ptr<core_part>> parts;  // set before they start
  std::unique_ptr<core_load[]> loads;           // one for each of them
  handler& handles;
  const server_options options;
  server_metrics counts;
  std::atomic<std::uint64_t> connections{0};
  std::atomic<bool> draining{false};
  std::mutex mutex;
  std::condition_variable ended;  // the last connection is gone
};

class core_part final : public std::enable_shared_from_this<core_part>,
                        private poll_target,
                        private batch_part {
 public:
  core_part(core& on, std::shared_ptr<server_shared> server, std::size_t index, int listening,
            std::shared_ptr<const tls_context> tls);
  ~core_part();
  core_part(const core_part&) = delete;
  core_part& operator=(const core_part&) = delete;

  void start();
  void stop_accepting();
  void drain();      // idle connections end, streams are told
  void close_all();  // the rest ends as soon as its task returns
  void stop();       // after close_all(): no more events
  void use_tls(std::shared_ptr<const tls_context> tls) noexcept { tls_ = std::move(tls); }  // from now on

  // For connections.
  [[nodiscard]] core& on() const noexcept { return on_; }
  [[nodiscard]] const limits& bounds() const noexcept { return server_->options.limit; }
  [[nodiscard]] const server_metrics& counts() const noexcept { return server_->counts; }
  [[nodiscard]] handler& handles() const noexcept { return server_->handles; }
  [[nodiscard]] bool draining() const noexcept { return server_->draining.load(std::memory_order_relaxed); }
  [[nodiscard]] route_metrics& routes() noexcept { return routes_; }
  [[nodiscard]] body_files& files() noexcept { return files_; }
  // The time of the latest look at the clock, good enough for deadlines; refresh() looks.
  [[nodiscard]] steady_time now() const noexcept { return now_; }
  steady_time refresh() noexcept { return now_ = std::chrono::steady_clock::now(); }
  [[nodiscard]] std::string_view standard_lines() noexcept { return standard_.at(now_); }
  void make_request_id(std::string& out);

  [[nodiscard]] workspace& shared_workspace() noexcept { return *shared_; }
  [[nodiscard]] std::unique_ptr<workspace> take_shared();
  void give_back(std::unique_ptr<workspace> unused) noexcept;

  void unwatch(int descriptor) noexcept { on_.poll().remove(descriptor); }  // before it is closed
  void run_later(connection& c);  // advance() again after others had their turn
  // One more step of a handshake in this turn?
  [[nodiscard]] bool may_shake_hands() noexcept {
    return handshakes_ < kHandshakesPerTurn && ++handshakes_ != 0;
  }
  void bury(connection& c) noexcept;  // closed: forget it
  // The descriptor of `from` is `next`'s from now on, and `from` is forgotten; it still counts as open.
  void hand_over(connection& from, std::unique_ptr<hosted_socket> next, transport socket,
                 std::span<char> received) noexcept;

 private:
  static constexpr std::size_t kSpareWorkspacesMax = 64;
  static constexpr unsigned kAcceptsPerTurn = 64;
  static constexpr std::size_t kRefusedMax = 64;
  static constexpr unsigned kHandshakesPerTurn = 4;

  void on_events(std::uint32_t events) noexcept override;  // of the listening socket
  void begin_batch(steady_time now) noexcept override;
  void end_batch() noexcept override;
  void accept_some(unsigned at_most) noexcept;
  struct traveller;
  [[nodiscard]] bool send_to(std::size_t index, int descriptor, std::string_view peer) noexcept;
  void uncount() noexcept { server_->loads[index_].connections.fetch_sub(1, std::memory_order_relaxed); }
  void welcome(int descriptor, std::string_view peer) noexcept;
  void forget(bool refused) noexcept;
  void pause_accepting() noexcept;
  [[nodiscard]] static bool is_asked(const connection& c) noexcept;
  void unlink(connection& c) noexcept;
  void sweep() noexcept;
  void run_yielded() noexcept;
  [[nodiscard]] std::unique_ptr<workspace> new_workspace();

  core& on_;
  const std::shared_ptr<server_shared> server_;
  const std::size_t index_;  // among the server's parts
  int listening_;
  std::shared_ptr<const tls_context> tls_;  // null: plain
  steady_time now_;
  standard_headers standard_;
  route_metrics routes_;
  body_files files_;
  std::unique_ptr<workspace> shared_;
  std::vector<std::unique_ptr<workspace>> spare_;
  hosted_sockets hosted_;
  connection* connections_ = nullptr;
  connection* buried_ = nullptr;
  std::vector<connection*> yielded_;
  timer_entry accept_pause_;
  std::size_t refused_open_ = 0;
  std::array<char, 13> next_id_;  // short enough for a string to hold without allocating
  unsigned handshakes_ = 0;       // steps since the turn began
  bool accepting_ = true;
  bool paused_ = false;  // descriptors ran out; until the timer
};

}  // namespace syncline::net::http
