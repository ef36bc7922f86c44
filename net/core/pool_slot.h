// One connection of a pool and what the pool knows about it.
//
// Thread: the core of its pool. The address is stable while the slot is in use.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <string_view>

#include "net/core/request_context.h"

namespace syncline::net {

// What a pool can hold: a MySQL session, a Redis link. The destructor closes at once and waits for nobody.
class pooled {
 public:
  virtual ~pooled() = default;
  // An answer is missing, the peer is gone, a statement was given up half way: it will never be handed out.
  [[nodiscard]] virtual bool broken() const noexcept = 0;
  // Session state was left behind that the next user must not see.
  [[nodiscard]] virtual bool needs_reset() const noexcept { return false; }
};

// Which connect it is; the node learns of it with the outcome.
enum class connect_role : std::uint8_t {
  plain,
  probe,   // the one that is tried while the circuit is open
  beyond,  // one more than the server took before
};

struct pool_slot {
  enum class condition : std::uint8_t { connecting, idle, busy, resetting, validating, closing };

  std::unique_ptr<pooled> connection;
  condition is = condition::connecting;
  connect_role role = connect_role::plain;
  bool shared = false;
  bool broken = false;
  bool given_up = false;  // its validation, for the failure of another
  std::uint32_t uses = 0;
  work_class work = work_class::interactive;  // charged with it while busy
  steady_time changed{};                      // when `is` became what it is
  steady_time expires = steady_time::max();
  std::size_t index = 0;
  pool_slot* newer = nullptr;  // idle: towards the most recently used
  pool_slot* older = nullptr;

  // The last one it was lent to, cut, for the log; no allocation per lease.
  void set_holder(std::string_view text) noexcept {
    holder_bytes = static_cast<std::uint8_t>(text.size() < holder.size() ? text.size() : holder.size());
    std::copy_n(text.data(), holder_bytes, holder.data());  // not memcpy: who has no name is a null view
  }
  [[nodiscard]] std::string_view held_by() const noexcept { return {holder.data(), holder_bytes}; }
  std::array<char, 47> holder{};
  std::uint8_t holder_bytes = 0;
};

// Idle connections, most recently used first: surplus ones grow old at the other end.
class pool_idle {
 public:
  [[nodiscard]] pool_slot* newest() const noexcept { return newest_; }
  [[nodiscard]] pool_slot* oldest() const noexcept { return oldest_; }
  [[nodiscard]] std::size_t count() const noexcept { return count_; }
  void push(pool_slot& slot) noexcept {
    slot.newer = nullptr;
    slot.older = newest_;
    (newest_ != nullptr ? newest_->newer : oldest_) = &slot;
    newest_ = &slot;
    ++count_;
  }
  void remove(pool_slot& slot) noexcept {
    (slot.newer != nullptr ? slot.newer->older : newest_) = slot.older;
    (slot.older != nullptr ? slot.older->newer : oldest_) = slot.newer;
    slot.newer = slot.older = nullptr;
    --count_;
  }

 private:
  pool_slot* newest_ = nullptr;
  pool_slot* oldest_ = nullptr;
  std::size_t count_ = 0;
};

}  // namespace syncline::net
