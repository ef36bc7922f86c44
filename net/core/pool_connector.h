// How a pool opens, looks at, cleans and closes what it holds; the database or Redis client gives it one.
//
// Thread: the core of the pool. Bound: each call gets a context with a deadline (connect_timeout_ms,
// tend_timeout_ms) and must end soon after it or after its cancellation; what it opened before is closed by
// its destructor. Lifetime: it outlives the pool. Failure: an error; the pool never hands the connection out.
#pragma once

#include <memory>

#include "net/core/pool_slot.h"
#include "net/core/task.h"

namespace syncline::net {

class pool_connector {
 public:
  virtual ~pool_connector() = default;
  [[nodiscard]] virtual task<result<std::unique_ptr<pooled>>> connect(request_context& context) = 0;
  // Asked for when needs_reset() is true after a lease.
  [[nodiscard]] virtual task<result<void>> reset(request_context& context, pooled& connection);
  // Asked for after validate_after_idle_ms without use.
  [[nodiscard]] virtual task<result<void>> validate(request_context& context, pooled& connection);
  // Says good-bye where the protocol has a word for it.
  [[nodiscard]] virtual task<void> close(request_context& context, pooled& connection);
};

}  // namespace syncline::net
