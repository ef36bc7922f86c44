// The connections to one server: a pool on each core, and what they share.
//
// Thread: here() on a core of the group; stop() from a thread that is no core, while the cores run. Bound,
// failure: net/core/pool.h. Lifetime: destroyed after the cores have ended, or when it was never used.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "net/core/core.h"
#include "net/core/pool.h"
#include "net/core/pool_node.h"
#include "storage/mysql/open_connection.h"

namespace syncline::storage::mysql {

using db_lease = net::lease<sql_connection>;

class server_pools {
 public:
  server_pools(net::core_group& cores, const net::pool_options& options,
               std::shared_ptr<const session_options> sessions, std::uint64_t seed);
  server_pools(const server_pools&) = delete;
  server_pools& operator=(const server_pools&) = delete;

  [[nodiscard]] net::task<net::result<db_lease>> acquire(net::request_context& context, net::lease_kind kind);
  // The server is another one: no connection that is open, or being opened, on any core is used again. Any
  // thread.
  void expire() noexcept { connector_.expire(); }
  // It may be another one, since it refuses what only a replica refuses. The same, at most once a second: a
  // server that stays read-only must not cost a connect for each write. Any thread.
  void suspect() noexcept;
  // How many connections are open, and how many of them are lent.
  struct counts {
    std::uint32_t open = 0, in_use = 0;
  };
  [[nodiscard]] counts count() const;
  // `before` runs on each core first (leases that are kept must end).
  void stop(const std::function<void(std::size_t core)>& before);

 private:
  net::core_group& cores_;
  net::pool_node node_;
  sql_connector connector_;
  std::vector<std::unique_ptr<net::pool<sql_connection>>> pools_;
  std::atomic<bool> used_{false};
  std::atomic<std::int64_t> suspected_ms_{0};
};

}  // namespace syncline::storage::mysql
