#include "net/core/deflate_pool.h"

#include <array>
#include <atomic>
#include <new>

#include "perf/metrics.h"

namespace syncline::net {

namespace {

constexpr int kRawWindow = -13;  // negative: no zlib wrapper
constexpr int kMemoryLevel = 6;
constexpr std::size_t kSparesMax = 4;  // a thread

struct figures {
  perf::gauge& bytes =
      perf::metrics::add_gauge("syncline_deflate_bytes", "Memory of deflate states, spare ones included.");
  perf::counter refused = perf::metrics::add_counter(
      "syncline_deflate_refused_total", "Pieces sent uncompressed because deflate memory was at its bound.");
};

figures& counts() {
  static figures all;
  return all;
}

std::atomic<std::size_t> states{0};
std::atomic<std::size_t> states_max{64UL * 1024 * 1024 / deflate_state::kBytes};

struct spares {
  std::array<std::unique_ptr<deflate_state>, kSparesMax> kept;
  std::size_t size = 0;
};
thread_local spares own;

}  // namespace

std::unique_ptr<deflate_state> deflate_state::make() noexcept {
  std::unique_ptr<deflate_state> out(new (std::nothrow) deflate_state);
  if (out == nullptr) return nullptr;
  if (deflateInit2(&out->stream, Z_BEST_SPEED, Z_DEFLATED, kRawWindow, kMemoryLevel, Z_DEFAULT_STRATEGY) !=
      Z_OK)
    return nullptr;
  out->begun_ = true;
  states.fetch_add(1, std::memory_order_relaxed);
  counts().bytes.add(kBytes);
  return out;
}

deflate_state::~deflate_state() {
  if (!begun_) return;
  deflateEnd(&stream);
  states.fetch_sub(1, std::memory_order_relaxed);
  counts().bytes.add(-static_cast<std::int64_t>(kBytes));
}

std::unique_ptr<deflate_state> take_deflate(int level) noexcept {
  std::unique_ptr<deflate_state> out;
  if (own.size != 0) {
    out = std::move(own.kept[--own.size]);
    deflateReset(&out->stream);
  } else if (states.load(std::memory_order_relaxed) < states_max.load(std::memory_order_relaxed)) {
    out = deflate_state::make();
  }
  if (out == nullptr) {
    counts().refused.add();
    return nullptr;
  }
  deflateParams(&out->stream, level, Z_DEFAULT_STRATEGY);
  return out;
}

void give_back_deflate(std::unique_ptr<deflate_state> used) noexcept {
  if (used == nullptr || own.size == kSparesMax || deflate_is_scarce()) return;
  own.kept[own.size++] = std::move(used);
}

bool deflate_is_scarce() noexcept {
  return states.load(std::memory_order_relaxed) > states_max.load(std::memory_order_relaxed) / 2;
}

void set_deflate_bytes_max(std::size_t bytes) noexcept {
  states_max.store(bytes / deflate_state::kBytes, std::memory_order_relaxed);
}

std::size_t deflate_bytes() noexcept {
  return states.load(std::memory_order_relaxed) * deflate_state::kBytes;
}

}  // namespace syncline::net
