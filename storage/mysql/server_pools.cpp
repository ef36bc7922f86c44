#include "storage/mysql/server_pools.h"

#include <chrono>
#include <future>

#include "perf/log.h"

namespace syncline::storage::mysql {

namespace {

constexpr std::chrono::seconds kStopMax{5};
constexpr std::int64_t kSuspectEveryMs = 1000;

// `ended` is destroyed with the task when the core ends first, which ends the waiting too.
net::task<void> stop_pool(net::connection_pool& pool, std::size_t core,
                          const std::function<void(std::size_t)>& before,
                          std::shared_ptr<std::promise<void>> ended) {
  before(core);
  net::request_context context(pool.on());
  context.set_deadline(std::chrono::steady_clock::now() + kStopMax);
  auto stopping = pool.stop(context);
  const net::result<void> stopped = co_await std::move(stopping);
  if (!stopped) perf::log_warn("connections are still in use at the end", {{"why", stopped.error().text()}});
  ended->set_value();
}

}  // namespace

server_pools::server_pools(net::core_group& cores, const net::pool_options& options,
                           std::shared_ptr<const session_options> sessions, std::uint64_t seed)
    : cores_(cores),
      node_(options, static_cast<unsigned>(cores.size()), seed),
      connector_(std::move(sessions)) {
  for (std::size_t i = 0; i < cores.size(); ++i)
    pools_.push_back(std::make_unique<net::pool<sql_connection>>(cores.at(i), node_, connector_));
}

net::task<net::result<db_lease>> server_pools::acquire(net::request_context& context, net::lease_kind kind) {
  used_.store(true, std::memory_order_relaxed);
  return pools_[context.on().id() % pools_.size()]->acquire(context, kind);
}

void server_pools::suspect() noexcept {
  const std::int64_t now = std::chrono::duration_cast<std::chrono::milliseconds>(
                               std::chrono::steady_clock::now().time_since_epoch())
                               .count();
  std::int64_t before = suspected_ms_.load(std::memory_order_relaxed);
  if (now - before < kSuspectEveryMs || !suspected_ms_.compare_exchange_strong(before, now)) return;
  connector_.expire();
}

server_pools::counts server_pools::count() const {
  const net::pool_node::numbers now = node_.count();
  counts out;
  out.open = now.held;
  for (const std::uint32_t each : now.in_use) out.in_use += each;
  return out;
}

void server_pools::stop(const std::function<void(std::size_t core)>& before) {
  if (!used_.load(std::memory_order_relaxed)) return;
  std::vector<std::future<void>> waiting;
  for (std::size_t i = 0; i < pools_.size(); ++i) {
    auto ended = std::make_shared<std::promise<void>>();
    waiting.push_back(ended->get_future());
    net::spawn(cores_.at(i), stop_pool(*pools_[i], i, before, std::move(ended)));
  }
  for (std::future<void>& each : waiting)
    if (each.wait_for(kStopMax + std::chrono::seconds(1)) != std::future_status::ready)
      perf::log_warn("a pool of connections did not end", {});
}

}  // namespace syncline::storage::mysql
