#include "storage/sqlite/write_queue.h"

#include <algorithm>

#include <fmt/format.h>

namespace syncline::storage::sqlite {

namespace {

net::error closed() {
  return {net::errc::closed, "the store is stopping"};
}

}  // namespace

write_queue::lane write_queue::lane_of(net::work_class work) noexcept {
  switch (work) {
    case net::work_class::interactive:
      return lane::interactive;
    case net::work_class::bulk:
      return lane::bulk;
    default:
      return lane::middle;
  }
}

double write_queue::wait_us(lane to) const {
  std::uint64_t ahead = 0;
  for (std::size_t i = 0; i <= static_cast<std::size_t>(to); ++i) ahead += lane_rows_[i];
  return us_per_group_ + static_cast<double>(ahead) * us_per_row_;
}

net::result<void> write_queue::admit(const call_base& call, lane to, std::uint32_t rows) const {
  if (stopping_) return closed();
  const std::size_t at = static_cast<std::size_t>(to);
  std::uint64_t all = 0;
  for (const std::uint64_t each : lane_rows_) all += each;
  const bool own_full = to == lane::bulk && lane_rows_[at] + rows > limit_rows_ - limit_rows_ / 4;
  const double wait = wait_us(to);
  if (!lanes_[at].empty() && (all + rows > limit_rows_ || own_full)) {
    net::error full(net::errc::overloaded, "too many rows wait to be written",
                    fmt::format("{} rows, limit {}", all, limit_rows_));
    full.retry_after_ms = static_cast<std::uint32_t>(std::clamp(wait / 2000, 10.0, 5000.0));
    return full;
  }
  // An empty lane admits whatever the estimate says: one slow group must not close the door for good.
  if (call.deadline != net::steady_time::max() && !lanes_[at].empty()) {
    const auto begins =
        std::chrono::steady_clock::now() + std::chrono::microseconds(static_cast<std::int64_t>(wait));
    if (begins > call.deadline) {
      net::error late(net::errc::overloaded, "the write would miss its deadline",
                      fmt::format("about {:.0f} ms of writes are waiting", wait / 1000));
      late.retry_after_ms = static_cast<std::uint32_t>(std::clamp(wait / 1000, 10.0, 5000.0));
      return late;
    }
  }
  return {};
}

net::result<void> write_queue::push(std::shared_ptr<write_call> call) {
  const lane to = lane_of(call->work);
  {
    const std::lock_guard lock(mutex_);
    if (auto admitted = admit(*call, to, call->weight_rows); !admitted) return admitted;
    const std::uint32_t rows = call->weight_rows;
    lanes_[static_cast<std::size_t>(to)].push_back({std::move(call), nullptr});
    lane_rows_[static_cast<std::size_t>(to)] += rows;
  }
  wake_.notify_one();
  return {};
}

net::result<void> write_queue::push(std::shared_ptr<begin_call> call) {
  {
    const std::lock_guard lock(mutex_);
    if (auto admitted = admit(*call, lane::bulk, 1); !admitted) return admitted;
    lanes_[static_cast<std::size_t>(lane::bulk)].push_back({nullptr, std::move(call)});
    lane_rows_[static_cast<std::size_t>(lane::bulk)] += 1;
  }
  wake_.notify_one();
  return {};
}

net::result<void> write_queue::push(std::uint64_t transaction, transaction_step step) {
  {
    const std::lock_guard lock(mutex_);
    if (transaction == 0 || transaction != open_transaction_)
      return net::error(net::errc::closed, "the transaction is not open (any more)");
    std::uint64_t rows = 0;
    for (const transaction_step& each : steps_) rows += each.write ? each.write->weight_rows : 0;
    if (step.write && !steps_.empty() && rows + step.write->weight_rows > limit_rows_) {
      net::error full(net::errc::overloaded, "too many rows wait to be written");
      full.retry_after_ms = 100;
      return full;
    }
    steps_.push_back(std::move(step));
  }
  wake_.notify_one();
  return {};
}

bool write_queue::push_chore(write_chore chore) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || chores_.size() >= kChoresMax) return false;
    chores_.push_back(std::move(chore));
  }
  wake_.notify_one();
  return true;
}

void write_queue::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
}

bool write_queue::stopping() const {
  const std::lock_guard lock(mutex_);
  return stopping_;
}

std::uint64_t write_queue::rows() const {
  const std::lock_guard lock(mutex_);
  std::uint64_t all = 0;
  for (const std::uint64_t each : lane_rows_) all += each;
  return all;
}

std::uint64_t write_queue::batches() const {
  const std::lock_guard lock(mutex_);
  std::uint64_t all = steps_.size();
  for (const auto& each : lanes_) all += each.size();
  return all;
}

write_queue::work write_queue::wait(bool more) {
  std::unique_lock lock(mutex_);
  const auto& bulk = lanes_[static_cast<std::size_t>(lane::bulk)];
  const auto any = [&] {
    return std::any_of(lanes_.begin(), lanes_.end(), [](const auto& each) { return !each.empty(); });
  };
  wake_.wait(lock, [&] { return stopping_ || more || !chores_.empty() || any(); });
  if (!chores_.empty() && after_group_ && !after_chore_) {
    after_chore_ = true;
    return work::chore;
  }
  after_chore_ = false;
  const bool begin_waits = !bulk.empty() && bulk.front().begin;
  const bool group = more || !lanes_[0].empty() || !lanes_[1].empty() || (!bulk.empty() && !begin_waits);
  if (begin_waits && (after_group_ || !group)) {
    after_group_ = false;
    return work::transaction;
  }
  after_group_ = true;
  if (group) return work::group;
  if (!chores_.empty()) return work::chore;
  return work::end;
}

void write_queue::took(lane from, const waiting& item) noexcept {
  lane_rows_[static_cast<std::size_t>(from)] -= item.write ? item.write->weight_rows : 1;
}

std::shared_ptr<write_call> write_queue::take(lane from) {
  const std::lock_guard lock(mutex_);
  auto& queue = lanes_[static_cast<std::size_t>(from)];
  const auto now = std::chrono::steady_clock::now();
  while (!queue.empty() && queue.front().write) {
    waiting item = std::move(queue.front());
    queue.pop_front();
    took(from, item);
    if (!item.write->dead(now)) return item.write;
    // Its caller may still wait: its own timer is a tick coarser.
    item.write->fail(net::error(net::errc::timed_out, "the deadline passed"));
    complete(item.write);
  }
  return nullptr;
}

std::shared_ptr<begin_call> write_queue::take_begin() {
  const std::lock_guard lock(mutex_);
  auto& queue = lanes_[static_cast<std::size_t>(lane::bulk)];
  if (queue.empty() || !queue.front().begin) return nullptr;
  waiting item = std::move(queue.front());
  queue.pop_front();
  took(lane::bulk, item);
  return item.begin;
}

write_chore write_queue::take_chore() {
  const std::lock_guard lock(mutex_);
  if (chores_.empty()) return {};
  write_chore out = std::move(chores_.front());
  chores_.pop_front();
  return out;
}

std::shared_ptr<call_base> write_queue::take_older(net::steady_time when) noexcept {
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < kLanes; ++i) {
    auto& queue = lanes_[i];
    if (queue.empty()) continue;
    const waiting& first = queue.front();
    if ((first.write ? first.write->queued_at : first.begin->queued_at) > when) continue;
    waiting item = std::move(queue.front());
    queue.pop_front();
    took(static_cast<lane>(i), item);
    if (item.write) return std::move(item.write);
    return std::move(item.begin);
  }
  return nullptr;
}

void write_queue::learn(std::uint64_t rows, std::uint64_t us) {
  const std::lock_guard lock(mutex_);
  // An eighth of the news each time: about the last twenty groups count.
  us_per_group_ += (static_cast<double>(us) - us_per_group_) / 8;
  if (rows > 0) us_per_row_ += (static_cast<double>(us) / static_cast<double>(rows) - us_per_row_) / 8;
}

void write_queue::open_transaction(std::uint64_t id) {
  const std::lock_guard lock(mutex_);
  open_transaction_ = id;
}

void write_queue::close_transaction() noexcept {
  const std::lock_guard lock(mutex_);
  open_transaction_ = 0;
}

std::optional<transaction_step> write_queue::take_step() noexcept {
  const std::lock_guard lock(mutex_);
  if (steps_.empty()) return std::nullopt;
  transaction_step out = std::move(steps_.front());
  steps_.pop_front();
  return out;
}

std::optional<transaction_step> write_queue::wait_step(std::chrono::milliseconds idle) {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, idle, [&] { return stopping_ || !steps_.empty(); });
  if (steps_.empty()) return std::nullopt;
  transaction_step out = std::move(steps_.front());
  steps_.pop_front();
  return out;
}

}  // namespace syncline::storage::sqlite
