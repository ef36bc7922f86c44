// Remembers the newest invalidation of the keys of one stripe, so that an older value cannot enter after it.
//
// A load that began after an invalidation may still bring an older value (a replica that lags, a copy in
// Redis); the floor of its key says so. Not for anything else. Thread: none of its own; whoever holds the
// stripe's lock. Bound: kSets * kWays positions, made once, so noting one never allocates. When a set is full
// its lowest position is forgotten as such and becomes the floor of every key of that set that is not in it:
// refusing too much costs a load, refusing too little a stale answer.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace syncline::cache {

class l1_floors {
 public:
  // The key with this hash was invalidated at `position`. Two keys of one hash share their floor.
  void note(std::size_t hash, std::int64_t position) noexcept {
    set& in = set_of(hash);
    way* lowest = &in.ways.front();
    for (way& each : in.ways) {
      if (each.position != 0 && each.hash == hash) {
        each.position = std::max(each.position, position);
        return;
      }
      if (each.position < lowest->position) lowest = &each;
    }
    in.floor = std::max(in.floor, lowest->position);
    lowest->hash = hash;
    lowest->position = std::max(position, in.floor);
  }
  // Every key was invalidated at `position`, and what was noted before is forgotten: a database that was put
  // back to an older state counts on from there, and its rows must not be refused for what it no longer
  // knows.
  void note_all(std::int64_t position) noexcept {
    for (set& each : sets_) {
      each = set{};
      each.floor = position;
    }
  }
  // A value read below this position is older than an invalidation of its key.
  [[nodiscard]] std::int64_t of(std::size_t hash) const noexcept {
    const set& in = sets_[index_of(hash)];
    for (const way& each : in.ways) {
      if (each.position != 0 && each.hash == hash) return each.position;
    }
    return in.floor;
  }

 private:
  static constexpr std::size_t kSets = 64;
  static constexpr std::size_t kWays = 8;
  struct way {
    std::size_t hash = 0;
    std::int64_t position = 0;  // 0 is an empty way: positions of a feed begin at 1
  };
  struct set {
    std::array<way, kWays> ways{};
    std::int64_t floor = 0;  // of keys that have no way; no way is below it
  };
  [[nodiscard]] static std::size_t index_of(std::size_t hash) noexcept { return (hash >> 20) % kSets; }
  [[nodiscard]] set& set_of(std::size_t hash) noexcept { return sets_[index_of(hash)]; }

  std::vector<set> sets_ = std::vector<set>(kSets);
};

}  // namespace syncline::cache
