// The entries of one L1 stripe: an index by key and the S3-FIFO queues that choose what goes.
//
// Not for use outside cache/. Thread: none of its own; whoever holds the stripe's lock. Bound: l1 counts
// bytes over all stripes and calls evict() until a new entry fits; one call looks at no more than kEvictSteps
// entries.
//
// S3-FIFO (Yang et al., SOSP 2023): a new entry enters a small queue. One that is asked for again before it
// leaves that queue moves to the main queue, any other goes and leaves its fingerprint in a ghost table; a
// key found there enters the main queue directly. So a scan passes through the small tenth and does not flush
// the hot set. We differ in two points: the ghost is a direct-mapped table instead of a queue, so that it
// needs no list, and an eviction gives up looking after kEvictSteps, so that the lock is held for a bounded
// time. The frequency is written only when it changes: a hot entry's line stays shared.
//
// Invariants
//  1. An entry is in the index and in exactly one queue.
//  2. bytes() is the sum of the costs of all entries.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cache/l1.h"

namespace syncline::cache {

// A key with its hash, computed once a call.
struct key_view {
  std::string_view text;
  std::size_t hash;
};
struct key_text {
  std::string text;
  std::size_t hash;
  [[nodiscard]] key_view view() const noexcept { return {text, hash}; }
};
[[nodiscard]] inline key_view hashed(std::string_view text) noexcept {
  return {text, std::hash<std::string_view>{}(text)};
}

struct key_hash {
  using is_transparent = void;
  std::size_t operator()(const key_text& key) const noexcept { return key.hash; }
  std::size_t operator()(key_view key) const noexcept { return key.hash; }
};
struct key_equal {
  using is_transparent = void;
  bool operator()(const key_text& a, const key_text& b) const noexcept { return a.text == b.text; }
  bool operator()(const key_text& a, key_view b) const noexcept { return a.text == b.text; }
  bool operator()(key_view a, const key_text& b) const noexcept { return a.text == b.text; }
};
template <class T>
using key_map = std::unordered_map<key_text, T, key_hash, key_equal>;

class l1_store {
 public:
  // `share_bytes` is what this stripe holds when all are equally full; it sizes the small queue and the ghost
  // table.
  explicit l1_store(std::size_t share_bytes);
  l1_store(const l1_store&) = delete;
  l1_store& operator=(const l1_store&) = delete;

  // What an entry costs: key, body, ETag and the bookkeeping of both maps and the allocator, estimated.
  [[nodiscard]] static std::size_t cost(std::string_view key, const value& what) noexcept;

  // The value, or nullptr when there is none or its time is over; counts as a use. The pointer holds until
  // the next change of this store.
  [[nodiscard]] const value_ptr* find(key_view key, std::uint32_t now_s) noexcept;
  // The stored value, whatever its time, without counting a use.
  [[nodiscard]] const value_ptr* peek(key_view key) const noexcept;
  // `key` must not be stored. `until_s`: the first second at which find() does not give it. False, and
  // nothing has changed, when there is no memory for it.
  [[nodiscard]] bool insert(const key_text& key, const value_ptr& what, std::size_t cost_bytes,
                            std::uint32_t until_s) noexcept;

  // What was taken out; freed by whoever holds it, after the lock is released. Empty: there was nothing to
  // take.
  struct taken {
    value_ptr what;
    std::string key;
    std::size_t cost_bytes = 0;
  };
  [[nodiscard]] taken evict() noexcept;
  [[nodiscard]] taken erase(key_view key) noexcept;
  // Everything at once, freed the same way.
  struct contents;
  [[nodiscard]] contents clear() noexcept;
  [[nodiscard]] std::size_t bytes() const noexcept { return small_.bytes + main_.bytes; }
  [[nodiscard]] std::size_t entries() const noexcept { return index_.size(); }

 private:
  static constexpr unsigned kEvictSteps = 64;
  static constexpr std::uint8_t kFrequencyMax = 3;
  struct entry {
    value_ptr what;
    const key_text* key = nullptr;
    entry* newer = nullptr;
    entry* older = nullptr;
    std::size_t cost_bytes = 0;
    std::uint32_t until_s = kNoEnd;
    std::uint8_t frequency = 0;
    bool in_main = false;
  };
  struct queue {
    entry* newest = nullptr;
    entry* oldest = nullptr;
    std::size_t bytes = 0;
  };
  static void push(queue& to, entry& one) noexcept;
  static void unlink(queue& from, entry& one) noexcept;
  [[nodiscard]] entry* choose() noexcept;
  [[nodiscard]] taken take(entry& one) noexcept;
  [[nodiscard]] std::uint32_t& ghost_slot(std::size_t hash) noexcept {
    return ghosts_[(hash >> 8) & (ghosts_.size() - 1)];
  }
  // Never zero, which is an empty slot.
  [[nodiscard]] static std::uint32_t fingerprint(std::size_t hash) noexcept {
    return static_cast<std::uint32_t>(hash >> 32) | 1U;
  }

  key_map<entry> index_;
  queue small_;
  queue main_;
  std::size_t small_bytes_max_;
  std::vector<std::uint32_t> ghosts_;  // a power of two
};

struct l1_store::contents {
  key_map<entry> entries;
  std::size_t cost_bytes = 0;
};

}  // namespace syncline::cache
