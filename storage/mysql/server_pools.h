// The connections to one server: a pool on each core, and what they share.
//
// Thread: here() on a core of the group; stop() from a thread that is no core, while the cores run. Bound,
// failure: net/core/pool.h. Lifetime: destroyed after the cores have ended, or when it was never used.
#pragma once

#include <atomic>
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
};

}  // namespace syncline::storage::mysql
