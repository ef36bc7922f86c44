// Which replica may answer a read, and whether what it answered is new enough.
//
// On the replica the clock and the newest generation are read first and the rows after them, in one flight:
// so they are at least as new as that clock. Below the watermark that was published when the read began, or
// in another generation than the sequencer knows (a replica that follows a primary that was lost, say,
// whatever its clock says), the answer is dropped and the primary asked. A replica is chosen only when it was
// seen at that watermark already, or to have a look, one read at a time and not more often than every
// kLookEveryMs; a watch on a core of its own looks as well. One that fails, or whose clock stays behind for
// replica_lag_max_ms, is left out until the watch finds it well.
//
// It holds with a replica that commits in the order of its source (replica_preserve_commit_order, on by
// default since 8.0.27, or a single worker): otherwise a clock could come before the rows that it counts. The
// watch asks for both before it takes a replica in, and now and then while it is used.
//
// Thread: choose() and saw() any core; start() and stop() as the store's. Bound: one connection for the watch
// of each replica. Failure: none to the caller: a replica that cannot answer costs a look.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/core/task.h"
#include "storage/mysql/server_pools.h"

namespace syncline::storage::mysql {

inline constexpr std::int64_t kLookEveryMs = 5;
inline constexpr std::int64_t kWatchEveryMs = 100;

class replica {
 public:
  replica(std::string name, std::unique_ptr<server_pools> pools, std::int64_t lag_max_ms);

  // True: ask it, for a reader that needs `position`.
  [[nodiscard]] bool try_use(std::int64_t position, std::int64_t now_ms) noexcept;
  // Its clock stood at `seq` when `published` was the watermark; -1: in another generation, so only the watch
  // looks at it until that has changed.
  void saw(std::int64_t seq, std::int64_t published, std::int64_t now_ms) noexcept;
  void failed(const net::error& why) noexcept;
  // Found by the watch to be reachable.
  void well(std::int64_t seq, std::int64_t published, std::int64_t now_ms) noexcept;

  [[nodiscard]] server_pools& pools() noexcept { return *pools_; }
  [[nodiscard]] bool in_use() const noexcept { return usable_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::int64_t seen() const noexcept { return seen_.load(std::memory_order_relaxed); }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }

 private:
  void leave_out(std::string_view why) noexcept;
  const std::string name_;
  const std::unique_ptr<server_pools> pools_;
  const std::int64_t lag_max_ms_;
  std::atomic<bool> usable_{false};            // until the watch has seen it
  std::atomic<std::int64_t> seen_{-1};         // its clock
  std::atomic<std::int64_t> looked_at_ms_{0};  // when a read was sent only to look
  std::atomic<std::int64_t> behind_since_ms_{0};
};

// What the sequencer has published.
struct published_feed {
  std::int64_t watermark = 0;
  std::int64_t generation = 0;  // the newest one's id
};

class replica_set {
 public:
  using published_function = std::function<published_feed()>;
  explicit replica_set(published_function published) : published_(std::move(published)) {}
  void add(std::string name, std::unique_ptr<server_pools> pools,
           std::shared_ptr<const session_options> sessions, std::int64_t lag_max_ms);
  // Null: the primary.
  [[nodiscard]] replica* choose(std::int64_t position) noexcept;
  // Starts the watch on a core that runs.
  void start(net::core& on);
  // Ends the watch and the pools, from a thread that is no core.
  void stop();
  [[nodiscard]] std::size_t size() const noexcept { return all_.size(); }
  [[nodiscard]] replica& at(std::size_t i) noexcept { return *all_[i]; }

 private:
  struct watch_state;
  [[nodiscard]] static net::task<void> watch(std::shared_ptr<watch_state> state, replica& of,
                                             std::shared_ptr<const session_options> sessions,
                                             published_function published);
  published_function published_;
  std::vector<std::unique_ptr<replica>> all_;
  std::vector<std::shared_ptr<const session_options>> sessions_;
  std::shared_ptr<watch_state> state_;
  std::atomic<std::uint32_t> next_{0};
};

[[nodiscard]] std::int64_t steady_ms() noexcept;

}  // namespace syncline::storage::mysql
