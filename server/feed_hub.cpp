#include "server/feed_hub.h"

#include <algorithm>
#include <atomic>
#include <unordered_map>

#include "perf/log.h"
#include "perf/metrics.h"
#include "storage/row_json.h"

namespace syncline::server {
namespace {

// What a watch listens for and an entry touches: a part of a stream as a number. Equal hashes of different
// parts only cost a needless look.
std::uint64_t part_hash(std::uint32_t resource, std::string_view scope) noexcept {
  return storage::hash_bytes(scope) * 0x9E3779B97F4A7C15ull + resource;
}

std::vector<std::uint64_t> touched_parts(const storage::change_notice& notice) {
  std::vector<std::uint64_t> touched;
  touched.reserve(notice.items.size());
  for (const auto& item : notice.items) {
    if (item.primary) touched.push_back(part_hash(item.resource, {}));
    if (!item.scope.empty()) touched.push_back(part_hash(item.resource, item.scope));
  }
  std::sort(touched.begin(), touched.end());
  touched.erase(std::unique(touched.begin(), touched.end()), touched.end());
  return touched;
}

}  // namespace

// The waiting lists of one core. `armed` is read by storage threads to skip cores nobody watches on; the maps
// belong to the core.
struct feed_hub::per_core {
  std::atomic<std::uint64_t> armed{0};
  std::unordered_map<std::uint64_t, std::vector<watch*>> by_part;
  std::vector<watch*> all;
};

void append_l1_key(std::uint32_t resource_ordinal, std::string_view key, std::string& out) {
  for (int shift = 0; shift < 32; shift += 8)
    out.push_back(static_cast<char>((resource_ordinal >> shift) & 0xFFu));
  out.append(key);
}

feed_hub::feed_hub(net::core_group& cores, cache::l1& l1) : cores_(&cores), l1_(&l1) {
  for (std::size_t i = 0; i < cores.size(); ++i) per_core_.push_back(std::make_unique<per_core>());
}

feed_hub::~feed_hub() = default;

void feed_hub::changed(const storage::change_notice_ptr& notice) noexcept {
  static const perf::counter notices =
      perf::metrics::add_counter("syncline_feed_notices_total", "Batches of feed entries told to this node");
  static const perf::counter entries =
      perf::metrics::add_counter("syncline_feed_entries_total", "Feed entries told to this node");
  try {
    notices.add();
    entries.add(notice->items.size());
    if (notice->everything) {
      l1_->clear(notice->watermark);
    } else {
      std::string key;
      for (const auto& item : notice->items) {
        key.clear();
        append_l1_key(item.resource, item.key, key);
        l1_->invalidate(key, notice->watermark);
      }
    }
    std::shared_ptr<const std::vector<std::uint64_t>> touched;
    for (std::size_t i = 0; i < per_core_.size(); ++i) {
      per_core* here = per_core_[i].get();
      if (here->armed.load(std::memory_order_seq_cst) == 0) continue;
      if (!touched) {
        touched = std::make_shared<const std::vector<std::uint64_t>>(
            notice->everything ? std::vector<std::uint64_t>{} : touched_parts(*notice));
      }
      const bool everything = notice->everything;
      cores_->at(i).post([here, touched, everything] {
        if (everything) {
          for (watch* w : here->all) w->changed_.notify();
          return;
        }
        for (const std::uint64_t part : *touched) {
          const auto found = here->by_part.find(part);
          if (found == here->by_part.end()) continue;
          for (watch* w : found->second) w->changed_.notify();
        }
      });
    }
  } catch (const std::exception& failure) {
    // Out of memory while telling: what could be stale must go, and streams find the change at their next
    // keep-alive (feed_follower).
    l1_->clear(notice->watermark);
    lost_.fetch_add(1, std::memory_order_relaxed);
    perf::log_error("feed notice lost", {{"why", failure.what()}});
  }
}

std::uint64_t feed_hub::watches() const noexcept {
  std::uint64_t sum = 0;
  for (const auto& here : per_core_) sum += here->armed.load(std::memory_order_relaxed);
  return sum;
}

feed_hub::watch::watch(feed_hub& hub, net::core& on, std::shared_ptr<const storage::stream> what)
    : hub_(&hub), changed_(on), what_(std::move(what)) {
  per_core& here = *hub_->per_core_[on.id()];
  for (const auto& part : what_->parts) here.by_part[part_hash(part.of->ordinal, part.scope)].push_back(this);
  here.all.push_back(this);
  here.armed.fetch_add(1, std::memory_order_seq_cst);
}

feed_hub::watch::~watch() {
  per_core& here = *hub_->per_core_[changed_.on().id()];
  here.armed.fetch_sub(1, std::memory_order_seq_cst);
  const auto forget = [this](std::vector<watch*>& list) {
    const auto at = std::find(list.begin(), list.end(), this);
    if (at == list.end()) return;
    *at = list.back();
    list.pop_back();
  };
  for (const auto& part : what_->parts) {
    const auto found = here.by_part.find(part_hash(part.of->ordinal, part.scope));
    if (found == here.by_part.end()) continue;
    forget(found->second);
    if (found->second.empty()) here.by_part.erase(found);
  }
  forget(here.all);
}

}  // namespace syncline::server
