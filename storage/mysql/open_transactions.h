// Transactions of several batches (atomic=1) that are open on one core: each holds a connection until it is
// ended, or idle for too long.
//
// Thread: the core. Bound: one connection each, of the class that began it; transaction_idle_ms between two
// batches. Failure: errc::closed for a transaction that has ended. A deadlock, a lost connection or a caller
// that went away in a batch ends it: its earlier batches are undone with it.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>

#include "storage/mysql/store_shared.h"
#include "storage/store.h"

namespace syncline::storage::mysql {

class open_transactions {
 public:
  open_transactions(store_shared& shared, std::size_t core, std::size_t cores);
  ~open_transactions();

  [[nodiscard]] net::task<net::result<std::uint64_t>> begin(net::request_context& context);
  [[nodiscard]] net::task<net::result<write_outcome>> write(net::request_context& context, write_batch batch);
  [[nodiscard]] net::task<net::result<std::int64_t>> end(net::request_context& context, std::uint64_t id,
                                                         bool commit);
  // Rolls back what is open.
  void close_all();

 private:
  struct transaction;
  [[nodiscard]] std::shared_ptr<transaction> find(std::uint64_t id) const;
  // It is over; the connection is closed unless its last statement said how.
  void close(std::uint64_t id);

  store_shared& shared_;
  std::uint64_t next_id_;
  const std::uint64_t step_;
  std::unordered_map<std::uint64_t, std::shared_ptr<transaction>> open_;
};

}  // namespace syncline::storage::mysql
