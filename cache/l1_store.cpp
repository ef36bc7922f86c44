#include "cache/l1_store.h"

#include <algorithm>
#include <bit>
#include <new>
#include <tuple>
#include <utility>

namespace syncline::cache {

namespace {

// Ghosts are worth as many keys as the stripe holds; most answers of a REST read are about half a kilobyte.
constexpr std::size_t kTypicalEntryBytes = 512;
constexpr std::size_t kGhostsMin = 64;
constexpr std::size_t kGhostsMax = 32 * 1024;

}  // namespace

l1_store::l1_store(std::size_t share_bytes)
    : small_bytes_max_(share_bytes / 10),
      ghosts_(std::bit_ceil(std::clamp(share_bytes / kTypicalEntryBytes, kGhostsMin, kGhostsMax))) {}

std::size_t l1_store::cost(std::string_view key, const value& what) noexcept {
  // The map's node with its hash and bucket pointer, the shared value with its counters, and the allocator's
  // rounding for each of up to four blocks (16 bytes on average).
  constexpr std::size_t kNode = sizeof(key_text) + sizeof(entry) + 3 * sizeof(void*);
  constexpr std::size_t kShared = sizeof(value) + 2 * sizeof(void*);
  constexpr std::size_t kRounding = 4 * 16;
  return kNode + kShared + kRounding + key.size() + what.body.capacity() + what.gzip.capacity() +
         what.etag.capacity();
}

const value_ptr* l1_store::find(key_view key, std::uint32_t now_s) noexcept {
  const auto found = index_.find(key);
  if (found == index_.end()) return nullptr;
  entry& one = found->second;
  if (now_s >= one.until_s) [[unlikely]]
    return nullptr;
  if (one.frequency < kFrequencyMax) ++one.frequency;
  return &one.what;
}

const value_ptr* l1_store::peek(key_view key) const noexcept {
  const auto found = index_.find(key);
  return found == index_.end() ? nullptr : &found->second.what;
}

bool l1_store::insert(const key_text& key, const value_ptr& what, std::size_t cost_bytes,
                      std::uint32_t until_s) noexcept {
  key_map<entry>::iterator at;
  try {
    bool inserted = false;
    std::tie(at, inserted) = index_.try_emplace(key);
    if (!inserted) return false;
  } catch (const std::bad_alloc&) {
    return false;
  }
  std::uint32_t& ghost = ghost_slot(key.hash);
  const bool came_back = ghost == fingerprint(key.hash);
  if (came_back) ghost = 0;
  entry& one = at->second;
  one.what = what;
  one.key = &at->first;
  one.cost_bytes = cost_bytes;
  one.until_s = until_s;
  one.in_main = came_back;
  push(came_back ? main_ : small_, one);
  return true;
}

void l1_store::push(queue& to, entry& one) noexcept {
  one.newer = nullptr;
  one.older = to.newest;
  (to.newest != nullptr ? to.newest->newer : to.oldest) = &one;
  to.newest = &one;
  to.bytes += one.cost_bytes;
}

void l1_store::unlink(queue& from, entry& one) noexcept {
  (one.newer != nullptr ? one.newer->older : from.newest) = one.older;
  (one.older != nullptr ? one.older->newer : from.oldest) = one.newer;
  one.newer = one.older = nullptr;
  from.bytes -= one.cost_bytes;
}

l1_store::entry* l1_store::choose() noexcept {
  for (unsigned step = 0; step < kEvictSteps; ++step) {
    const bool from_small =
        small_.oldest != nullptr && (small_.bytes > small_bytes_max_ || main_.oldest == nullptr);
    queue& from = from_small ? small_ : main_;
    if (from.oldest == nullptr) return nullptr;
    entry& one = *from.oldest;
    if (from_small && one.frequency > 1) {
      unlink(small_, one);
      one.frequency = 0;
      one.in_main = true;
      push(main_, one);
    } else if (!from_small && one.frequency > 0) {
      unlink(main_, one);
      --one.frequency;
      push(main_, one);
    } else {
      return &one;
    }
  }
  return main_.oldest != nullptr ? main_.oldest : small_.oldest;
}

l1_store::taken l1_store::take(entry& one) noexcept {
  unlink(one.in_main ? main_ : small_, one);
  taken out;
  out.cost_bytes = one.cost_bytes;
  auto node = index_.extract(index_.find(one.key->view()));
  out.what = std::move(node.mapped().what);
  out.key = std::move(node.key().text);
  return out;
}

l1_store::taken l1_store::evict() noexcept {
  entry* const coldest = choose();
  if (coldest == nullptr) return {};
  if (!coldest->in_main) ghost_slot(coldest->key->hash) = fingerprint(coldest->key->hash);
  return take(*coldest);
}

l1_store::contents l1_store::clear() noexcept {
  contents out;
  out.cost_bytes = bytes();
  out.entries.swap(index_);
  small_ = {};
  main_ = {};
  return out;
}

l1_store::taken l1_store::erase(key_view key) noexcept {
  const auto found = index_.find(key);
  if (found == index_.end()) return {};
  return take(found->second);
}

}  // namespace syncline::cache
